//! Requests that no honest client sends: a clear answer with the right status, nothing half done.

use reqwest::Method;
use serde_json::{Value, json};

use super::stage::{CONNECTION, Stage};
use crate::harness::client::{Answer, Browser, Http, Plugin};

/// Every call of the plugin that takes a JSON body.
const JSON_CALLS: [(&str, &str); 9] = [
    ("POST", "/api/v1/auth/plugin/login/start"),
    ("POST", "/api/v1/auth/plugin/login/poll"),
    ("POST", "/api/v1/auth/refresh"),
    ("POST", "/api/v1/relay/start"),
    ("POST", "/api/v1/relay/stop"),
    ("POST", "/api/v1/relay/health"),
    ("PUT", "/api/v1/user/stream-slots/1/label"),
    ("POST", "/api/v1/user/stream-slots/1/rotate"),
    ("POST", "/api/v1/user/regenerate-token"),
];

fn send(stage: &Stage, method: &str, path: &str, body: impl Into<reqwest::Body>) -> Answer {
    let request = stage.plugin.authorised(method.parse().unwrap(), path);
    let key = uuid::Uuid::new_v4().to_string();
    let request = request.header("idempotency-key", key);
    stage.plugin.send(
        request
            .header("content-type", "application/json")
            .body(body),
    )
}

fn slots(stage: &Stage) -> Value {
    stage
        .plugin
        .get("/api/v1/user/stream-slots")
        .expect(200)
        .json()
}

#[test]
fn malformed_json_wrong_types_and_bad_utf8_are_400_everywhere_and_change_nothing() {
    let stage = Stage::set();
    let before = slots(&stage);
    let bodies: [&[u8]; 8] = [
        b"{",
        b"{\"label\":",
        b"{\"label\":\"\xff\xfe\"}",
        b"[]",
        b"\"text\"",
        b"{\"a\":1}{\"b\":2}",
        b"{\"label\":7,\"key\":7,\"session_id\":7,\"client\":7,\"refresh_token\":7,\
          \"login_attempt_id\":7,\"slot_number\":\"x\",\"connection_id\":7}",
        b"\x00",
    ];
    for (method, path) in JSON_CALLS {
        for body in bodies {
            let answer = send(&stage, method, path, body);
            let shown = String::from_utf8_lossy(body);
            assert_eq!(answer.status, 400, "{path} {shown}: {}", answer.text());
            assert_eq!(answer.error_code(), "invalid_request", "{path} {shown}");
        }
    }
    assert_eq!(slots(&stage), before);
}

#[test]
fn unknown_fields_are_ignored() {
    let stage = Stage::set();
    let body = json!({"session_id": stage.session.id, "instance_id": "", "weather": [1, 2]});
    let answer = send(&stage, "POST", "/api/v1/relay/health", body.to_string());
    assert_eq!(answer.expect(200).json()["ok"], true);
}

#[test]
fn a_huge_body_gets_a_readable_413() {
    let stage = Stage::set();
    for size in [(1 << 20) + 1, 2 << 20, 3 << 20] {
        for (method, path) in JSON_CALLS {
            let answer = send(&stage, method, path, vec![b' '; size]);
            assert_eq!(answer.status, 413, "{path}: {}", answer.text());
            assert_eq!(answer.error_code(), "invalid_request", "{path}");
        }
    }
}

#[test]
fn ids_that_nobody_has_are_not_found() {
    let stage = Stage::set();
    let label = json!({"label": "Backpack"}).to_string();
    let rename = |number: &str| {
        let path = format!("/api/v1/user/stream-slots/{number}/label");
        send(&stage, "PUT", &path, label.clone()).status
    };
    assert_eq!(rename("99"), 404);
    assert_eq!(rename("-1"), 404);
    assert_eq!(rename("one"), 400);
    for crooked in ["99999999999999999999999", "%ff", "1%2f..%2f2", "1%00"] {
        assert!([400, 404].contains(&rename(crooked)), "{crooked}");
    }
    for id in [
        "ses_0123456789abcdef0123456789abcdef",
        "ses_",
        "",
        "'; DROP TABLE user",
    ] {
        let body = json!({"session_id": id, "instance_id": ""}).to_string();
        let answer = send(&stage, "POST", "/api/v1/relay/health", body.clone());
        assert!(
            [400, 404].contains(&answer.status),
            "{id}: {}",
            answer.text()
        );
        if !id.is_empty() {
            let answer = send(&stage, "POST", "/api/v1/relay/stop", body);
            assert_eq!(answer.expect(404).error_code(), "not_found", "{id}");
        }
    }
    let unknown = stage.plugin.start("conn_1774300000123_9", "neverseen");
    assert_eq!(unknown.expect(404).error_code(), "not_found");
    let crooked = stage
        .plugin
        .start("conn 1774300000123/9", &stage.plugin.stream_token(1));
    assert_eq!(crooked.expect(400).error_code(), "invalid_request");
    assert_eq!(stage.plugin.active("nobody").status, 204);
}

#[test]
fn the_ids_of_another_user_are_not_found_and_stay_untouched() {
    let stage = Stage::set();
    let account = stage.server.admin_create("other@example.org", "streamer");
    let mut browser = Browser::signed_in(&stage.server, &account);
    let other = Plugin::signed_in(&stage.server, &mut browser);
    let session = &stage.session;
    assert_eq!(
        other.stop(&session.id).expect(404).error_code(),
        "not_found"
    );
    assert_eq!(
        other.health(&session.id).expect(404).error_code(),
        "not_found"
    );
    assert_eq!(other.active(CONNECTION).status, 204);
    let token = stage.plugin.stream_token(1);
    let stolen = other.start("conn_1774300000123_7", &token);
    assert_eq!(stolen.expect(404).error_code(), "not_found");
    let ours = stage.active();
    assert_eq!(ours["session"]["session_id"], session.id);
    assert_eq!(ours["session"]["status"], "active");
}

