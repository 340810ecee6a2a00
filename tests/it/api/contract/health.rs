//! `relay/health`: who may send a heartbeat, and for what.

use reqwest::Method;
use serde_json::{Value, json};

use super::Desk;
use crate::harness::client::Answer;

const HEALTH: &str = "/api/v1/relay/health";
const KEY: &str = "a key that every relay node knows of";
const KEY_HEADER: &str = "x-relay-auth";

impl Desk {
    #[track_caller]
    fn beat_with(&self, key: &str, body: &Value) -> Answer {
        self.post_with(HEALTH, (KEY_HEADER, key), body)
    }

    /// A heartbeat with token and key both.
    #[track_caller]
    fn beat_with_both(&self, key: &str, body: &Value) -> Answer {
        let request = self.plugin.authorised(Method::POST, HEALTH);
        self.plugin.send(request.header(KEY_HEADER, key).json(body))
    }
}

#[test]
fn a_heartbeat_needs_a_token_or_the_shared_key() {
    let desk = Desk::open_with(|config| config.with("GLB_RELAY_SHARED_KEY", KEY));
    let session = desk.plugin.session("conn_1");
    let body = json!({"session_id": session.id, "instance_id": ""});
    let ok = json!({"ok": true});
    assert_eq!(desk.post(HEALTH, &body).expect(200).json(), ok);
    assert_eq!(desk.beat_with(KEY, &body).expect(200).json(), ok);
    assert_eq!(desk.beat_with_both(KEY, &body).expect(200).json(), ok);
    assert_eq!(desk.beat_with_both("x", &body).expect(200).json(), ok);
    for wrong in ["", "x", &KEY[1..]] {
        let refused = desk.beat_with(wrong, &body).expect(401);
        assert_eq!(refused.error_code(), "unauthorized");
    }
    desk.http.post_json(HEALTH, &body).expect(401);
    // The key speaks for heartbeats alone.
    let stop = "/api/v1/relay/stop";
    desk.post_with(stop, (KEY_HEADER, KEY), &body).expect(401);
}

#[test]
fn without_a_configured_key_no_key_is_right() {
    let desk = Desk::open();
    let session = desk.plugin.session("conn_1");
    let body = json!({"session_id": session.id});
    for key in ["", KEY] {
        desk.beat_with(key, &body).expect(401);
        desk.beat_with_both(key, &body).expect(200);
    }
}

#[test]
fn all_but_the_session_may_be_left_out_and_nonsense_is_400() {
    let desk = Desk::open_with(|config| config.with("GLB_RELAY_SHARED_KEY", KEY));
    let session = desk.plugin.session("conn_1");
    let with = |more: Value| {
        let mut body = json!({"session_id": session.id});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        body
    };
    for good in [
        json!({}),
        json!({"instance_id": "an instance that nobody knows"}),
        json!({"ingest_active": true, "egress_active": false, "unknown": {}}),
        json!({"session_uptime_seconds": 604_800, "observed_at": ""}),
        json!({"observed_at": "1999-02-21T21:15:00Z"}),
        json!({"observed_at": "2026-02-21T22:15:00.25+01:00"}),
        json!({"instance_id": null, "observed_at": null, "session_uptime_seconds": null}),
    ] {
        let answer = desk.post(HEALTH, &with(good.clone()));
        assert_eq!(answer.status, 200, "{good}: {}", answer.text());
    }
    for bad in [
        json!({"session_uptime_seconds": 604_801}),
        json!({"session_uptime_seconds": -1}),
        json!({"observed_at": "yesterday"}),
        json!({"session_id": ""}),
        json!({"session_id": null}),
    ] {
        let refused = desk.post(HEALTH, &with(bad.clone())).expect(400);
        assert_eq!(refused.error_code(), "invalid_request", "{bad}");
    }
    for id in ["ses_0123456789abcdef0123456789abcdef", "no id at all"] {
        let body = json!({"session_id": id, "instance_id": ""});
        for answer in [desk.post(HEALTH, &body), desk.beat_with(KEY, &body)] {
            assert_eq!(answer.expect(404).error_code(), "not_found", "{id}");
        }
    }
    // Stopped on purpose, it stays so.
    desk.plugin.stop(&session.id).expect(200);
    desk.post(HEALTH, &with(json!({}))).expect(404);
}
