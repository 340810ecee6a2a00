//! What the plugin sends and gets.

use std::time::Duration;

use serde_json::json;

use super::*;

const PATHS: &str = "/api/v1/auth";

#[tokio::test]
async fn start_answers_what_the_plugin_reads() {
    let app = App::new().await;
    let body = json!({"client": {"platform": "windows"}, "unknown": true});
    let answer = app
        .post_json("/api/v1/auth/plugin/login/start", &body)
        .await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let started = answer.json();
    let id = started["login_attempt_id"].as_str().unwrap();
    assert!(id.starts_with("pla_"));
    assert_eq!(
        started["authorize_url"],
        format!("https://relay.example.org/login/plugin?attempt={id}")
    );
    assert_eq!(started["poll_token"].as_str().unwrap().len(), 32);
    assert_eq!(started["expires_at"], "2026-03-23T21:16:40Z");
    assert_eq!(started["poll_interval_seconds"], 3);
}

#[tokio::test]
async fn start_refuses_a_client_without_a_platform() {
    let app = App::new().await;
    for body in [
        json!({}),
        json!({"client": {}}),
        json!({"client": {"platform": ""}}),
        json!({"client": {"platform": 7}}),
        json!({"client": {"platform": "w".repeat(33)}}),
        json!([]),
    ] {
        let answer = app
            .post_json("/api/v1/auth/plugin/login/start", &body)
            .await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(answer.error_code(), "invalid_request");
    }
}

#[tokio::test]
async fn poll_goes_from_pending_to_tokens_and_the_whole_snapshot() {
    let app = App::new().await;
    let cookie = app.browser("one@example.org", Role::Streamer).await;
    let started = app.start().await;
    let waiting = app.poll(&started).await;
    assert_eq!(
        (waiting.status, waiting.json()),
        (StatusCode::ACCEPTED, json!({"status": "pending"}))
    );
    assert_eq!(
        app.decide(&started, &cookie, "approve").await.status,
        StatusCode::OK
    );
    let done = app.poll(&started).await;
    assert_eq!(done.status, StatusCode::OK);
    let body = done.json();
    assert_eq!(body["status"], "completed");
    assert_eq!(body["auth"]["refresh_token"].as_str().unwrap().len(), 43);
    assert_eq!(body["user"]["id"], app.user_id("one@example.org").await);
    assert_eq!(body["user"]["email"], "one@example.org");
    assert_eq!(
        body["entitlement"],
        json!({
            "relay_access_status": "enabled", "reason_code": "ok", "plan_tier": "internal",
            "plan_status": "active", "max_concurrent_conns": 99, "active_managed_conns": 0,
        })
    );
    for figure in [
        "included_seconds",
        "consumed_seconds",
        "remaining_seconds",
        "overage_seconds",
    ] {
        assert_eq!(body["usage"][figure], 0, "{figure}");
    }
    let slots = body["stream_slots"].as_array().unwrap();
    assert_eq!(slots.len(), 4);
    assert_eq!(slots[0]["slot_number"], 1);
    let token = slots[0]["stream_token"].as_str().unwrap();
    assert!(token.len() >= 22 && !token.starts_with("play_"), "{token}");
    assert_eq!(
        (&body["active_relay"], &body["active_sessions"]),
        (&Value::Null, &json!([]))
    );
    let unlinked = json!({"linked": false});
    let linked = json!({"twitch": unlinked, "google": unlinked, "discord": unlinked});
    assert_eq!(body["linked_accounts"], linked);
}

#[tokio::test]
async fn poll_is_400_for_what_it_cannot_read_and_404_for_what_it_does_not_know() {
    let app = App::new().await;
    let started = app.start().await;
    let poll = "/api/v1/auth/plugin/login/poll";
    for body in [
        json!({}),
        json!({"login_attempt_id": "x"}),
        json!({"login_attempt_id": "", "poll_token": ""}),
    ] {
        assert_eq!(
            app.post_json(poll, &body).await.status,
            StatusCode::BAD_REQUEST,
            "{body}"
        );
    }
    let id = &started["login_attempt_id"];
    for body in [
        json!({"login_attempt_id": id, "poll_token": "guess"}),
        json!({"login_attempt_id": "pla_x", "poll_token": started["poll_token"]}),
    ] {
        let answer = app.post_json(poll, &body).await;
        assert_eq!(
            (answer.status, answer.error_code().as_str()),
            (StatusCode::NOT_FOUND, "not_found")
        );
    }
}

#[tokio::test]
async fn poll_has_its_final_answers() {
    let app = App::new().await;
    let cookie = app.browser("one@example.org", Role::Streamer).await;
    let denied = app.start().await;
    app.decide(&denied, &cookie, "deny").await;
    let answer = app.poll(&denied).await;
    assert_eq!(
        (answer.status, answer.error_code().as_str()),
        (StatusCode::FORBIDDEN, "login_denied")
    );
    assert_eq!(answer.json()["error"]["reason_code"], "login_denied");
    let claimed = app.start().await;
    app.decide(&claimed, &cookie, "approve").await;
    let first = app.poll(&claimed).await.json();
    assert_eq!(app.poll(&claimed).await.json()["auth"], first["auth"]);
    let late = app.start().await;
    app.world.clock.advance(Duration::from_secs(61));
    let answer = app.poll(&claimed).await;
    let expected = (StatusCode::CONFLICT, "login_already_claimed");
    assert_eq!((answer.status, answer.error_code().as_str()), expected);
    app.world.clock.advance(Duration::from_mins(10));
    let answer = app.poll(&late).await;
    assert_eq!(
        (answer.status, answer.error_code().as_str()),
        (StatusCode::GONE, "login_attempt_expired")
    );
}

