//! Slots: their list, their names, new keys.

use reqwest::Method;
use serde_json::{Value, json};

use super::Desk;
use crate::api::shape::shape;

const SLOTS: &str = "/api/v1/user/stream-slots";
const REGENERATE: &str = "/api/v1/user/regenerate-token";
const CONNECTION: &str = "conn_1774300000123_1";

impl Desk {
    #[track_caller]
    fn slots(&self) -> Vec<Value> {
        let answer = self.plugin.get(SLOTS).expect(200).json();
        answer["stream_slots"].as_array().unwrap().clone()
    }
}

#[test]
fn both_paths_list_the_slots_of_the_caller() {
    let desk = Desk::open();
    let listed = desk.plugin.get(SLOTS).expect(200).json();
    let slot = json!({"slot_number": "integer", "label": "text", "stream_token": "text"});
    assert_eq!(shape(&listed), json!({ "stream_slots": [slot] }));
    assert_eq!(listed["stream_slots"], desk.plugin.snapshot["stream_slots"]);
    let documented = desk.plugin.get("/api/v1/stream-slots").expect(200).json();
    assert_eq!(documented, listed);
}

#[test]
fn a_name_is_204_and_on_the_next_list() {
    let desk = Desk::open();
    let rename = |number: &str, body: &Value| {
        desk.call(Method::PUT, &format!("{SLOTS}/{number}/label"), body)
    };
    let label = json!({"label": "  Rucksack ß  ", "colour": "ignored"});
    let done = rename("2", &label).expect(204);
    assert_eq!(done.body, b"");
    assert_eq!(desk.slots()[1]["label"], "Rucksack ß");
    for number in ["5", "0", "-1", "99999999999"] {
        let unknown = rename(number, &label).expect(404);
        assert_eq!(unknown.error_code(), "not_found", "{number}");
    }
    rename("two", &label).expect(400);
    for bad in [json!({"label": " "}), json!({"label": "x".repeat(65)})] {
        let refused = rename("2", &bad).expect(400);
        assert_eq!(refused.error_code(), "invalid_request");
        let field = &refused.json()["error"]["details"]["fields"][0]["field"];
        assert_eq!(field, "label");
    }
    assert_eq!(desk.slots()[1]["label"], "Rucksack ß");
}

#[test]
fn a_regenerated_token_is_the_slots_and_the_old_one_still_selects_it() {
    let desk = Desk::open();
    let before = desk.slots();
    let session = desk.plugin.session(CONNECTION);
    // Without a body it is the first slot.
    let bare = desk.plugin.authorised(Method::POST, REGENERATE);
    let answer = desk.plugin.send(bare).expect(200).json();
    let new = answer["stream_token"].clone();
    assert_eq!(answer, json!({ "stream_token": new }));
    assert_ne!(new, before[0]["stream_token"]);
    let after = desk.slots();
    assert_eq!(after[0]["stream_token"], new);
    assert_eq!(after[1..], before[1..]);

    let active = desk.plugin.active(CONNECTION).expect(200).json();
    let (sender, source) = (
        &active["session"]["sender_url"],
        &active["session"]["media_source_url"],
    );
    assert!(
        source
            .as_str()
            .unwrap()
            .ends_with(&format!("play_{}", new.as_str().unwrap())),
        "{active}"
    );
    assert_ne!(sender, session.sender_url.as_str(), "publish too is new");

    // The plugin learns of it only at its next refresh.
    let old = before[0]["stream_token"].as_str().unwrap();
    let again = desk.plugin.start(CONNECTION, old).expect(200).json();
    assert_eq!(again["session"]["session_id"], session.id);
    assert_eq!(again["session"]["credentials"]["stream_token"], new);
    let moved = desk.plugin.start("conn_other", old).expect(201).json();
    assert_eq!(moved["session"]["credentials"]["stream_token"], new);

    let second = desk
        .post(REGENERATE, &json!({"slot_number": 2}))
        .expect(200);
    assert_eq!(
        desk.slots()[1]["stream_token"],
        second.json()["stream_token"]
    );
    desk.post(REGENERATE, &json!({"slot_number": 9}))
        .expect(404);
    desk.post(REGENERATE, &json!({"slot_number": "2"}))
        .expect(400);
}

#[test]
fn each_key_is_rotated_alone() {
    let desk = Desk::open();
    let session = desk.plugin.session(CONNECTION);
    let path = format!("{SLOTS}/1/rotate");
    for (key, prefix) in [("publish", "live_"), ("play", "play_"), ("stats", "stats_")] {
        let rotated = desk.post(&path, &json!({ "key": key })).expect(200).json();
        let value = rotated["value"].as_str().unwrap_or_default().to_owned();
        assert!(value.starts_with(prefix), "{rotated}");
        assert_eq!(value.len(), prefix.len() + 32, "{value}: 128 bits");
        assert_eq!(
            rotated,
            json!({"slot_number": 1, "key": key, "value": value})
        );
        let active = desk.plugin.active(CONNECTION).expect(200).json();
        let now = &active["session"];
        let is_new = (
            now["sender_url"] != session.sender_url.as_str(),
            now["media_source_url"] != session.media_source_url.as_str(),
        );
        assert_eq!(is_new, (true, key != "publish"), "{key}: {now}");
        if key == "stats" {
            desk.http.get(&format!("/stats/{value}")).expect(200);
        }
    }
    desk.http
        .get(&format!("/stats/{}", session.play_key))
        .expect(404);
    for bad in [json!({"key": "all"}), json!({}), json!({"key": 1})] {
        let refused = desk.post(&path, &bad).expect(400);
        assert_eq!(refused.error_code(), "invalid_request");
    }
    desk.post(&format!("{SLOTS}/9/rotate"), &json!({"key": "play"}))
        .expect(404);
}

#[test]
fn a_passphrase_is_changed_only_by_a_request_that_says_how() {
    let desk = Desk::open();
    let before = desk.slots();
    let put = |number: &str, body: &Value| {
        desk.call(Method::PUT, &format!("{SLOTS}/{number}/passphrase"), body)
    };
    for bad in [
        json!({}),
        json!({"passphrase": 1}),
        json!({"generate": "yes"}),
        json!({"generate": true, "passphrase": null}),
        json!({"passphrase": "nine-char"}),
        json!({"passphrase": "x".repeat(80)}),
        json!({"passphrase": "with a space in it"}),
        json!({"passphrase": "with+a%26sign"}),
        json!({"passphrase": "\u{202e}right-to-left"}),
    ] {
        let refused = put("1", &bad).expect(400);
        assert_eq!(refused.error_code(), "invalid_request", "{bad}");
        let text = refused.text();
        for typed in ["nine-char", "xxxxxxxxxx", "in it", "%26", "right-to-left"] {
            assert!(!text.contains(typed), "it is not repeated: {text}");
        }
    }
    let removed = put("1", &json!({"passphrase": null})).expect(200).json();
    assert_eq!(removed, json!({"slot_number": 1, "passphrase": null}));
    put("9", &json!({"passphrase": null})).expect(404);
    put("one", &json!({"passphrase": null})).expect(400);
    assert_eq!(desk.slots(), before, "the plugin's list says nothing of it");
}
