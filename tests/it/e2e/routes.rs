//! Every route as anonymous, another streamer, viewer and owner, against one table.
//!
//! Invariant: a route that is missing here fails the test. The slot and the ids in the paths
//! are the owner's.

use std::collections::BTreeSet;

use reqwest::{Method, RequestBuilder};

use super::stage::Stage;
use crate::harness::client::{Browser, Http, Plugin};

/// Where the routes are declared.
const DECLARED: &str = include_str!("../../../src/appliance/routes.rs");

/// Statuses for anonymous, another streamer, viewer, owner.
type Statuses = [u16; 4];

/// A request and what becomes of it. A body that begins with `{` is JSON, another a form.
type Row = (&'static str, &'static str, &'static str, Statuses);

const PAGES: [Row; 21] = [
    ("GET", "/", "", [303, 303, 303, 303]),
    ("GET", "/login", "", [200, 303, 303, 303]),
    (
        "POST",
        "/login",
        "email=x%40example.org&password=wrong",
        [401, 401, 401, 401],
    ),
    ("GET", "/login/plugin", "", [303, 410, 410, 410]),
    (
        "POST",
        "/login/plugin",
        "attempt=pla_x&decision=approve",
        [401, 410, 403, 410],
    ),
    ("POST", "/theme", "theme=dark", [303, 303, 303, 303]),
    ("GET", "/live", "", [303, 200, 200, 200]),
    ("GET", "/live/events", "", [401, 200, 200, 200]),
    ("GET", "/live/card/{slot_id}", "", [401, 404, 200, 200]),
    (
        "POST",
        "/slots/{slot_id}/label",
        "label=New",
        [401, 404, 403, 303],
    ),
    (
        "POST",
        "/slots/{slot_id}/rotate",
        "key=stats",
        [401, 404, 403, 303],
    ),
    (
        "POST",
        "/slots/{slot_id}/disconnect",
        "",
        [401, 404, 403, 303],
    ),
    ("GET", "/users", "", [303, 403, 403, 200]),
    (
        "POST",
        "/users",
        "email=new%40example.org&role=viewer",
        [401, 403, 403, 200],
    ),
    ("GET", "/account", "", [303, 200, 200, 200]),
    (
        "POST",
        "/account/password",
        "current_password=x&new_password=y",
        [401, 422, 422, 422],
    ),
    (
        "POST",
        "/account/sessions/{id}/revoke",
        "",
        [401, 404, 404, 404],
    ),
    (
        "POST",
        "/account/plugins/{id}/revoke",
        "",
        [401, 404, 404, 404],
    ),
    ("GET", "/setup", "", [303, 303, 303, 303]),
    (
        "POST",
        "/setup",
        "token=x&email=x%40example.org&password=x",
        [303, 303, 303, 303],
    ),
    ("POST", "/logout", "", [303, 303, 303, 303]),
];

/// A viewer has no plugin: it comes with the cookie of its browser, which opens nothing here.
const CALLS: [Row; 16] = [
    (
        "POST",
        "/api/v1/auth/plugin/login/start",
        "{}",
        [400, 400, 400, 400],
    ),
    (
        "POST",
        "/api/v1/auth/plugin/login/poll",
        "{}",
        [400, 400, 400, 400],
    ),
    (
        "POST",
        "/api/v1/auth/plugin/login/complete",
        "{}",
        [401, 401, 401, 401],
    ),
    ("GET", "/api/v1/auth/session", "", [401, 200, 401, 200]),
    ("POST", "/api/v1/auth/refresh", "{}", [400, 400, 400, 400]),
    ("GET", "/api/v1/user/stream-slots", "", [401, 200, 401, 200]),
    ("GET", "/api/v1/stream-slots", "", [401, 200, 401, 200]),
    (
        "PUT",
        "/api/v1/user/stream-slots/{number}/label",
        "{\"label\":\"A\"}",
        [401, 204, 401, 204],
    ),
    (
        "POST",
        "/api/v1/user/stream-slots/{number}/rotate",
        "{\"key\":\"stats\"}",
        [401, 200, 401, 200],
    ),
    (
        "POST",
        "/api/v1/user/regenerate-token",
        "{}",
        [401, 200, 401, 200],
    ),
    ("POST", "/api/v1/relay/start", "{}", [401, 201, 401, 201]),
    ("GET", "/api/v1/relay/active", "", [401, 200, 401, 200]),
    (
        "POST",
        "/api/v1/relay/health",
        "{\"session_id\":\"{session_id}\"}",
        [401, 404, 401, 200],
    ),
    (
        "POST",
        "/api/v1/relay/stop",
        "{\"session_id\":\"{session_id}\"}",
        [401, 404, 401, 200],
    ),
    ("GET", "/api/v1/usage/current", "", [401, 200, 401, 200]),
    ("POST", "/api/v1/auth/logout", "{}", [401, 204, 401, 204]),
];

/// What anybody may ask, with or without a sign-in.
const OPEN: [Row; 7] = [
    ("GET", "/healthz", "", [200; 4]),
    ("GET", "/readyz", "", [200; 4]),
    ("GET", "/health", "", [200; 4]),
    ("GET", "/metrics", "", [200; 4]),
    ("GET", "/favicon.ico", "", [200; 4]),
    ("GET", "/static/{file}", "", [404; 4]),
    ("GET", "/stats/{key}", "", [404; 4]),
];

/// The callers in the order of the statuses.
struct Callers {
    browsers: [Browser; 4],
    plugins: [Option<Plugin>; 4],
    http: Http,
    slot_id: String,
    session_id: String,
}

impl Callers {
    fn of(mut stage: Stage) -> (Stage, Self) {
        let address = stage.addresses().http;
        let mut streamer = signed_in(&stage, "streamer");
        let plugin = Plugin::signed_in(&stage.server, &mut streamer);
        let viewer = signed_in(&stage, "viewer");
        let owner = Browser::signed_in(&stage.server, &stage.owner);
        let callers = Self {
            slot_id: stage.slot_id(),
            session_id: stage.session.id.clone(),
            browsers: [Browser::at(address), streamer, viewer, owner],
            plugins: [None, Some(plugin), None, Some(stage.plugin.another())],
            http: Http::to(address),
        };
        (stage, callers)
    }

    fn statuses(&self, row: &Row, with_token: bool) -> Statuses {
        let (method, path, body, _) = *row;
        let path = path
            .replace("{slot_id}", &self.slot_id)
            .replace("{number}", "1")
            .replace("{id}", "bro_0123456789abcdef0123456789abcdef")
            .replace("{file}", "nothing.css")
            .replace("{key}", "play_nothing");
        let body = body.replace("{session_id}", &self.session_id);
        std::array::from_fn(|caller| {
            let method: Method = method.parse().unwrap();
            let request = match &self.plugins[caller] {
                Some(plugin) if with_token => plugin.authorised(method, &path),
                _ => self.by_browser(caller, method, &path),
            };
            self.http.status(with_body(request, &body))
        })
    }

    fn by_browser(&self, caller: usize, method: Method, path: &str) -> RequestBuilder {
        let cookies: Vec<_> = self.browsers[caller].cookies().collect();
        self.http
            .request(method, path)
            .header("cookie", cookies.join("; "))
            .header("origin", self.http.origin())
    }
}

fn signed_in(stage: &Stage, role: &str) -> Browser {
    let account = stage
        .server
        .admin_create(&format!("{role}@example.org"), role);
    Browser::signed_in(&stage.server, &account)
}

fn with_body(request: RequestBuilder, body: &str) -> RequestBuilder {
    let kind = if body.starts_with('{') {
        "application/json"
    } else {
        "application/x-www-form-urlencoded"
    };
    request
        .header("idempotency-key", uuid::Uuid::new_v4().to_string())
        .header("content-type", kind)
        .body(body.to_owned())
}

#[test]
fn everybody_gets_from_every_route_what_the_table_says() {
    let (_stage, callers) = Callers::of(Stage::set());
    let mut surprises = Vec::new();
    let rows = OPEN.iter().chain(&PAGES).map(|row| (row, false));
    for (row, with_token) in rows.chain(CALLS.iter().map(|row| (row, true))) {
        let statuses = callers.statuses(row, with_token);
        if statuses != row.3 {
            surprises.push(format!(
                "{} {}: {statuses:?}, not {:?}",
                row.0, row.1, row.3
            ));
        }
    }
    assert!(surprises.is_empty(), "{surprises:#?}");
}

#[test]
fn no_route_is_missing_from_the_table() {
    let declared: BTreeSet<_> = DECLARED
        .split("\"/")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    let tested: BTreeSet<_> = [&PAGES[..], &CALLS[..], &OPEN[..]]
        .concat()
        .iter()
        .map(|(_, path, ..)| path.trim_start_matches("/api/v1").trim_start_matches('/'))
        .collect();
    let missing: Vec<_> = declared
        .difference(&tested)
        .filter(|path| **path != "api/v1")
        .collect();
    assert!(declared.len() > 30, "{declared:?}");
    assert!(missing.is_empty(), "not in the table: {missing:?}");
}
