//! How often callers may call, and what they are told of it (G-24).

use reqwest::Method;
use serde_json::json;

use crate::harness::client::{Answer, Browser, Http, Plugin};
use crate::harness::server::Server;

/// The figures of an answer: limit, what is left, seconds until it is whole.
#[track_caller]
fn figures(answer: &Answer) -> [u32; 3] {
    ["limit", "remaining", "reset"].map(|name| {
        let text = answer.header(&format!("x-ratelimit-{name}"));
        text.parse().unwrap_or_else(|_| panic!("{name}: {text:?}"))
    })
}

fn has_figures(answer: &Answer) -> bool {
    !answer.header("x-ratelimit-limit").is_empty()
}

/// What a refusal must have.
#[track_caller]
fn assert_refused(answer: &Answer, limit: u32) {
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert_eq!(answer.error_code(), "rate_limited");
    let [told, remaining, reset] = figures(answer);
    assert_eq!((told, remaining), (limit, 0));
    let wait: u32 = answer.header("retry-after").parse().unwrap();
    assert!(
        (1..=60).contains(&wait) && wait <= reset,
        "{wait} of {reset}"
    );
    let details = &answer.json()["error"]["details"];
    assert_eq!(details["retry_after_seconds"], wait);
}

/// A server and a plugin that has signed in.
fn desk(enabled: bool) -> (Server, Plugin) {
    desk_granting(enabled, 120)
}

/// The same where an address has so many anonymous calls a minute.
fn desk_granting(enabled: bool, anonymous: u32) -> (Server, Plugin) {
    let server = Server::start_with(|config| {
        let config = config.with("GLB_TRUSTED_PROXIES", "127.0.0.1");
        let config = config.with("GLB_LIMITS_ENABLED", enabled);
        let config = config.with("GLB_LIMITS_ANONYMOUS_PER_MINUTE", anonymous);
        config.with("GLB_LIMITS_ACTIVE_PER_MINUTE", 120)
    });
    let account = server.admin_create("owner@example.org", "owner");
    let mut browser = Browser::signed_in(&server, &account);
    let plugin = Plugin::signed_in(&server, &mut browser);
    (server, plugin)
}

/// Calls until refused; how many were not.
fn calls_until_refused(limit: u32, mut call: impl FnMut() -> Answer) -> u32 {
    // Some come back while the test runs.
    for count in 0..limit * 3 {
        let answer = call();
        if answer.status == 429 {
            assert_refused(&answer, limit);
            return count;
        }
        assert_eq!(figures(&answer)[0], limit);
    }
    panic!("never refused");
}

#[test]
fn each_call_about_sessions_has_its_own_allowance_for_each_connection() {
    let (server, plugin) = desk(true);
    let token = plugin.stream_token(1);
    let start = |connection: &str| plugin.start(connection, &token);
    let first = start("conn_1");
    assert_eq!(first.status, 201, "{}", first.text());
    assert_eq!(figures(&first), [30, 29, 2]);
    assert!(calls_until_refused(30, || start("conn_1")) >= 29);
    // Another connection goes on, and so does every other call of this one.
    assert_ne!(start("conn_2").status, 429);
    let active = plugin.active("conn_1");
    assert_eq!(figures(&active)[0], 120);
    assert!(calls_until_refused(120, || plugin.active("conn_1")) >= 119);
    assert_ne!(plugin.active("conn_2").status, 429);
    // What is not there is counted, too, and told in the same way.
    let missing = plugin.stop("ses_0197f3a2b4c87d10a1b2c3d4e5f60718");
    assert_eq!(missing.status, 404);
    assert_eq!(figures(&missing), [60, 59, 1]);
    assert!(calls_until_refused(60, || plugin.stop("none")) >= 60);
    let usage = || plugin.get("/api/v1/usage/current");
    assert!(calls_until_refused(30, usage) >= 30);
    // A heartbeat has no limit: it keeps a stream alive.
    for _ in 0..150 {
        assert!(!has_figures(&plugin.health("none")));
    }
    // Operators see which limit was reached how often. A peer on this machine without a proxy may scrape.
    let figures = Http::to(server.addresses().http)
        .get("/metrics")
        .expect(200);
    let figures = figures.text();
    let count = |limit: &str, count: u32| {
        let line = format!("glb_http_limited_calls_total{{limit=\"{limit}\"}} {count}");
        assert!(figures.lines().any(|it| it == line), "{line} in {figures}");
    };
    for limit in ["relay_start", "relay_stop", "relay_active", "usage"] {
        count(limit, 1);
    }
    count("sign_in", 0);
}

