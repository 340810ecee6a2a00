//! `auth/refresh` and `auth/logout`.

use serde_json::json;

use super::Desk;
use super::snapshot::idle_shape;
use crate::api::shape::shape;
use crate::harness::client::{Answer, Browser, Plugin};

const REFRESH: &str = "/api/v1/auth/refresh";
const LOGOUT: &str = "/api/v1/auth/logout";
const SESSION: &str = "/api/v1/auth/session";

impl Desk {
    #[track_caller]
    fn refresh(&self, token: &str) -> Answer {
        self.http
            .post_json(REFRESH, &json!({ "refresh_token": token }))
    }
}

/// G-82: the plugin forgets a token that is not in the answer.
#[test]
fn g_82_a_refresh_answers_both_tokens_and_the_account() {
    let desk = Desk::open();
    let refreshed = desk.refresh(&desk.plugin.refresh_token).expect(200).json();
    let mut expected = idle_shape();
    expected["auth"] = json!({"cp_access_jwt": "text", "refresh_token": "text"});
    assert_eq!(shape(&refreshed), expected);
    assert_eq!(refreshed["user"]["id"], desk.account.user_id);
    assert_ne!(
        refreshed["auth"]["refresh_token"],
        desk.plugin.refresh_token
    );
    assert_ne!(refreshed["auth"]["cp_access_jwt"], desk.plugin.access_token);

    for (body, status, code) in [
        (json!({"refresh_token": ""}), 400, "invalid_request"),
        (json!({}), 400, "invalid_request"),
        (json!({"refresh_token": "unknown"}), 401, "unauthorized"),
    ] {
        let refused = desk.http.post_json(REFRESH, &body).expect(status);
        assert_eq!(refused.error_code(), code);
    }
}

#[test]
fn a_lost_refresh_answer_is_given_again_until_its_tokens_have_been_used() {
    let mut desk = Desk::open();
    let first = desk.plugin.refresh_token.clone();
    let answered = desk.refresh(&first).expect(200).json();
    for _ in 0..3 {
        let again = desk.refresh(&first).expect(200).json();
        assert_eq!(again["auth"], answered["auth"]);
    }
    // The old access token is as good as before: its session lives.
    desk.plugin.get(SESSION).expect(200);

    desk.plugin.keep(&answered);
    desk.plugin.get(SESSION).expect(200);
    // The answer may still be on its way to the one who asked twice.
    assert_eq!(
        desk.refresh(&first).expect(200).json()["auth"],
        answered["auth"]
    );
    let minute = "UPDATE refresh_token SET successor_used_at_ms = successor_used_at_ms - 61000
                  WHERE successor_used_at_ms IS NOT NULL";
    desk.move_time(minute, 1);
    let reused = desk.refresh(&first).expect(410);
    assert_eq!(reused.error_code(), "session_expired");
    // It is in somebody else's hands, so the whole family is over.
    let newest = desk.refresh(&desk.plugin.refresh_token).expect(410);
    assert_eq!(newest.error_code(), "session_expired");
    assert_eq!(
        desk.plugin.get(SESSION).expect(401).error_code(),
        "unauthorized"
    );
    desk.plugin
        .active("conn_1774300000123_1")
        .expect(401)
        .error_code();
}

#[test]
fn a_logout_is_204_each_time_and_ends_that_session_alone() {
    let desk = Desk::open();
    let mut browser = Browser::signed_in(&desk.server, &desk.account);
    let other = Plugin::signed_in(&desk.server, &mut browser);
    for _ in 0..2 {
        let done = desk.post(LOGOUT, &json!({})).expect(204);
        assert_eq!(done.body, b"");
    }
    let refused = desk.plugin.get(SESSION).expect(401);
    assert_eq!(refused.error_code(), "unauthorized");
    assert_eq!(refused.header("www-authenticate"), "Bearer");
    let ended = desk.refresh(&desk.plugin.refresh_token).expect(410);
    assert_eq!(ended.error_code(), "session_expired");
    other.get(SESSION).expect(200);

    let anonymous = desk.http.post_json(LOGOUT, &json!({})).expect(401);
    assert_eq!(anonymous.json()["error"]["message"], "missing bearer token");
    // The body does not matter, nor that there is none.
    let bare = other.authorised(reqwest::Method::POST, LOGOUT);
    other.send(bare).expect(204);
}

#[test]
fn a_session_that_was_not_refreshed_in_time_is_over() {
    let desk = Desk::open();
    let over = "UPDATE auth_session SET expires_at_ms = created_at_ms";
    desk.move_time(over, 1);
    let expired = desk.refresh(&desk.plugin.refresh_token).expect(410);
    assert_eq!(expired.error_code(), "session_expired");
}
