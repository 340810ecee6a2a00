//! What supervisors, Prometheus and whoever sets the appliance up get, before and after its claim.
//!
//! Invariant: what the figures are is `figures`; here is who reads them.

use reqwest::Method;
use serde_json::{Value, json};

use super::callers::between;
use crate::harness::client::{Answer, Browser, Http, Plugin};
use crate::harness::server::Server;

const TOKEN: &str = "a token that reads figures and nothing else";

/// The answer to a GET with one more header.
fn get_with(http: &Http, path: &str, name: &str, value: &str) -> Answer {
    let request = http.request(Method::GET, path);
    http.send(request.header(name, value))
}

#[test]
fn a_server_that_nobody_owns_says_so_and_answers_its_supervisors() {
    let server = Server::start();
    let http = Http::to(server.addresses().http);
    for path in ["/healthz", "/readyz", "/health", "/metrics"] {
        http.get(path).expect(200);
    }
    for (method, path) in [
        (Method::GET, "/api/v1/auth/session"),
        (Method::POST, "/api/v1/auth/plugin/login/start"),
        (Method::POST, "/api/v1/auth/plugin/login/poll"),
        (Method::POST, "/api/v1/relay/start"),
        (Method::GET, "/api/v1/relay/active"),
        (Method::POST, "/api/v1/relay/health"),
        (Method::GET, "/stats/play_unknown?legacy=1"),
    ] {
        let request = http.request(method, path).header("accept", "text/html");
        let answer = http.send(request).expect(503);
        assert_eq!(answer.error_code(), "setup_required", "{path}");
    }
    for path in ["/", "/live", "/login", "/users", "/account", "/setup"] {
        let page = http.get(path);
        assert_eq!(page.status, 503, "{path}");
        assert!(page.header("content-type").starts_with("text/html"));
        assert!(
            page.text().contains("Set up this appliance"),
            "{path}: {}",
            page.text()
        );
    }
    let stylesheet = between(&http.get("/setup").text(), "\"/static/", "\"");
    http.get(&format!("/static/{stylesheet}")).expect(200);
    let stats = Http::to(server.addresses().stats);
    let refused = stats.get("/stats/play_unknown").expect(503);
    assert_eq!(refused.error_code(), "setup_required");

    server.admin_create("owner@example.org", "owner");
    assert_eq!(
        http.get("/live").expect(303).header("location"),
        "/login?next=%2Flive"
    );
    assert_eq!(http.get("/setup").expect(303).header("location"), "/live");
    http.get("/api/v1/relay/active").expect(401);
}

#[test]
fn health_is_told_in_json_to_everybody() {
    let server = Server::start();
    let http = Http::to(server.addresses().http);
    let ready = json!({"status": "ok", "database": "ok", "relay": "ok"});
    for (path, body) in [
        ("/healthz", json!({"status": "ok"})),
        ("/readyz", ready.clone()),
        ("/health", ready),
    ] {
        let answer = get_with(&http, path, "x-forwarded-for", "203.0.113.9").expect(200);
        assert_eq!(answer.json(), body, "{path}");
        let head = http.send(http.request(Method::HEAD, path)).expect(200);
        assert!(head.body.is_empty(), "{path}");
    }
}

