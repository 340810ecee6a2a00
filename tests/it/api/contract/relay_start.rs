//! `relay/start`: the one answer with everything, and what makes it the same one again.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Desk;
use crate::api::shape::shape;
use crate::harness::client::Answer;

const START: &str = "/api/v1/relay/start";
const CONNECTION: &str = "conn_1774300000123_1";

impl Desk {
    #[track_caller]
    fn start(&self, key: &str, body: &Value) -> Answer {
        let request = self.plugin.authorised(Method::POST, START);
        self.plugin
            .send(request.header("idempotency-key", key).json(body))
    }

    #[track_caller]
    fn start_afresh(&self, body: &Value) -> Answer {
        self.start(&Uuid::new_v4().to_string(), body)
    }
}

/// The shape of a session, which `relay/active` shares.
fn session_shape() -> Value {
    json!({
        "session_id": "text",
        "status": "text",
        "region": "text",
        "provision_step": "text",
        "connection_id": "text",
        "relay": {"public_ip": "text", "srt_port": "integer", "relay_hostname": "text"},
        "credentials": {
            "pair_token": "text", "relay_ws_token": "text", "stream_token": "text",
        },
        "timers": {
            "grace_window_seconds": "integer",
            "max_session_seconds": "integer",
            "grace_remaining_seconds": "integer",
            "max_session_remaining_seconds": "integer",
        },
        "grace_remaining_seconds": "integer",
        "max_session_remaining_seconds": "integer",
        "usage": {"started_at": "time", "ended_at": null, "duration_seconds": "integer"},
        "sender_url": "text",
        "media_source_url": "text",
    })
}

#[test]
fn a_start_and_the_active_call_show_a_session_in_the_same_words() {
    let desk = Desk::open();
    let token = desk.plugin.stream_token(1);
    let body = json!({
        "client_context": {"mode": "auto", "obs_connected": true, "requested_by": "obs-plugin"},
        "connection_id": CONNECTION,
        "region_preference": "us-central",
        "stream_token": token,
    });
    let started = desk.start_afresh(&body).expect(201).json();
    assert_eq!(shape(&started), json!({ "session": session_shape() }));
    let session = &started["session"];
    assert_eq!(session["status"], "active");
    assert_eq!(session["provision_step"], "ready");
    assert_eq!(session["connection_id"], CONNECTION);
    let addresses = desk.server.addresses();
    let relay = json!({
        "public_ip": "127.0.0.1",
        "srt_port": addresses.srtla.port(),
        "relay_hostname": "127.0.0.1",
    });
    assert_eq!(session["relay"], relay);
    assert_eq!(session["credentials"]["stream_token"], token);
    assert_eq!(session["timers"]["grace_window_seconds"], 600);
    assert_eq!(session["timers"]["max_session_seconds"], 57_600);
    let pair_token = session["credentials"]["pair_token"].as_str().unwrap();
    let is_pair_token = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    assert!(pair_token.len() == 8 && pair_token.bytes().all(is_pair_token));

    let active = desk.plugin.active(CONNECTION).expect(200).json();
    assert_eq!(active["session"], *session);
    let sender = session["sender_url"].as_str().unwrap();
    let (_, publish_key) = sender.split_once("?streamid=").unwrap();
    assert!(publish_key.starts_with("live_"), "{sender}");
    assert_eq!(
        active["per_link"],
        json!({"stream_id": publish_key, "connections": []})
    );
    // Without a connection it is the newest one.
    let newest = desk.plugin.get("/api/v1/relay/active").expect(200).json();
    assert_eq!(newest, active);
    desk.plugin.active("conn_nobody").expect(204);
    desk.plugin.active("conn%20nobody").expect(400);
}

