//! The OBS plugin: its exact headers and bodies.
//!
//! Source: the plugin of version 0.0.5; auth and rename calls carry the client headers, relay
//! calls carry none.

use std::net::SocketAddr;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::browser::Browser;
use super::http::{Answer, Http};
use crate::harness::server::Server;

const LOGIN: &str = "/api/v1/auth/plugin/login";

/// A sign-in that waits for the browser.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) id: String,
    pub(crate) poll_token: String,
    pub(crate) authorize_url: String,
}

/// What the plugin keeps of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) sender_url: String,
    pub(crate) media_source_url: String,
    pub(crate) publish_key: String,
    pub(crate) play_key: String,
}

/// A plugin in some OBS.
#[derive(Debug)]
pub(crate) struct Plugin {
    http: Http,
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
    /// The account as the last sign-in or refresh told it.
    pub(crate) snapshot: Value,
}

impl Plugin {
    /// A plugin that nobody has signed in to.
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self {
            http: Http::to(address),
            access_token: String::new(),
            refresh_token: String::new(),
            snapshot: Value::Null,
        }
    }

    /// A plugin which the person at `browser` has let in.
    ///
    /// # Panics
    /// When a step of it fails.
    #[track_caller]
    pub(crate) fn signed_in(server: &Server, browser: &mut Browser) -> Self {
        let mut plugin = Self::at(server.addresses().http);
        let attempt = plugin.begin_sign_in();
        let fields = [("attempt", attempt.id.as_str()), ("decision", "approve")];
        browser.post("/login/plugin", &fields).expect(200);
        let answer = plugin.poll(&attempt).expect(200);
        plugin.keep(&answer.json());
        plugin
    }

    /// The same plugin for another thread.
    pub(crate) fn another(&self) -> Self {
        Self {
            http: self.http.another(),
            access_token: self.access_token.clone(),
            refresh_token: self.refresh_token.clone(),
            snapshot: self.snapshot.clone(),
        }
    }

    /// `login/start`.
    #[track_caller]
    pub(crate) fn begin_sign_in(&self) -> Attempt {
        let client =
            json!({"platform": "windows", "plugin_version": "0.0.5", "device_name": "OBS Desktop"});
        let answer = self.post(&format!("{LOGIN}/start"), &json!({ "client": client }));
        let body = answer.expect(201).json();
        let text = |name: &str| body[name].as_str().expect("it is text").to_owned();
        Attempt {
            id: text("login_attempt_id"),
            poll_token: text("poll_token"),
            authorize_url: text("authorize_url"),
        }
    }

    /// `login/poll`.
    #[track_caller]
    pub(crate) fn poll(&self, attempt: &Attempt) -> Answer {
        let body = json!({"login_attempt_id": attempt.id, "poll_token": attempt.poll_token});
        self.post(&format!("{LOGIN}/poll"), &body)
    }

    /// Takes tokens and account over as given, as the plugin does.
    #[track_caller]
    pub(crate) fn keep(&mut self, answer: &Value) {
        let token = |name: &str| answer["auth"][name].as_str().unwrap_or_default().to_owned();
        self.access_token = token("cp_access_jwt");
        self.refresh_token = token("refresh_token");
        assert_ne!(self.access_token, "", "no access token in the answer");
        assert_ne!(answer["user"]["id"].as_str().unwrap_or_default(), "");
        self.snapshot = answer.clone();
    }

    /// Who is signed in.
    pub(crate) fn user_id(&self) -> String {
        self.snapshot["user"]["id"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// `auth/refresh` with the stored token.
    #[track_caller]
    pub(crate) fn refresh(&mut self) -> Answer {
        let body = json!({"refresh_token": self.refresh_token});
        let answer = self.post("/api/v1/auth/refresh", &body);
        if answer.status == 200 {
            self.keep(&answer.json());
        }
        answer
    }

    /// The token of a slot in the stored account; slots count from 1.
    pub(crate) fn stream_token(&self, slot_number: u64) -> String {
        let slots = self.snapshot["stream_slots"].as_array();
        slots
            .into_iter()
            .flatten()
            .find(|slot| slot["slot_number"] == slot_number)
            .and_then(|slot| slot["stream_token"].as_str())
            .unwrap_or_default()
            .to_owned()
    }

    /// `relay/start`, with a fresh idempotency key.
    #[track_caller]
    pub(crate) fn start(&self, connection_id: &str, stream_token: &str) -> Answer {
        self.http
            .send(self.start_request(connection_id, stream_token))
    }

    /// The request of [`Self::start`].
    pub(crate) fn start_request(&self, connection_id: &str, stream_token: &str) -> RequestBuilder {
        let context = json!({"mode": "auto", "obs_connected": true, "requested_by": "obs-plugin"});
        let body = json!({
            "client_context": context,
            "connection_id": connection_id,
            "region_preference": "us-central",
            "stream_token": stream_token,
        });
        self.authorised(Method::POST, "/api/v1/relay/start")
            .header("idempotency-key", uuid::Uuid::new_v4().to_string())
            .json(&body)
    }

    /// A started session on the first slot.
    ///
    /// # Panics
    /// When it is not there at once.
    #[track_caller]
    pub(crate) fn session(&self, connection_id: &str) -> Session {
        self.session_on(1, connection_id)
    }

    /// The same on any slot, counted from 1.
    #[track_caller]
    pub(crate) fn session_on(&self, slot_number: u64, connection_id: &str) -> Session {
        let answer = self
            .start(connection_id, &self.stream_token(slot_number))
            .json();
        let session = &answer["session"];
        assert_eq!(session["status"], "active", "{answer}");
        let text = |value: &Value| value.as_str().expect("it is text").to_owned();
        let sender_url = text(&session["sender_url"]);
        let (_, publish_key) = sender_url.split_once("?streamid=").expect("it has the key");
        Session {
            id: text(&session["session_id"]),
            publish_key: publish_key.to_owned(),
            sender_url,
            media_source_url: text(&session["media_source_url"]),
            play_key: format!("play_{}", text(&session["credentials"]["stream_token"])),
        }
    }

    /// `relay/active` of a connection.
    #[track_caller]
    pub(crate) fn active(&self, connection_id: &str) -> Answer {
        self.get(&format!(
            "/api/v1/relay/active?connection_id={connection_id}"
        ))
    }

    /// `relay/stop`, as the plugin sends it.
    #[track_caller]
    pub(crate) fn stop(&self, session_id: &str) -> Answer {
        let body = json!({"session_id": session_id});
        self.http.send(
            self.authorised(Method::POST, "/api/v1/relay/stop")
                .json(&body),
        )
    }

    /// `relay/health`: a heartbeat.
    #[track_caller]
    pub(crate) fn health(&self, session_id: &str) -> Answer {
        let body = json!({"session_id": session_id, "instance_id": ""});
        let request = self.authorised(Method::POST, "/api/v1/relay/health");
        self.http.send(request.json(&body))
    }

    /// Renames a slot; `None` when the server did not answer.
    pub(crate) fn rename(&self, slot_number: u32, label: &str) -> Option<Answer> {
        let path = format!("/api/v1/user/stream-slots/{slot_number}/label");
        let request = client_headers(self.authorised(Method::PUT, &path));
        self.http
            .try_send(request.json(&json!({"label": label})))
            .ok()
    }

    /// The same caller without its token.
    pub(crate) fn http_without_token(&self) -> &Http {
        &self.http
    }

    /// An authorised GET.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.http.send(self.authorised(Method::GET, path))
    }

    /// A request with the access token, to build upon.
    pub(crate) fn authorised(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, path)
            .header("user-agent", "Telemy/0.0.5")
            .bearer_auth(&self.access_token)
    }

    /// Sends a request of [`Self::authorised`].
    #[track_caller]
    pub(crate) fn send(&self, request: RequestBuilder) -> Answer {
        self.http.send(request)
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Answer {
        let request = self.http.request(Method::POST, path);
        let request = client_headers(request.header("user-agent", "Telemy/0.0.5"));
        self.http.send(request.json(body))
    }
}

fn client_headers(request: RequestBuilder) -> RequestBuilder {
    request
        .header("x-telemy-client-version", "0.0.5")
        .header("x-telemy-client-platform", "windows")
}