#[test]
fn figures_are_for_this_machine_the_token_and_operators() {
    let server = Server::start_with(|config| config.with("GLB_METRICS_TOKEN", TOKEN));
    let owner = server.admin_create("owner@example.org", "owner");
    let viewer = server.admin_create("viewer@example.org", "viewer");
    let http = Http::to(server.addresses().http);
    let scrape = http.get("/metrics").expect(200);
    assert!(
        scrape
            .header("content-type")
            .starts_with("application/openmetrics-text")
    );
    let remote = |credentials: Option<(&str, String)>| {
        let request = http
            .request(Method::GET, "/metrics")
            .header("x-forwarded-for", "127.0.0.1");
        http.send(match credentials {
            Some((name, value)) => request.header(name, value),
            None => request,
        })
    };
    assert_eq!(remote(None).expect(401).error_code(), "unauthorized");
    for header in [
        "forwarded",
        "x-real-ip",
        "x-forwarded-host",
        "x-forwarded-proto",
    ] {
        get_with(&http, "/metrics", header, "for=127.0.0.1").expect(401);
    }
    remote(Some(("authorization", format!("Bearer {TOKEN}")))).expect(200);
    for wrong in ["", "Bearer", "Bearer x", &format!("Bearer {TOKEN}x"), TOKEN] {
        remote(Some(("authorization", wrong.to_owned()))).expect(401);
    }
    for (account, status) in [(owner, 200), (viewer, 401)] {
        let browser = Browser::signed_in(&server, &account);
        let cookies: Vec<_> = browser.cookies().collect();
        remote(Some(("cookie", cookies.join("; ")))).expect(status);
    }
    // The token reads figures and nothing else.
    let bearer = format!("Bearer {TOKEN}");
    let session = get_with(&http, "/api/v1/auth/session", "authorization", &bearer);
    session.expect(401);
}

#[test]
fn without_a_configured_token_no_token_is_right() {
    let server = Server::start();
    let http = Http::to(server.addresses().http);
    for token in ["", TOKEN] {
        let request = http
            .request(Method::GET, "/metrics")
            .header("x-forwarded-for", "203.0.113.9")
            .bearer_auth(token);
        http.send(request).expect(401);
    }
}

#[test]
fn a_listener_of_their_own_takes_the_figures_off_the_main_one() {
    let server = Server::start_with(|config| config.with("GLB_METRICS_LISTEN", "127.0.0.1:0"));
    let file = server.data_dir().join("run/addresses.json");
    let addresses: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let metrics = addresses["metrics"].as_str().unwrap().parse().unwrap();
    let metrics = Http::to(metrics);
    metrics.get("/metrics").expect(200);
    get_with(&metrics, "/metrics", "x-forwarded-for", "127.0.0.1").expect(401);
    server.admin_create("owner@example.org", "owner");
    for path in [
        "/",
        "/healthz",
        "/login",
        "/api/v1/relay/active",
        "/stats/x",
    ] {
        assert_eq!(metrics.get(path).expect(404).error_code(), "not_found");
    }
    let main = Http::to(server.addresses().http).get("/metrics");
    assert_eq!(main.expect(404).error_code(), "not_found");
}

#[test]
fn the_port_that_plugins_read_serves_figures_and_nothing_else() {
    let server = Server::start();
    let owner = server.admin_create("owner@example.org", "owner");
    let mut browser = Browser::signed_in(&server, &owner);
    let plugin = Plugin::signed_in(&server, &mut browser);
    let key = format!("play_{}", plugin.stream_token(1));
    let main = Http::to(server.addresses().http);
    let stats = Http::to(server.addresses().stats);
    for http in [&main, &stats] {
        let figures = http.get(&format!("/stats/{key}?legacy=1")).expect(200);
        assert_eq!(figures.json()["publishers"], json!({}));
        assert_eq!(figures.header("access-control-allow-origin"), "*");
        assert_eq!(figures.header("cache-control"), "no-store");
        // The bare token, another direction's key and an invented one open nothing.
        for bad in [&key["play_".len()..], "play_0", "live_0", "stats_0", "x"] {
            let refused = http.get(&format!("/stats/{bad}")).expect(404);
            assert_eq!(refused.error_code(), "not_found", "{bad}");
        }
        let posted = http.send(http.request(Method::POST, &format!("/stats/{key}")));
        assert_eq!(posted.expect(405).error_code(), "method_not_allowed");
    }
    for path in [
        "/",
        "/live",
        "/login",
        "/setup",
        "/healthz",
        "/readyz",
        "/metrics",
        "/favicon.ico",
        "/api/v1/auth/session",
        "/api/v1/relay/active",
        "/stats",
        "/stats/",
    ] {
        assert_eq!(stats.get(path).expect(404).error_code(), "not_found");
    }
}
