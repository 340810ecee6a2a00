//! A sign-in provider: codes that are good once and bound to PKCE, tokens, and whose they are.
//!
//! Sources: RFC 6749, RFC 7636; the shapes of Twitch, Google and Discord as each documents them.
//!
//! Invariant: it gives no token for a code whose verifier, redirect address, client id or secret is wrong, so a
//! server that leaves one out cannot pass.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use axum::body::Body;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use url::Url;

pub(super) const CLIENT_ID: &str = "client-of-tests";
/// As long as Twitch's.
pub(super) const CLIENT_SECRET: &str = "secret4client5of6tests7abcdefg";

/// Somebody with an account there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) is_verified: bool,
}

impl Person {
    pub(super) fn with_id(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: format!("Streamer {id}"),
            email: format!("person{id}@example.org"),
            is_verified: true,
        }
    }
}

/// What it does instead of answering as documented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// 500.
    Broken,
    /// 200 with something else.
    Nonsense,
    /// 10 MB.
    Huge,
    /// Nothing, ever.
    Silent,
}

#[derive(Debug)]
struct Grant {
    person: Person,
    challenge: String,
    redirect: String,
}

#[derive(Debug)]
struct Books {
    name: &'static str,
    token_fault: Fault,
    user_fault: Fault,
    grants: HashMap<String, Grant>,
    tokens: HashMap<String, Person>,
    issued: u32,
}

type Shared = Arc<Mutex<Books>>;

