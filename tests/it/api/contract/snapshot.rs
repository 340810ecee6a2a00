//! The account as `auth/session`, `auth/refresh` and a finished sign-in tell it.

use serde_json::{Value, json};

use super::Desk;
use crate::api::shape::shape;

/// The shape of an account with nothing open.
pub(super) fn idle_shape() -> Value {
    json!({
        "user": {"id": "text", "email": "text", "display_name": "text"},
        "entitlement": {
            "relay_access_status": "text",
            "reason_code": "text",
            "plan_tier": "text",
            "plan_status": "text",
            "max_concurrent_conns": "integer",
            "active_managed_conns": "integer",
        },
        "usage": {
            "plan_tier": "text",
            "plan_status": "text",
            "cycle_start": "time",
            "cycle_end": "time",
            "included_seconds": "integer",
            "consumed_seconds": "integer",
            "remaining_seconds": "integer",
            "overage_seconds": "integer",
        },
        "stream_slots": [
            {"slot_number": "integer", "label": "text", "stream_token": "text"},
        ],
        "active_relay": null,
        "active_sessions": [],
        "linked_accounts": {
            "twitch": {"linked": "flag"},
            "google": {"linked": "flag"},
            "discord": {"linked": "flag"},
        },
    })
}

#[test]
fn the_session_call_tells_the_whole_account() {
    let desk = Desk::open();
    let idle = desk.plugin.get("/api/v1/auth/session").expect(200).json();
    assert_eq!(shape(&idle), idle_shape());
    assert_eq!(idle["user"]["id"], desk.account.user_id);
    assert_eq!(idle["user"]["email"], desk.account.email);
    let entitlement = json!({
        "relay_access_status": "enabled", "reason_code": "ok", "plan_tier": "internal",
        "plan_status": "active", "max_concurrent_conns": 99, "active_managed_conns": 0,
    });
    assert_eq!(idle["entitlement"], entitlement);
    let numbers: Vec<_> = idle["stream_slots"].as_array().unwrap().iter().collect();
    let numbers: Vec<_> = numbers.iter().map(|slot| &slot["slot_number"]).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);

    let session = desk.plugin.session("conn_1774300000123_1");
    let busy = desk.plugin.get("/api/v1/auth/session").expect(200).json();
    assert_eq!(
        busy["active_relay"],
        json!({"session_id": session.id, "status": "active"})
    );
    let open = json!({
        "session_id": session.id,
        "status": "active",
        "public_ip": "127.0.0.1",
        "srt_port": desk.server.addresses().srtla.port(),
        "stream_token": desk.plugin.stream_token(1),
        "connection_id": "conn_1774300000123_1",
    });
    assert_eq!(busy["active_sessions"], json!([open]));
    assert_eq!(busy["entitlement"]["active_managed_conns"], 1);
    assert_eq!(busy["entitlement"]["relay_access_status"], "enabled");
}

#[test]
fn the_usage_call_tells_plan_cycle_and_seconds() {
    let desk = Desk::open();
    let usage = desk.plugin.get("/api/v1/usage/current").expect(200).json();
    assert_eq!(shape(&usage), idle_shape()["usage"]);
    for (field, expected) in [
        ("plan_tier", json!("internal")),
        ("plan_status", json!("active")),
        ("included_seconds", json!(0)),
        ("consumed_seconds", json!(0)),
        ("remaining_seconds", json!(0)),
        ("overage_seconds", json!(0)),
    ] {
        assert_eq!(usage[field], expected, "{field}");
    }
    let (start, end) = (&usage["cycle_start"], &usage["cycle_end"]);
    assert!(start.as_str() < end.as_str(), "{usage}");
}