#[test]
fn the_same_key_is_the_same_session_and_with_another_body_a_mismatch() {
    let desk = Desk::open();
    let key = Uuid::new_v4();
    let body = json!({"connection_id": CONNECTION, "region_preference": "us-central"});
    let first = desk.start(&key.to_string(), &body).expect(201).json();
    let id = &first["session"]["session_id"];
    let reordered = json!({
        "unknown": [1, {"deep": true}],
        "region_preference": "us-central",
        "connection_id": CONNECTION,
        "client_context": null,
    });
    for form in [
        key.to_string(),
        key.to_string().to_uppercase(),
        key.simple().to_string(),
        key.braced().to_string(),
        key.urn().to_string(),
    ] {
        let again = desk.start(&form, &reordered).expect(200).json();
        assert_eq!(again["session"]["session_id"], *id, "{form}");
    }
    for (field, other) in [
        ("connection_id", json!("conn_other")),
        ("region_preference", json!("eu-west")),
        ("stream_token", json!(desk.plugin.stream_token(2))),
        ("stream_slot", json!(2)),
    ] {
        let mut changed = body.clone();
        changed[field] = other;
        let refused = desk.start(&key.to_string(), &changed).expect(409);
        assert_eq!(refused.error_code(), "idempotency_mismatch", "{field}");
    }
    // Replayed as it is now, also when that is over.
    let stop = json!({ "session_id": id });
    desk.post("/api/v1/relay/stop", &stop).expect(200);
    let replayed = desk.start(&key.to_string(), &body).expect(200).json();
    assert_eq!(replayed["session"]["session_id"], *id);
    assert_eq!(replayed["session"]["status"], "stopped");
    let anew = desk.start_afresh(&body).expect(201).json();
    assert_ne!(anew["session"]["session_id"], *id);
}

#[test]
fn a_key_is_any_uuid_and_nothing_else() {
    let desk = Desk::open();
    let body = json!({"connection_id": CONNECTION});
    let missing = desk.post(START, &body).expect(400);
    assert_eq!(missing.error_code(), "invalid_request");
    for bad in ["", "1", "not-a-uuid", "0123456789abcdef0123456789abcde"] {
        let refused = desk.start(bad, &body).expect(400);
        assert_eq!(refused.error_code(), "invalid_request", "{bad}");
    }
    let nil = Uuid::nil().to_string();
    desk.start(&nil, &body).expect(201);
    let version_1 = "c232ab00-9414-11ec-b3c8-9f6bdeced846";
    desk.start(version_1, &body).expect(200);
}

#[test]
fn connection_ids_are_128_plain_characters_and_a_session_is_each_ones_own() {
    let desk = Desk::open();
    let longest = "x".repeat(128);
    let mut ids = Vec::new();
    for good in [CONNECTION, "a.b-C_9", &longest] {
        let body = json!({ "connection_id": good });
        let started = desk.start_afresh(&body).expect(201).json();
        assert_eq!(started["session"]["connection_id"], good);
        let again = desk.start_afresh(&body).expect(200).json();
        assert_eq!(
            again["session"]["session_id"],
            started["session"]["session_id"]
        );
        ids.push(started["session"]["session_id"].to_string());
    }
    // One without a name is one of its own too.
    let unnamed = desk.start_afresh(&json!({})).expect(201).json();
    assert_eq!(unnamed["session"].get("connection_id"), None);
    ids.push(unnamed["session"]["session_id"].to_string());
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4);
    for bad in ["a b", "a/b", "ä", &format!("{longest}x"), "'"] {
        let refused = desk.start_afresh(&json!({ "connection_id": bad }));
        let refused = refused.expect(400);
        assert_eq!(refused.error_code(), "invalid_request", "{bad}");
        let field = &refused.json()["error"]["details"]["fields"][0]["field"];
        assert_eq!(field, "connection_id");
    }
    let none_free = desk.start_afresh(&json!({"connection_id": "conn_5"}));
    let none_free = none_free.expect(409);
    assert_eq!(none_free.error_code(), "conflict");
    assert_eq!(none_free.json()["error"]["reason_code"], "no_free_slot");
}

#[test]
fn a_slot_is_named_by_token_or_number_and_moves_to_who_names_it() {
    let desk = Desk::open();
    let first = json!({"connection_id": "conn_1", "stream_slot": 3});
    let first = desk.start_afresh(&first).expect(201).json();
    let token = desk.plugin.stream_token(3);
    assert_eq!(first["session"]["credentials"]["stream_token"], token);
    // The whole play key is taken for the token too.
    let by_token = json!({
        "connection_id": "conn_2", "stream_token": format!("play_{token}"), "stream_slot": 1,
    });
    let second = desk.start_afresh(&by_token).expect(201).json();
    assert_eq!(second["session"]["credentials"]["stream_token"], token);
    desk.plugin.active("conn_1").expect(204);
    desk.plugin.active("conn_2").expect(200);
    for unknown in [
        json!({"stream_slot": 9}),
        json!({"stream_slot": -1}),
        json!({"stream_token": "0000"}),
    ] {
        let refused = desk.start_afresh(&unknown).expect(404);
        assert_eq!(refused.error_code(), "not_found", "{unknown}");
    }
    let long = json!({"region_preference": "r".repeat(65)});
    desk.start_afresh(&long).expect(400);
    desk.start_afresh(&json!({"stream_slot": "1"})).expect(400);
}