#[test]
fn strangers_are_counted_by_address_and_never_where_it_would_hurt() {
    // So few that none comes back while the test runs.
    let (server, plugin) = desk_granting(true, 3);
    let http = Http::to(server.addresses().http);
    let from = |address: &str, path: &str| {
        let request = http.request(Method::GET, path);
        http.send(request.header("x-forwarded-for", address))
    };
    let path = "/api/v1/capacity/status";
    let flood = || from("203.0.113.9", path);
    assert!(calls_until_refused(3, flood) >= 3);
    // The right-most hop that is no trusted proxy counts, so nobody can be somebody else.
    assert_eq!(from("198.51.100.1, 203.0.113.9", path).status, 429);
    assert_eq!(from("203.0.113.9, 198.51.100.1", path).status, 200);
    assert_eq!(from("203.0.113.10", path).status, 200);
    let flood = || from("2001:db8:1:2::1", path);
    assert!(calls_until_refused(3, flood) >= 3);
    assert_eq!(from("2001:db8:1:2:ffff::9", path).status, 429);
    assert_eq!(from("2001:db8:1:3::1", path).status, 200);
    // A bearer of nothing is a stranger, and so is whoever guesses a key.
    let request = http.request(Method::POST, "/api/v1/auth/refresh");
    let request = request
        .header("x-forwarded-for", "203.0.113.9")
        .bearer_auth("x");
    assert_refused(&http.send(request.json(&json!({"refresh_token": "x"}))), 3);
    assert_eq!(from("203.0.113.9", "/stats/play_guessed").status, 429);
    // Whoever has a key, waits for a sign-in or looks after the server is let through.
    let key = format!("/stats/play_{}?legacy=1", plugin.stream_token(1));
    for path in ["/healthz", "/readyz", "/health", &key] {
        for _ in 0..130 {
            let answer = from("203.0.113.9", path).expect(200);
            assert!(!has_figures(&answer), "{path}");
        }
    }
    let body = json!({"login_attempt_id": "none", "poll_token": "none"});
    for _ in 0..130 {
        let request = http.request(Method::POST, "/api/v1/auth/plugin/login/poll");
        let request = request.header("x-forwarded-for", "203.0.113.9");
        let answer = http.send(request.json(&body)).expect(404);
        assert!(!has_figures(&answer));
    }
}

#[test]
fn sign_ins_are_begun_only_so_often_from_one_address() {
    let (server, _plugin) = desk(true);
    let http = Http::to(server.addresses().http);
    let begin = |address: &str| {
        let request = http.request(Method::POST, "/api/v1/auth/plugin/login/start");
        let body = json!({"client": {"platform": "windows"}});
        http.send(request.header("x-forwarded-for", address).json(&body))
    };
    // The nearer of two limits is told.
    assert_eq!(figures(&begin("203.0.113.9")), [20, 19, 6]);
    assert!(calls_until_refused(20, || begin("203.0.113.9")) >= 19);
    begin("203.0.113.10").expect(201);
    let page = http
        .request(Method::GET, "/login")
        .header("x-forwarded-for", "203.0.113.9");
    http.send(page).expect(200);
}

#[test]
fn one_switch_takes_all_limits_away() {
    let (server, plugin) = desk(false);
    let http = Http::to(server.addresses().http);
    for _ in 0..40 {
        let usage = plugin.get("/api/v1/usage/current").expect(200);
        assert!(!has_figures(&usage));
        plugin.begin_sign_in();
    }
    for _ in 0..130 {
        http.get("/api/v1/capacity/status").expect(200);
    }
}
