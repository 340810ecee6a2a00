//! The handlers' answers, byte shapes and status codes, without the layers around them.

mod slots;

use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::sessions::{ActiveQuery, StartBody};
use super::*;
use crate::accounts::extract::{LenientPluginActor, PluginActor};
use crate::db::Store;
use crate::http::{Json, OptionalJson, Path, Query};
use crate::kernel::secret::ExposeSecret;
use crate::kernel::{Actor, Clock};
use crate::live::{LiveService, RelayMetrics};
use crate::plans::Tier;
use crate::relay::service::HeartbeatFrom;
use crate::relay::service::tests::Fixture;
use crate::slots::{Passphrase, PassphraseChange, SlotsService};

struct Api {
    fixture: Fixture,
    live: LiveService,
    slots: SlotsService,
    actor: Actor,
    _telemetry: tempfile::TempDir,
}

fn read<T: DeserializeOwned>(body: Value) -> T {
    serde_json::from_value(body).unwrap()
}

async fn answered<R: IntoResponse>(answer: R) -> (StatusCode, Value) {
    let response: Response = answer.into_response();
    let status = response.status();
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

impl Api {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let actor = fixture.user(Tier::Free, 4).await;
        let (folder, telemetry): (_, Store) = crate::db::testing::telemetry_store();
        let clock = Clock::from_source(Arc::clone(&fixture.clock) as _);
        let live = LiveService::new(
            fixture.relay.nodes().clone(),
            Arc::new(fixture.relay.clone()),
            telemetry,
            clock,
            RelayMetrics::default(),
            crate::live::Carriers::default(),
        );
        Self {
            live,
            slots: fixture.relay.slots_service(),
            actor,
            fixture,
            _telemetry: folder,
        }
    }

    async fn start_with(&self, key: &'static str, body: Value) -> (StatusCode, Value) {
        let mut headers = HeaderMap::new();
        if !key.is_empty() {
            headers.insert("idempotency-key", HeaderValue::from_static(key));
        }
        let body: StartBody = read(body);
        let relay = State(self.fixture.relay.clone());
        let actor = LenientPluginActor(self.actor);
        answered(start(relay, actor, headers, Json(body)).await).await
    }

    async fn active(&self, query: Value) -> (StatusCode, Value) {
        let query: ActiveQuery = read(query);
        let (relay, live) = (State(self.fixture.relay.clone()), State(self.live.clone()));
        let actor = LenientPluginActor(self.actor);
        answered(active(relay, live, actor, Query(query)).await).await
    }

    async fn stop(&self, body: Value) -> (StatusCode, Value) {
        let relay = State(self.fixture.relay.clone());
        let actor = LenientPluginActor(self.actor);
        answered(stop(relay, actor, OptionalJson(read(body))).await).await
    }

    async fn heartbeat(&self, body: Value) -> (StatusCode, Value) {
        let relay = State(self.fixture.relay.clone());
        let caller = HeartbeatCaller(HeartbeatFrom::User(self.actor));
        answered(heartbeat(relay, caller, Json(read(body))).await).await
    }
}

const KEY: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";
const OTHER_KEY: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";

/// What the released plugin sends, unknown fields and all.
fn plugin_request(stream_token: &str) -> Value {
    json!({
        "client_context": {"mode": "auto", "obs_connected": true, "requested_by": "obs-plugin"},
        "connection_id": "conn_1774300000123_1",
        "region_preference": "us-central",
        "stream_token": stream_token,
    })
}

#[tokio::test]
async fn the_plugins_start_is_answered_with_all_it_needs_to_go_live() {
    let api = Api::new().await;
    let slot = api.fixture.slots(&api.actor).await[1].clone();
    let token = slot.keys.stream_token();
    let (status, body) = api.start_with(KEY, plugin_request(token.expose())).await;
    assert_eq!(status, StatusCode::CREATED);
    let session = &body["session"];
    let publish = slot.keys.publish.expose_secret();
    let play = slot.keys.play.expose_secret();
    assert_eq!(session["status"], "active");
    assert_eq!(session["provision_step"], "ready");
    assert_eq!(session["connection_id"], "conn_1774300000123_1");
    let relay =
        json!({"public_ip": "203.0.113.7", "srt_port": 5000, "relay_hostname": "203.0.113.7"});
    assert_eq!(session["relay"], relay);
    assert_eq!(session["credentials"]["stream_token"], token.expose());
    assert_eq!(session["timers"]["grace_window_seconds"], 600);
    assert_eq!(session["timers"]["max_session_seconds"], 57_600);
    assert_eq!(session["grace_remaining_seconds"], 600);
    assert_eq!(session["max_session_remaining_seconds"], 57_600);
    let sender = format!("srtla://203.0.113.7:5000?streamid={publish}");
    assert_eq!(session["sender_url"], sender);
    let media_source = format!("srt://203.0.113.7:4000?streamid={play}");
    assert_eq!(session["media_source_url"], media_source);
    let usage = json!({
        "started_at": "2026-03-23T21:06:40Z", "ended_at": null, "duration_seconds": 0
    });
    assert_eq!(session["usage"], usage);
    assert!(session["region"].is_string());
    assert!(session.get("failure_reason").is_none());
}