#[tokio::test]
async fn poll_answers_pending_when_the_fault_is_ours_and_loses_nothing() {
    let app = App::new().await;
    let cookie = app.browser("one@example.org", Role::Streamer).await;
    let started = app.start().await;
    app.decide(&started, &cookie, "approve").await;
    app.world
        .sql("ALTER TABLE stream_slot RENAME TO hidden")
        .await;
    assert_eq!(app.poll(&started).await.status, StatusCode::ACCEPTED);
    app.world
        .sql("ALTER TABLE hidden RENAME TO stream_slot")
        .await;
    let done = app.poll(&started).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
}

async fn complete(app: &App, key: Option<&str>, body: &Value) -> Answer {
    let mut request = Request::post("/api/v1/auth/plugin/login/complete");
    if let Some(key) = key {
        request = request.header("X-Plugin-Login-Auth", key);
    }
    let request = request.header(header::CONTENT_TYPE, "application/json");
    app.send(request.body(Body::from(body.to_string())).unwrap())
        .await
}

#[tokio::test]
async fn complete_is_401_before_anything_else_without_the_key() {
    let app = App::new().await;
    for key in [None, Some(""), Some("guess")] {
        let answer = complete(&app, key, &json!("nonsense")).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{key:?}");
    }
}

#[tokio::test]
async fn complete_decides_an_attempt_once() {
    let app = App::new().await;
    app.world.user("one@example.org", Role::Streamer).await;
    let user_id = app.user_id("one@example.org").await;
    let started = app.start().await;
    let id = &started["login_attempt_id"];
    for (body, status) in [
        (
            json!({"login_attempt_id": id, "outcome": "maybe"}),
            StatusCode::BAD_REQUEST,
        ),
        (
            json!({"login_attempt_id": id, "outcome": "completed"}),
            StatusCode::BAD_REQUEST,
        ),
        (
            json!({"outcome": "completed", "user_id": user_id}),
            StatusCode::BAD_REQUEST,
        ),
        (
            json!({"login_attempt_id": id, "outcome": "completed", "user_id": "usr_1"}),
            StatusCode::NOT_FOUND,
        ),
        (
            json!({"login_attempt_id": "x", "outcome": "denied"}),
            StatusCode::NOT_FOUND,
        ),
        (
            json!({"login_attempt_id": id, "outcome": "completed", "user_id": user_id}),
            StatusCode::NO_CONTENT,
        ),
        (
            json!({"login_attempt_id": id, "outcome": "completed", "user_id": user_id}),
            StatusCode::NOT_FOUND,
        ),
    ] {
        assert_eq!(
            complete(&app, Some(KEY), &body).await.status,
            status,
            "{body}"
        );
    }
    assert_eq!(app.poll(&started).await.json()["user"]["id"], user_id);
}

#[tokio::test]
async fn the_access_token_opens_the_session_until_it_expires_or_is_logged_out() {
    let app = App::new().await;
    let signed_in = app.plugin("one@example.org").await;
    let token = signed_in["auth"]["cp_access_jwt"].as_str().unwrap();
    let session = format!("{PATHS}/session");
    let answer = app.bearer(Method::GET, &session, token).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["user"], signed_in["user"]);
    app.world.clock.advance(Duration::from_hours(24));
    let answer = app.bearer(Method::GET, &session, token).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.json()["error"]["message"], "invalid token");
    for _ in 0..2 {
        let answer = app
            .bearer(Method::POST, &format!("{PATHS}/logout"), token)
            .await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (StatusCode::NO_CONTENT, "")
        );
    }
    let answer = app.get(&session, "").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.json()["error"]["message"], "missing bearer token");
}

#[tokio::test]
async fn refresh_answers_both_tokens_and_the_same_again() {
    let app = App::new().await;
    let signed_in = app.plugin("one@example.org").await;
    let refresh = async |token: &Value| {
        let path = format!("{PATHS}/refresh");
        app.post_json(&path, &json!({"refresh_token": token})).await
    };
    let old = &signed_in["auth"]["refresh_token"];
    let answer = refresh(old).await;
    assert_eq!(answer.status, StatusCode::OK);
    let refreshed = answer.json();
    assert_ne!(refreshed["auth"]["refresh_token"], *old);
    assert_eq!(refreshed["user"], signed_in["user"]);
    assert_eq!(refreshed["stream_slots"], signed_in["stream_slots"]);
    assert_eq!(refresh(old).await.json()["auth"], refreshed["auth"]);
    let token = refreshed["auth"]["cp_access_jwt"].as_str().unwrap();
    app.bearer(Method::GET, &format!("{PATHS}/session"), token)
        .await;
    app.world.clock.advance(Duration::from_secs(61));
    let reused = refresh(old).await;
    assert_eq!(
        (reused.status, reused.error_code().as_str()),
        (StatusCode::GONE, "session_expired")
    );
    assert_eq!(
        refresh(&refreshed["auth"]["refresh_token"]).await.status,
        StatusCode::GONE
    );
    assert_eq!(
        refresh(&json!("guess")).await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(refresh(&json!("")).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(refresh(&Value::Null).await.status, StatusCode::BAD_REQUEST);
}
