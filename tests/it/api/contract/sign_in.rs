//! `login/start`, `login/poll`, `login/complete`.

use serde_json::{Value, json};

use super::Desk;
use super::snapshot::idle_shape;
use crate::api::shape::shape;
use crate::harness::client::{Answer, Attempt};

const START: &str = "/api/v1/auth/plugin/login/start";
const POLL: &str = "/api/v1/auth/plugin/login/poll";
const COMPLETE: &str = "/api/v1/auth/plugin/login/complete";
const KEY: &str = "a key that lets another page complete";
const KEY_HEADER: &str = "x-plugin-login-auth";

fn desk_with_key() -> Desk {
    Desk::open_with(|config| config.with("GLB_PLUGIN_LOGIN_COMPLETE_KEY", KEY))
}

impl Desk {
    #[track_caller]
    fn complete(&self, body: &Value) -> Answer {
        self.post_with(COMPLETE, (KEY_HEADER, KEY), body)
    }

    fn approval(&self, attempt: &Attempt) -> Value {
        json!({
            "login_attempt_id": attempt.id,
            "outcome": "completed",
            "user_id": self.account.user_id,
        })
    }
}

#[test]
fn a_start_answers_what_the_plugin_stores() {
    let desk = Desk::open();
    let client = json!({"platform": "windows", "plugin_version": "0.0.5", "device_name": "OBS"});
    let body = json!({"client": client, "extra": {"ignored": true}});
    let started = desk.http.post_json(START, &body).expect(201).json();
    let expected = json!({
        "login_attempt_id": "text",
        "authorize_url": "text",
        "poll_token": "text",
        "expires_at": "time",
        "poll_interval_seconds": "integer",
        "short_code": "text",
    });
    assert_eq!(shape(&started), expected);
    let id = started["login_attempt_id"].as_str().unwrap();
    assert!(id.starts_with("pla_"), "{id}");
    assert_eq!(started["poll_token"].as_str().unwrap().len(), 32);
    assert_eq!(started["poll_interval_seconds"], 3);
    let url = format!("{}/login/plugin?attempt={id}", desk.http.origin());
    assert_eq!(started["authorize_url"], url);

    let minimal = json!({"client": {"platform": "linux"}});
    desk.http.post_json(START, &minimal).expect(201);
    for (client, field) in [
        (json!({"platform": ""}), "client.platform"),
        (json!({"platform": "x".repeat(33)}), "client.platform"),
        (
            json!({"platform": "x", "plugin_version": "1".repeat(33)}),
            "client.plugin_version",
        ),
        (
            json!({"platform": "x", "device_name": "n".repeat(129)}),
            "client.device_name",
        ),
    ] {
        let refused = desk.http.post_json(START, &json!({ "client": client }));
        assert_eq!(refused.clone().expect(400).error_code(), "invalid_request");
        let fields = &refused.json()["error"]["details"]["fields"];
        assert_eq!(fields[0]["field"], field);
    }
    for bad in [json!({}), json!({"client": {}}), json!({"client": "x"})] {
        desk.http.post_json(START, &bad).expect(400);
    }
}

#[test]
fn a_poll_answers_pending_then_the_account_and_the_same_again() {
    let desk = desk_with_key();
    let attempt = desk.plugin.begin_sign_in();
    let pending = desk.plugin.poll(&attempt).expect(202).json();
    assert_eq!(pending, json!({"status": "pending"}));

    let none = desk.complete(&desk.approval(&attempt)).expect(204);
    assert_eq!(none.body, b"");
    let again = desk.complete(&desk.approval(&attempt)).expect(404);
    assert_eq!(again.error_code(), "not_found");

    let claimed = desk.plugin.poll(&attempt).expect(200).json();
    let mut expected = idle_shape();
    expected["status"] = json!("text");
    expected["auth"] = json!({"cp_access_jwt": "text", "refresh_token": "text"});
    assert_eq!(shape(&claimed), expected);
    assert_eq!(claimed["status"], "completed");
    assert_eq!(claimed["user"]["id"], desk.account.user_id);
    assert_eq!(claimed["auth"]["refresh_token"].as_str().unwrap().len(), 43);
    let repeated = desk.plugin.poll(&attempt).expect(200).json();
    assert_eq!(repeated["auth"], claimed["auth"]);
}

#[test]
fn a_poll_of_nonsense_is_400_and_of_anything_unknown_404() {
    let desk = Desk::open();
    let attempt = desk.plugin.begin_sign_in();
    let nobody = "pla_0123456789abcdef0123456789abcdef";
    for (id, token, status) in [
        ("", "x", 400),
        (attempt.id.as_str(), "", 400),
        (attempt.id.as_str(), "x", 404),
        (nobody, attempt.poll_token.as_str(), 404),
        ("no id at all", "x", 404),
    ] {
        let body = json!({"login_attempt_id": id, "poll_token": token});
        let answer = desk.http.post_json(POLL, &body).expect(status);
        let code = if status == 400 {
            "invalid_request"
        } else {
            "not_found"
        };
        assert_eq!(answer.error_code(), code);
    }
    desk.http.post_json(POLL, &json!({})).expect(400);
    desk.http.post_json(POLL, &json!([1])).expect(400);
    // None of it has hurt the attempt.
    desk.plugin.poll(&attempt).expect(202);
}