fn signed(stage: &Stage, change: impl FnOnce(&mut Value), key: &[u8]) -> String {
    let payload = stage.plugin.access_token.split('.').nth(1).unwrap();
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let bytes = base64::Engine::decode(&engine, payload).unwrap();
    let mut claims: Value = serde_json::from_slice(&bytes).unwrap();
    change(&mut claims);
    let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
    let key = jsonwebtoken::EncodingKey::from_secret(key);
    jsonwebtoken::encode(&header, &claims, &key).unwrap()
}

/// The statuses of a call that takes an expired token and of one that does not.
fn statuses(stage: &Stage, token: String) -> (u16, u16) {
    let mut plugin = stage.plugin.another();
    plugin.access_token = token;
    let active = plugin.active(CONNECTION);
    let session = plugin.get("/api/v1/auth/session");
    for answer in [&active, &session] {
        if answer.status == 401 {
            assert_eq!(answer.error_code(), "unauthorized");
        }
    }
    (active.status, session.status)
}

#[test]
fn tampered_and_expired_tokens_prove_nothing() {
    let stage = Stage::set();
    let key = std::fs::read_to_string(stage.server.data_dir().join("jwt.key")).unwrap();
    let key = key.trim().as_bytes();
    let good = stage.plugin.access_token.clone();
    assert_eq!(statuses(&stage, good.clone()), (200, 200));
    assert_eq!(statuses(&stage, signed(&stage, |_| {}, key)), (200, 200));
    let seconds_ago = |seconds: i64| {
        move |claims: &mut Value| {
            let now = claims["iat"].as_i64().unwrap();
            claims["exp"] = json!(now - seconds);
        }
    };
    let day = 24 * 60 * 60;
    assert_eq!(
        statuses(&stage, signed(&stage, seconds_ago(day), key)),
        (200, 401)
    );
    assert_eq!(
        statuses(&stage, signed(&stage, seconds_ago(31 * day), key)),
        (401, 401)
    );
    let other_user =
        |claims: &mut Value| claims["uid"] = json!("usr_0123456789abcdef0123456789abcdef");
    for bad in [
        signed(&stage, |_| {}, b"another key of 32 characters or more"),
        signed(&stage, other_user, key),
        signed(&stage, |claims| claims["aud"] = json!("elsewhere"), key),
        signed(
            &stage,
            |claims| drop(claims.as_object_mut().unwrap().remove("sid")),
            key,
        ),
        format!("{good}x"),
        good.replace('.', ""),
        "x".repeat(7_000),
        String::new(),
    ] {
        assert_eq!(statuses(&stage, bad.clone()), (401, 401), "{bad}");
    }
    let none = stage
        .plugin
        .http_without_token()
        .get("/api/v1/relay/active");
    assert_eq!(none.expect(401).error_code(), "unauthorized");
}

#[test]
fn a_revoked_sign_in_is_refused_at_once() {
    let stage = Stage::set();
    let logout = stage.plugin.authorised(Method::POST, "/api/v1/auth/logout");
    stage.plugin.send(logout.json(&json!({}))).expect(204);
    assert_eq!(
        stage.plugin.active(CONNECTION).expect(401).error_code(),
        "unauthorized"
    );
    let logout = stage.plugin.authorised(Method::POST, "/api/v1/auth/logout");
    assert_eq!(stage.plugin.send(logout.json(&json!({}))).status, 204);
}

#[test]
fn unknown_paths_and_methods_and_request_ids_are_answered_in_kind() {
    let stage = Stage::set();
    let http = Http::to(stage.addresses().http);
    assert_eq!(
        http.get("/api/v1/nothing").expect(404).error_code(),
        "not_found"
    );
    let wrong = http.get("/api/v1/relay/start").expect(405);
    assert_eq!(wrong.error_code(), "method_not_allowed");
    let named = http
        .request(Method::GET, "/api/v1/nothing")
        .header("x-request-id", "trace-7");
    assert_eq!(http.send(named).header("x-request-id"), "trace-7");
    let crooked = http
        .request(Method::GET, "/api/v1/nothing")
        .header("x-request-id", "a b\"c");
    assert_ne!(http.send(crooked).header("x-request-id"), "a b\"c");
}

/// G-59: requests of other sites are refused.
#[test]
fn g_59_a_post_from_another_site_is_refused() {
    let stage = Stage::set();
    let cookies: Vec<_> = stage.browser.cookies().collect();
    let http = Http::to(stage.addresses().http);
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let request = http
            .request(Method::POST, "/logout")
            .header("cookie", cookies.join("; "))
            .header(name, value);
        assert_eq!(http.send(request).status, 403, "{name}");
    }
    let mut browser = stage.browser;
    browser.get("/live").expect(200);
}

#[test]
fn polling_a_sign_in_with_nonsense_is_never_a_5xx_or_a_429() {
    let stage = Stage::set();
    let plugin = Plugin::at(stage.addresses().http);
    let attempt = plugin.begin_sign_in();
    let mut wrong = attempt.clone();
    wrong.poll_token = "x".repeat(32);
    for _ in 0..50 {
        assert_eq!(plugin.poll(&wrong).status, 404);
        assert_eq!(plugin.poll(&attempt).status, 202);
    }
    wrong.id = "pla_0123456789abcdef0123456789abcdef".to_owned();
    assert_eq!(plugin.poll(&wrong).expect(404).error_code(), "not_found");
}