/// A running provider; it ends with this.
#[derive(Debug)]
pub(super) struct FakeProvider {
    pub(super) name: &'static str,
    address: SocketAddr,
    books: Shared,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FakeProvider {
    /// One that answers as `twitch`, `google` or `discord` does.
    pub(super) fn named(name: &'static str) -> Self {
        let books: Shared = Arc::new(Mutex::new(Books {
            name,
            token_fault: Fault::None,
            user_fault: Fault::None,
            grants: HashMap::new(),
            tokens: HashMap::new(),
            issued: 0,
        }));
        let router = Router::new()
            .route("/token", post(token))
            .route("/user", get(user))
            .with_state(Arc::clone(&books));
        let (stop, stopped) = oneshot::channel::<()>();
        let (say, address) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.expect("a runtime").block_on(async move {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                    .await
                    .expect("a port");
                say.send(listener.local_addr().expect("it is bound"))
                    .expect("somebody waits");
                tokio::select! {
                    _ = async { axum::serve(listener, router).await } => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            name,
            address: address.recv().expect("it starts"),
            books,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// From now on the token endpoint does this.
    pub(super) fn set_token_fault(&self, fault: Fault) {
        self.books.lock().unwrap().token_fault = fault;
    }

    /// From now on the user endpoint does this.
    pub(super) fn set_user_fault(&self, fault: Fault) {
        self.books.lock().unwrap().user_fault = fault;
    }

    /// Every token that it gave.
    pub(super) fn tokens(&self) -> Vec<String> {
        self.books.lock().unwrap().tokens.keys().cloned().collect()
    }

    /// The person allows what the page at `location` asks; answers the path of the way back.
    #[track_caller]
    pub(super) fn approve(&self, location: &str, person: &Person) -> String {
        let (page, query) = self.read(location);
        let mut books = self.books.lock().unwrap();
        books.issued += 1;
        let code = format!("code-{}", books.issued);
        let grant = Grant {
            person: person.clone(),
            challenge: query["code_challenge"].clone(),
            redirect: query["redirect_uri"].clone(),
        };
        books.grants.insert(code.clone(), grant);
        drop(page);
        way_back(&query, &[("code", &code), ("state", &query["state"])])
    }

    /// The person says no.
    #[track_caller]
    pub(super) fn refuse(&self, location: &str) -> String {
        let (_, query) = self.read(location);
        way_back(
            &query,
            &[("error", "access_denied"), ("state", &query["state"])],
        )
    }

    #[track_caller]
    fn read(&self, location: &str) -> (Url, HashMap<String, String>) {
        let page = Url::parse(location).expect("an address");
        assert!(location.starts_with(&self.url("authorize?")), "{location}");
        let query: HashMap<_, _> = page.query_pairs().into_owned().collect();
        assert_eq!(query["response_type"], "code");
        assert_eq!(query["client_id"], CLIENT_ID);
        assert_eq!(query["code_challenge_method"], "S256");
        assert!(query["state"].len() >= 32, "{location}");
        assert!(!query["scope"].is_empty());
        (page, query)
    }
}

impl Drop for FakeProvider {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It may have ended already.
            stop.send(()).ok();
        }
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it does not panic");
        }
    }
}

fn way_back(query: &HashMap<String, String>, pairs: &[(&str, &str)]) -> String {
    let mut redirect = Url::parse(&query["redirect_uri"]).expect("an address");
    redirect.query_pairs_mut().extend_pairs(pairs);
    redirect[url::Position::BeforePath..].to_owned()
}

async fn token(State(books): State<Shared>, Form(form): Form<HashMap<String, String>>) -> Response {
    let fault = books.lock().unwrap().token_fault;
    if fault != Fault::None {
        return misbehave(fault).await;
    }
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    if field("client_id") != CLIENT_ID || field("client_secret") != CLIENT_SECRET {
        return (
            StatusCode::UNAUTHORIZED,
            Json(json!({"error": "invalid_client"})),
        )
            .into_response();
    }
    let mut books = books.lock().unwrap();
    // A code is good once, whatever comes of it.
    let grant = books.grants.remove(field("code"));
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(field("code_verifier")));
    let grant = grant
        .filter(|grant| grant.challenge == challenge && grant.redirect == field("redirect_uri"));
    let Some(grant) = grant.filter(|_| field("grant_type") == "authorization_code") else {
        return (
            StatusCode::BAD_REQUEST,
            Json(json!({"error": "invalid_grant"})),
        )
            .into_response();
    };
    books.issued += 1;
    let access = format!("access-token-canary-{}", books.issued);
    books.tokens.insert(access.clone(), grant.person);
    Json(tokens_of(books.name, &access)).into_response()
}

fn tokens_of(name: &str, access: &str) -> Value {
    let refresh = access.replace("access", "refresh");
    match name {
        "twitch" => json!({"access_token": access, "refresh_token": refresh, "expires_in": 14_124,
            "scope": ["user:read:email"], "token_type": "bearer"}),
        _ => json!({"access_token": access, "refresh_token": refresh, "expires_in": 3599,
            "scope": "email profile", "token_type": "Bearer"}),
    }
}

async fn user(State(books): State<Shared>, headers: HeaderMap) -> Response {
    let fault = books.lock().unwrap().user_fault;
    if fault != Fault::None {
        return misbehave(fault).await;
    }
    let header = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let books = books.lock().unwrap();
    let token = header("authorization")
        .strip_prefix("Bearer ")
        .unwrap_or_default();
    let is_known = books.name != "twitch" || header("client-id") == CLIENT_ID;
    let Some(person) = books.tokens.get(token).filter(|_| is_known) else {
        return (StatusCode::UNAUTHORIZED, Json(json!({"status": 401}))).into_response();
    };
    Json(user_of(books.name, person)).into_response()
}

fn user_of(name: &str, person: &Person) -> Value {
    let Person {
        id,
        name: called,
        email,
        is_verified,
    } = person;
    match name {
        "twitch" => json!({"data": [{"id": id, "login": "streamer", "display_name": called,
            "email": is_verified.then_some(email)}]}),
        "google" => {
            json!({"sub": id, "name": called, "email": email, "email_verified": is_verified})
        }
        _ => json!({"id": id, "username": "streamer", "global_name": called, "email": email,
            "verified": is_verified}),
    }
}

async fn misbehave(fault: Fault) -> Response {
    match fault {
        Fault::None => StatusCode::OK.into_response(),
        Fault::Broken => (StatusCode::INTERNAL_SERVER_ERROR, "<h1>Oops</h1>").into_response(),
        Fault::Nonsense => "<!DOCTYPE html><p>Welcome to our new site".into_response(),
        Fault::Huge => Body::from(vec![b'['; 10 << 20]).into_response(),
        Fault::Silent => std::future::pending().await,
    }
}
