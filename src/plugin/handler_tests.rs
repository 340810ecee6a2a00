//! The handlers of sign-in and accounts behind a router, as callers meet them.

mod api;
mod pages;

use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::FromRef;
use axum::routing::{get, post};
use http::{Method, Request, StatusCode, header};
use serde_json::Value;
use tower::ServiceExt;

use super::api as plugin_api;
use super::pages as plugin_pages;
use super::snapshot::Snapshots;
use super::{PluginConfig, PluginService};
use crate::accounts::service::SignUps;
use crate::accounts::service::testing::{PASSWORD, World};
use crate::accounts::{self, AccountsService, api as accounts_api, pages as accounts_pages};
use crate::http::Peer;
use crate::kernel::secret::SecretString;
use crate::kernel::{Clock, Role};
use crate::plans::billing::BillingService;
use crate::plans::billing::testing::unconfigured;
use crate::plans::model::PlanRules;
use crate::plans::service::PlansService;
use crate::relay::testing::{FakeEngine, stored};
use crate::relay::{RelayConfig, RelayDeps, RelayService};
use crate::settings::{AddressSources, AdvertisedPorts, Settings};
use crate::slots::SlotsService;

const KEY: &str = "a key of the operator's other page";

#[derive(Clone, FromRef)]
struct State {
    accounts: AccountsService,
    billing: BillingService,
    plugin: PluginService,
    snapshots: Snapshots,
    relay: RelayService,
    sign_ups: SignUps,
}

/// Everything that the handlers need, on a fresh store and a clock that stands.
struct App {
    world: World,
    router: Router,
    engine: Arc<FakeEngine>,
}

struct Answer {
    status: StatusCode,
    headers: http::HeaderMap,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn error_code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap().to_owned()
    }

    fn location(&self) -> &str {
        self.headers[header::LOCATION].to_str().unwrap()
    }

    /// Name and value of the cookie that the answer sets.
    fn cookie(&self) -> String {
        let value = self.headers[header::SET_COOKIE].to_str().unwrap();
        value.split(';').next().unwrap().to_owned()
    }
}

fn routes() -> Router<State> {
    Router::new()
        .route(
            "/login",
            get(accounts_pages::show_login).post(accounts_pages::submit_login),
        )
        .route("/logout", post(accounts_pages::log_out))
        .route("/theme", post(accounts_pages::choose_theme))
        .route(
            "/users",
            get(accounts_pages::show_users).post(accounts_pages::add_user),
        )
        .route("/account", get(accounts_pages::show_account))
        .route("/account/password", post(accounts_pages::change_password))
        .route(
            "/account/sessions/{id}/revoke",
            post(accounts_pages::revoke_browser),
        )
        .route(
            "/account/plugins/{id}/revoke",
            post(accounts_pages::revoke_plugin),
        )
        .route(
            "/login/plugin",
            get(plugin_pages::show_approval).post(plugin_pages::decide),
        )
        .route(
            "/api/v1/auth/plugin/login/start",
            post(plugin_api::start_login),
        )
        .route(
            "/api/v1/auth/plugin/login/poll",
            post(plugin_api::poll_login),
        )
        .route(
            "/api/v1/auth/plugin/login/complete",
            post(plugin_api::complete_login),
        )
        .route("/api/v1/auth/session", get(plugin_api::get_session))
        .route("/api/v1/auth/refresh", post(plugin_api::refresh))
        .route("/api/v1/auth/logout", post(accounts_api::log_out))
}