#[tokio::test]
async fn a_repetition_is_200_with_the_same_session() {
    let api = Api::new().await;
    let (_, first) = api.start_with(KEY, plugin_request("")).await;
    let (status, again) = api.start_with(KEY, plugin_request("")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        first["session"]["session_id"],
        again["session"]["session_id"]
    );
    let (status, restarted) = api.start_with(OTHER_KEY, plugin_request("")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        first["session"]["session_id"],
        restarted["session"]["session_id"]
    );
    let (status, body) = api.start_with(KEY, json!({"stream_slot": 2})).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(body["error"]["code"], "idempotency_mismatch");
}

#[tokio::test]
async fn bad_starts_are_400_and_unknown_slots_404() {
    let api = Api::new().await;
    let bad = [
        ("", json!({})),
        ("not-a-uuid", json!({})),
        (KEY, json!({"connection_id": "a b"})),
        (KEY, json!({"region_preference": "x".repeat(65)})),
        (
            KEY,
            json!({"client_context": {"requested_by": "x".repeat(65)}}),
        ),
    ];
    for (key, body) in bad {
        let (status, body) = api.start_with(key, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(body["error"]["code"], "invalid_request");
    }
    for body in [
        json!({"stream_token": "nobody"}),
        json!({"stream_slot": -1}),
    ] {
        let (status, body) = api.start_with(KEY, body).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert_eq!(body["error"]["code"], "not_found");
    }
    let (status, _) = api
        .start_with("{0f8fad5b-d9cb-469f-a165-70867728950e}", json!({}))
        .await;
    assert_eq!(status, StatusCode::CREATED, "any spelling of a UUID");
}

#[tokio::test]
async fn active_shows_links_beside_the_session_even_when_nobody_publishes() {
    let api = Api::new().await;
    let (status, _) = api.active(json!({})).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    api.start_with(KEY, plugin_request("")).await;
    let (status, body) = api
        .active(json!({"connection_id": "conn_1774300000123_1"}))
        .await;
    assert_eq!(status, StatusCode::OK);
    let slot = api.fixture.slots(&api.actor).await[0].clone();
    let links = json!({"stream_id": slot.keys.publish.expose_secret(), "connections": []});
    assert_eq!(body["per_link"], links);
    let (status, _) = api.active(json!({"connection_id": "other"})).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (status, _) = api.active(json!({"connection_id": "a b"})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn grace_is_shown_by_active_and_hidden_by_start() {
    let api = Api::new().await;
    api.start_with(KEY, plugin_request("")).await;
    let slot_id = api.fixture.slots(&api.actor).await[0].id;
    api.fixture.relay.media_arrived(slot_id).await.unwrap();
    api.fixture.relay.media_lost(slot_id).await.unwrap();
    api.fixture.pass(10);
    let (_, shown) = api.active(json!({})).await;
    assert_eq!(shown["session"]["status"], "grace");
    assert_eq!(shown["session"]["timers"]["grace_remaining_seconds"], 590);
    let (_, started) = api.start_with(OTHER_KEY, plugin_request("")).await;
    assert_eq!(started["session"]["status"], "active");
}

#[tokio::test]
async fn stop_answers_the_same_each_time() {
    let api = Api::new().await;
    let (_, body) = api.start_with(KEY, plugin_request("")).await;
    let id = body["session"]["session_id"].clone();
    let (status, first) = api.stop(json!({"session_id": id})).await;
    assert_eq!(status, StatusCode::OK);
    let expected = json!({
        "session_id": id, "status": "stopped", "stopped_at": "2026-03-23T21:06:40Z"
    });
    assert_eq!(first, expected);
    api.fixture.pass(100);
    let (_, again) = api
        .stop(json!({"session_id": id, "reason": "shutdown"}))
        .await;
    assert_eq!(again, expected);
    for unknown in [
        json!({}),
        json!({"session_id": "ses_1"}),
        json!({"connection_id": "x"}),
    ] {
        let (status, _) = api.stop(unknown).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
    }
    let (status, _) = api.stop(json!({"reason": "x".repeat(257)})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_heartbeat_needs_only_the_session() {
    let api = Api::new().await;
    let (_, body) = api.start_with(KEY, plugin_request("")).await;
    let id = body["session"]["session_id"].clone();
    let beat = json!({"session_id": id, "instance_id": ""});
    assert_eq!(
        api.heartbeat(beat).await,
        (StatusCode::OK, json!({"ok": true}))
    );
    let full = json!({
        "session_id": id, "instance_id": "unknown", "ingest_active": true, "egress_active": false,
        "session_uptime_seconds": 604_800, "observed_at": "2001-01-01T00:00:00Z"
    });
    assert_eq!(api.heartbeat(full).await.0, StatusCode::OK);
    for bad in [
        json!({"session_id": ""}),
        json!({"session_id": id, "session_uptime_seconds": 604_801}),
        json!({"session_id": id, "observed_at": "yesterday"}),
    ] {
        assert_eq!(api.heartbeat(bad).await.0, StatusCode::BAD_REQUEST);
    }
    let unknown = json!({"session_id": "ses_0"});
    assert_eq!(api.heartbeat(unknown).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn usage_has_the_documented_fields() {
    let api = Api::new().await;
    let relay = State(api.fixture.relay.clone());
    let (status, body) = answered(usage(relay, PluginActor(api.actor)).await).await;
    assert_eq!(status, StatusCode::OK);
    let expected = json!({
        "plan_tier": "internal", "plan_status": "active",
        "cycle_start": "2026-03-23T21:06:40Z", "cycle_end": "2026-04-23T21:06:40Z",
        "included_seconds": 0, "consumed_seconds": 0,
        "remaining_seconds": 0, "overage_seconds": 0
    });
    assert_eq!(body, expected);
}