#[test]
fn a_denial_reaches_the_plugin_with_its_reason() {
    let desk = desk_with_key();
    for (given, told) in [
        (json!("not_a_member"), "not_a_member"),
        (json!(null), "login_denied"),
    ] {
        let attempt = desk.plugin.begin_sign_in();
        let denial = json!({
            "login_attempt_id": attempt.id, "outcome": "denied", "reason_code": given,
        });
        desk.complete(&denial).expect(204);
        let denied = desk.plugin.poll(&attempt).expect(403);
        assert_eq!(denied.error_code(), "login_denied");
        assert_eq!(denied.json()["error"]["reason_code"], told);
        desk.complete(&desk.approval(&attempt)).expect(404);
    }
}

/// G-51: the key lets its holder in as anybody, so it is asked for first, and compared in constant time.
#[test]
fn g_51_completing_needs_the_key_before_anything_else_is_looked_at() {
    let keyed = desk_with_key();
    let attempt = keyed.plugin.begin_sign_in();
    let good = keyed.approval(&attempt);
    for key in ["", "x", &format!("{KEY}x"), &KEY[1..]] {
        for body in [&good, &json!({})] {
            let refused = keyed.post_with(COMPLETE, (KEY_HEADER, key), body);
            assert_eq!(refused.expect(401).error_code(), "unauthorized");
        }
    }
    keyed.http.post_json(COMPLETE, &good).expect(401);
    // A plugin's own token is not the key.
    keyed.post(COMPLETE, &good).expect(401);
    keyed.plugin.poll(&attempt).expect(202);

    for (bad, status) in [
        (json!({}), 400),
        (
            json!({"login_attempt_id": attempt.id, "outcome": "maybe"}),
            400,
        ),
        (
            json!({"login_attempt_id": attempt.id, "outcome": "completed"}),
            400,
        ),
        (
            json!({"login_attempt_id": attempt.id, "outcome": "denied", "reason_code": "a b"}),
            400,
        ),
        (
            json!({"login_attempt_id": "pla_nobody", "outcome": "denied"}),
            404,
        ),
        (
            json!({
                "login_attempt_id": attempt.id, "outcome": "completed",
                "user_id": "usr_0123456789abcdef0123456789abcdef",
            }),
            404,
        ),
    ] {
        keyed.complete(&bad).expect(status);
    }
    keyed.plugin.poll(&attempt).expect(202);

    let viewer = keyed.server.admin_create("viewer@example.org", "viewer");
    let mut for_viewer = good.clone();
    for_viewer["user_id"] = json!(viewer.user_id);
    // A plugin holds keys, which a viewer never sees.
    let refused = keyed.complete(&for_viewer).expect(403);
    assert_eq!(refused.error_code(), "forbidden");
    keyed.complete(&good).expect(204);
}

/// G-51: nobody holds a key that nobody configured.
#[test]
fn g_51_without_a_configured_key_nobody_completes() {
    let desk = Desk::open();
    let attempt = desk.plugin.begin_sign_in();
    for key in ["", KEY] {
        let refused = desk.post_with(COMPLETE, (KEY_HEADER, key), &desk.approval(&attempt));
        assert_eq!(refused.expect(401).error_code(), "unauthorized");
    }
    desk.plugin.poll(&attempt).expect(202);
}

#[test]
fn an_attempt_that_is_over_says_how() {
    let desk = desk_with_key();
    let late = desk.plugin.begin_sign_in();
    let over = format!(
        "UPDATE plugin_login_attempt SET expires_at_ms = created_at_ms WHERE id = '{}'",
        late.id
    );
    desk.move_time(&over, 1);
    let expired = desk.plugin.poll(&late).expect(410);
    assert_eq!(expired.error_code(), "login_attempt_expired");
    desk.complete(&desk.approval(&late)).expect(404);

    let claimed = desk.plugin.begin_sign_in();
    desk.complete(&desk.approval(&claimed)).expect(204);
    desk.plugin.poll(&claimed).expect(200);
    let minute = format!(
        "UPDATE plugin_login_attempt SET claimed_at_ms = claimed_at_ms - 61000 WHERE id = '{}'",
        claimed.id
    );
    desk.move_time(&minute, 1);
    let refused = desk.plugin.poll(&claimed).expect(409);
    assert_eq!(refused.error_code(), "login_already_claimed");
}

#[test]
fn an_approval_in_time_can_be_claimed_after_the_attempts_end() {
    let desk = desk_with_key();
    let attempt = desk.plugin.begin_sign_in();
    desk.complete(&desk.approval(&attempt)).expect(204);
    let over = "UPDATE plugin_login_attempt SET expires_at_ms = created_at_ms
                WHERE status = 'approved' AND claimed_at_ms IS NULL";
    desk.move_time(over, 1);
    desk.plugin.poll(&attempt).expect(200);
}
