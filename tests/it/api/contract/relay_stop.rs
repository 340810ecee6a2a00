//! `relay/stop` and `relay/active` after it.

use reqwest::Method;
use serde_json::json;

use super::Desk;
use crate::api::shape::shape;

const STOP: &str = "/api/v1/relay/stop";

#[test]
fn a_stop_answers_the_same_each_time() {
    let desk = Desk::open();
    let session = desk.plugin.session("conn_1");
    let body = json!({"session_id": session.id, "reason": "user_requested", "more": 1});
    let stopped = desk.post(STOP, &body).expect(200).json();
    let expected = json!({"session_id": "text", "status": "text", "stopped_at": "time"});
    assert_eq!(shape(&stopped), expected);
    assert_eq!(stopped["session_id"], session.id);
    assert_eq!(stopped["status"], "stopped");
    assert_eq!(desk.post(STOP, &body).expect(200).json(), stopped);
    assert_eq!(desk.plugin.active("conn_1").expect(204).body, b"");
    assert_eq!(
        desk.plugin.get("/api/v1/relay/active").expect(204).body,
        b""
    );
}

#[test]
fn without_an_id_the_connections_or_the_newest_session_is_stopped() {
    let desk = Desk::open();
    let token = desk.plugin.stream_token(2);
    let first = desk.plugin.session("conn_1").id;
    let second = desk.plugin.start("conn_2", &token).expect(201).json();
    let third = desk.plugin.stream_token(3);
    desk.plugin.start("conn_3", &third).expect(201);

    let by_connection = json!({"session_id": "", "connection_id": "conn_2"});
    let stopped = desk.post(STOP, &by_connection).expect(200).json();
    assert_eq!(stopped["session_id"], second["session"]["session_id"]);
    let bare = desk.plugin.authorised(Method::POST, STOP);
    desk.plugin.send(bare).expect(200);
    desk.plugin.active("conn_3").expect(204);
    let last = desk.post(STOP, &json!({})).expect(200).json();
    assert_eq!(last["session_id"], first);

    for nothing in [
        json!({}),
        json!({"connection_id": "conn_2"}),
        json!({"session_id": "ses_0123456789abcdef0123456789abcdef"}),
        json!({"session_id": "no id at all"}),
    ] {
        let refused = desk.post(STOP, &nothing).expect(404);
        assert_eq!(refused.error_code(), "not_found", "{nothing}");
    }
    for bad in [
        json!({"connection_id": "a b"}),
        json!({"reason": "r".repeat(257)}),
        json!({"session_id": 7}),
    ] {
        let refused = desk.post(STOP, &bad).expect(400);
        assert_eq!(refused.error_code(), "invalid_request", "{bad}");
    }
}