impl App {
    async fn new() -> Self {
        let world = World::new();
        let clock = Clock::from_source(Arc::clone(&world.clock) as _);
        let (store, vault) = (world.store.clone(), Arc::clone(&world.vault));
        let sources = AddressSources {
            configured_host: None,
            configured_url: Some("https://relay.example.org".into()),
            detected: Ipv4Addr::new(203, 0, 113, 7),
            http_port: 8080,
            ports: AdvertisedPorts {
                srtla: 5000,
                srt_publish: 4001,
                srt_play: 4000,
                stats: 8090,
            },
        };
        let settings = Settings::load(store.clone(), clock.clone(), sources)
            .await
            .unwrap();
        let slots = SlotsService::new(store.clone(), clock.clone(), Arc::clone(&vault));
        let engine = FakeEngine::new();
        let relay = RelayService::new(RelayDeps {
            metrics: crate::relay::ProvisionMetrics::default(),
            store: store.clone(),
            clock: clock.clone(),
            vault: Arc::clone(&vault),
            plans: PlansService::new(store.clone(), clock.clone(), PlanRules::default()),
            slots: slots.clone(),
            settings: settings.clone(),
            zone: None,
            nodes: stored(&store, &clock, &vault, &engine).await,
            config: RelayConfig::default(),
        });
        let accounts = world.accounts.clone();
        let billing = unconfigured(&store, &clock, &settings);
        let config = PluginConfig {
            complete_key: Some(SecretString::from(KEY)),
            ..PluginConfig::default()
        };
        let sign_ups = SignUps::new(accounts.clone(), settings.clone());
        let plugin = PluginService::new(store, clock, vault, accounts.clone(), settings, config);
        let snapshots = Snapshots::new(accounts.clone(), slots, relay.clone());
        let router = routes().with_state(State {
            accounts,
            billing,
            plugin,
            snapshots,
            relay,
            sign_ups,
        });
        Self {
            world,
            router,
            engine,
        }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        self.send_from(request, "203.0.113.9").await
    }

    async fn send_from(&self, mut request: Request<Body>, ip: &str) -> Answer {
        let peer = Peer {
            ip: ip.parse().unwrap(),
            is_https: true,
            is_forwarded: false,
        };
        request.extensions_mut().insert(peer);
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    async fn post_json(&self, path: &str, body: &Value) -> Answer {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap())
            .await
    }

    async fn bearer(&self, method: Method, path: &str, token: &str) -> Answer {
        let request = Request::builder().method(method).uri(path);
        let request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn get(&self, path: &str, cookie: &str) -> Answer {
        let request = Request::get(path).header(header::COOKIE, cookie);
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn post_form(&self, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let request = Request::post(path)
            .header(header::COOKIE, cookie)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    /// Makes a user and signs a browser in as them; returns the cookie.
    async fn browser(&self, email: &str, role: Role) -> String {
        self.world.user(email, role).await;
        self.sign_in(email, PASSWORD).await.cookie()
    }

    async fn sign_in(&self, email: &str, password: &str) -> Answer {
        self.post_form("/login", "", &[("email", email), ("password", password)])
            .await
    }

    /// Starts a sign-in of a plugin.
    async fn start(&self) -> Value {
        let body = serde_json::json!({"client": {
            "platform": "windows", "plugin_version": "0.0.5", "device_name": "OBS <Desktop>",
        }});
        self.post_json("/api/v1/auth/plugin/login/start", &body)
            .await
            .json()
    }

    async fn poll(&self, started: &Value) -> Answer {
        let body = serde_json::json!({
            "login_attempt_id": started["login_attempt_id"], "poll_token": started["poll_token"],
        });
        self.post_json("/api/v1/auth/plugin/login/poll", &body)
            .await
    }

    async fn decide(&self, started: &Value, cookie: &str, decision: &str) -> Answer {
        let id = started["login_attempt_id"].as_str().unwrap();
        let fields = [("attempt", id), ("decision", decision)];
        self.post_form("/login/plugin", cookie, &fields).await
    }

    /// Signs a plugin in as a new streamer; returns poll's answer.
    async fn plugin(&self, email: &str) -> Value {
        let cookie = self.browser(email, Role::Streamer).await;
        let started = self.start().await;
        self.decide(&started, &cookie, "approve").await;
        self.poll(&started).await.json()
    }

    async fn user_id(&self, email: &str) -> String {
        let email = accounts::Email::parse(email).unwrap();
        let sql = "SELECT id FROM user WHERE email = ?1";
        let read = move |conn: &rusqlite::Connection| {
            Ok::<_, crate::kernel::Error>(conn.query_row(sql, [email.as_str()], |row| row.get(0))?)
        };
        self.world.store.read(read).await.unwrap()
    }
}
