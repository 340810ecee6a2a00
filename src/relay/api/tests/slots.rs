//! What a user's plugin changes about slots.

use super::*;

#[tokio::test]
async fn keys_are_rotated_by_slot_number() {
    let api = Api::new().await;
    let rotate = async |number: &str, key: &str| {
        let relay = State(api.fixture.relay.clone());
        let (slots, actor) = (State(api.slots.clone()), LenientPluginActor(api.actor));
        let (number, body) = (Path(number.to_owned()), Json(read(json!({"key": key}))));
        answered(rotate_key(relay, slots, actor, number, body).await).await
    };
    let (status, body) = rotate("2", "play").await;
    assert_eq!(status, StatusCode::OK);
    let now = api.fixture.slots(&api.actor).await[1].keys.play.clone();
    assert_eq!(body["value"], now.expose_secret());
    assert_eq!(rotate("2", "everything").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(rotate("x", "play").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(rotate("9", "play").await.0, StatusCode::NOT_FOUND);
    let regenerate = async |body: Value| {
        let relay = State(api.fixture.relay.clone());
        let (slots, actor) = (State(api.slots.clone()), PluginActor(api.actor));
        answered(regenerate_token(relay, slots, actor, OptionalJson(read(body))).await).await
    };
    let (status, body) = regenerate(json!({})).await;
    assert_eq!(status, StatusCode::OK);
    let first = api.fixture.slots(&api.actor).await[0].keys.stream_token();
    assert_eq!(body, json!({"stream_token": first.expose()}));
    assert_eq!(
        regenerate(json!({"slot_number": 9})).await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_passphrase_is_set_drawn_and_removed_by_slot_number() {
    let api = Api::new().await;
    let put = async |number: &str, body: Value| {
        let relay = State(api.fixture.relay.clone());
        let (slots, actor) = (State(api.slots.clone()), LenientPluginActor(api.actor));
        let (number, body) = (Path(number.to_owned()), Json(read(body)));
        answered(put_passphrase(relay, slots, actor, number, body).await).await
    };
    let slot = async || api.fixture.slots(&api.actor).await[1].clone();
    let own = json!({"passphrase": " correct-horse ", "colour": "ignored"});
    let (status, body) = put("2", own).await;
    assert_eq!(status, StatusCode::OK);
    let expected = json!({"slot_number": 2, "passphrase": "correct-horse"});
    assert_eq!(body, expected);
    let (_, drawn) = put("2", json!({"generate": true})).await;
    let now = slot().await.keys.passphrase.clone().unwrap();
    assert_eq!(drawn["passphrase"], now.expose_secret());
    assert_eq!(now.expose_secret().len(), 24);

    for bad in [
        json!({}),
        json!({"generate": false}),
        json!({"generate": true, "passphrase": null}),
        json!({"generate": true, "passphrase": "correct-horse"}),
        json!({"passphrase": ""}),
        json!({"passphrase": "too short"}),
        json!({"passphrase": "with a space"}),
        json!({"passphrase": "x".repeat(80)}),
    ] {
        let (status, body) = put("2", bad.clone()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{bad}");
        let field = &body["error"]["details"]["fields"][0]["field"];
        assert_eq!(field, "passphrase", "{bad}");
    }
    let unchanged = slot().await.keys.passphrase.clone().unwrap();
    assert_eq!(unchanged.expose_secret(), now.expose_secret());

    let (status, body) = put("2", json!({"passphrase": null})).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body, json!({"slot_number": 2, "passphrase": null}));
    assert!(slot().await.keys.passphrase.is_none());
    let remove = || json!({"passphrase": null});
    assert_eq!(put("9", remove()).await.0, StatusCode::NOT_FOUND);
    assert_eq!(put("x", remove()).await.0, StatusCode::BAD_REQUEST);
    api.fixture.engine.set_can_encrypt(false);
    let (status, body) = put("2", json!({"generate": true})).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(body["error"]["reason_code"], "passphrase_unsupported");
}

#[tokio::test]
async fn the_session_of_a_slot_with_a_passphrase_tells_it_to_the_player_alone() {
    let api = Api::new().await;
    let slot = api.fixture.slots(&api.actor).await[0].clone();
    let passphrase = Passphrase::parse("correct-horse").unwrap();
    let change = PassphraseChange::Set(passphrase);
    let relay = &api.fixture.relay;
    let changed = relay.change_passphrase(&api.actor, slot.id, change);
    changed.await.unwrap();
    let token = slot.keys.stream_token();
    let (_, body) = api.start_with(KEY, plugin_request(token.expose())).await;
    let session = &body["session"];
    let (publish, play) = (&slot.keys.publish, &slot.keys.play);
    let sender = format!(
        "srtla://203.0.113.7:5000?streamid={}",
        publish.expose_secret()
    );
    assert_eq!(session["sender_url"], sender);
    let source = format!(
        "srt://203.0.113.7:4000?streamid={}&passphrase=correct-horse",
        play.expose_secret()
    );
    assert_eq!(session["media_source_url"], source);
    let text = body.to_string();
    assert_eq!(text.matches("correct-horse").count(), 1, "{text}");
}

#[tokio::test]
async fn slots_are_listed_and_named() {
    let api = Api::new().await;
    let list = async || {
        let (slots, actor) = (State(api.slots.clone()), LenientPluginActor(api.actor));
        let plans = State(api.fixture.relay.plans().clone());
        answered(crate::slots::api::list(slots, plans, actor).await)
            .await
            .1
    };
    let rename = async |number: &str, label: &str| {
        let (slots, actor) = (State(api.slots.clone()), LenientPluginActor(api.actor));
        let (number, body) = (Path(number.to_owned()), Json(read(json!({"label": label}))));
        answered(crate::slots::api::rename(slots, actor, number, body).await)
            .await
            .0
    };
    let before = list().await;
    assert_eq!(before["stream_slots"].as_array().map(Vec::len), Some(4));
    assert_eq!(before["stream_slots"][0]["slot_number"], 1);
    assert_eq!(before["stream_slots"][0]["label"], "Main");
    assert_eq!(rename("1", " Backpack ").await, StatusCode::NO_CONTENT);
    assert_eq!(list().await["stream_slots"][0]["label"], "Backpack");
    assert_eq!(rename("1", "").await, StatusCode::BAD_REQUEST);
    assert_eq!(rename("one", "x").await, StatusCode::BAD_REQUEST);
    assert_eq!(rename("-1", "x").await, StatusCode::NOT_FOUND);
    assert_eq!(rename("5", "x").await, StatusCode::NOT_FOUND);
}
