//! Registration, rotation, disconnection.

use super::*;
use crate::kernel::Kind;
use crate::kernel::secret::ExposeSecret;
use crate::relay::engine::Target;
use crate::relay::testing::Mood;
use crate::slots::KeyKind;

#[tokio::test]
async fn every_entitled_slot_is_admitted_without_a_session() {
    let fixture = Fixture::with(billing(), RelayConfig::default()).await;
    let paying = fixture.user(Tier::Standard, 2).await;
    let free = fixture.user(Tier::Free, 1).await;
    let total = fixture.relay.register_all().await.unwrap();
    assert_eq!((total.registered, total.dropped, total.failed), (2, 1, 0));
    let slot = fixture.slots(&paying).await[0].clone();
    let (publish, play) = fixture.engine.keys(slot.id).unwrap();
    assert_eq!(publish, slot.keys.publish.expose_secret());
    assert_eq!(play, slot.keys.play.expose_secret());
    assert!(
        fixture
            .engine
            .keys(fixture.slots(&free).await[0].id)
            .is_none()
    );
}

#[tokio::test]
async fn stopping_a_session_cuts_nobody_off() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 1).await;
    let started = fixture.start(&actor, "a", SlotChoice::FirstFree).await;
    let session = started.unwrap().snapshot.of.session;
    fixture.engine.connect_both(session.slot_id);
    fixture.stop(&actor, session.id).await;
    assert_eq!(fixture.engine.connected(session.slot_id), (true, true));
}

#[tokio::test]
async fn a_rotated_key_cuts_off_its_users_and_only_them() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 1).await;
    fixture.relay.register_all().await.unwrap();
    let before = fixture.slots(&actor).await[0].clone();
    fixture.engine.connect_both(before.id);
    let rotate = |kind| fixture.relay.rotate_key(&actor, before.id, kind);
    let stats = rotate(KeyKind::Stats).await.unwrap();
    assert_eq!(fixture.engine.connected(before.id), (true, true));
    let publish = rotate(KeyKind::Publish).await.unwrap();
    assert_eq!(fixture.engine.connected(before.id), (false, true));
    let play = rotate(KeyKind::Play).await.unwrap();
    assert_eq!(fixture.engine.connected(before.id), (false, false));
    let after = fixture.slots(&actor).await[0].clone();
    for (kind, new) in [
        (KeyKind::Stats, stats),
        (KeyKind::Publish, publish),
        (KeyKind::Play, play),
    ] {
        let old = before.keys.get(kind).expose_secret();
        assert_eq!(after.keys.get(kind).expose_secret(), new.expose_secret());
        assert_ne!(new.expose_secret(), old);
        assert!(new.expose_secret().starts_with(kind.prefix()));
    }
    let slots = &fixture.relay.0.deps.slots;
    let old_stats = before.keys.stats.expose_secret();
    let unknown = slots.find_by_stats_token(old_stats).await.unwrap_err();
    assert_eq!(unknown.kind(), Kind::NotFound);
    let found = slots.find_by_stats_token(after.keys.stats.expose_secret());
    assert_eq!(found.await.unwrap().id, before.id);
}

#[tokio::test]
async fn the_session_of_a_rotated_slot_shows_the_new_keys() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 1).await;
    let started = fixture.start(&actor, "a", SlotChoice::FirstFree).await;
    let old = started.unwrap().snapshot.of.slot.keys.clone();
    fixture.status(&actor, "a").await.unwrap();
    let slot_id = fixture.slots(&actor).await[0].id;
    let play = fixture.relay.regenerate_token(&actor, slot_id).await;
    let shown = fixture.relay.active(&actor, &connection("a")).await;
    let keys = shown.unwrap().unwrap().of.slot.keys.clone();
    assert_eq!(keys.play.expose_secret(), play.unwrap().expose_secret());
    assert_ne!(keys.publish.expose_secret(), old.publish.expose_secret());
    assert_eq!(keys.stats.expose_secret(), old.stats.expose_secret());
}

#[tokio::test]
async fn keys_and_connections_of_others_are_out_of_reach() {
    let fixture = Fixture::new().await;
    let owner = fixture.user(Tier::Free, 1).await;
    let stranger = fixture.user(Tier::Free, 1).await;
    let viewer = Actor {
        role: Role::Viewer,
        ..stranger
    };
    let operator = Actor {
        role: Role::Operator,
        ..stranger
    };
    let slot_id = fixture.slots(&owner).await[0].id;
    let rotate = async |actor: &Actor| {
        let rotated = fixture
            .relay
            .rotate_key(actor, slot_id, KeyKind::Play)
            .await;
        rotated.map(drop).map_err(|error| error.kind())
    };
    assert_eq!(rotate(&stranger).await, Err(Kind::NotFound));
    assert_eq!(rotate(&viewer).await, Err(Kind::Forbidden));
    assert_eq!(rotate(&operator).await, Ok(()));
    fixture.engine.connect_both(slot_id);
    let cut = fixture
        .relay
        .disconnect(&stranger, slot_id, Target::Everyone);
    assert_eq!(cut.await.unwrap_err().kind(), Kind::NotFound);
    let cut = fixture.relay.disconnect(&owner, slot_id, Target::Players);
    assert_eq!(cut.await.unwrap(), 1);
    assert_eq!(fixture.engine.connected(slot_id), (true, false));
}

#[tokio::test]
async fn a_relay_that_missed_a_rotation_learns_it_from_the_job() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 1).await;
    fixture.relay.register_all().await.unwrap();
    let slot_id = fixture.slots(&actor).await[0].id;
    fixture.engine.set_mood(Mood::Unavailable);
    let told = fixture.relay.rotate_key(&actor, slot_id, KeyKind::Publish);
    assert_eq!(told.await.unwrap_err().kind(), Kind::Unavailable);
    assert_eq!(fixture.relay.register_all().await.unwrap().failed, 1);
    fixture.engine.set_mood(Mood::Well);
    assert_eq!(fixture.relay.register_all().await.unwrap().registered, 1);
    let now = fixture.slots(&actor).await[0].keys.publish.clone();
    assert_eq!(fixture.engine.keys(slot_id).unwrap().0, now.expose_secret());
}

#[tokio::test]
async fn a_rotation_whose_caller_goes_away_reaches_the_relay() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 1).await;
    fixture.relay.register_all().await.unwrap();
    let old = fixture.slots(&actor).await[0].clone();
    fixture.engine.connect_both(old.id);
    fixture.engine.set_mood(Mood::Hanging);
    let slot_id = old.id;
    let is_new = |key: &str| key != old.keys.publish.expose_secret();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(4);
    let is_stored = async {
        while !is_new(fixture.slots(&actor).await[0].keys.publish.expose_secret()) {
            assert!(tokio::time::Instant::now() < deadline, "the key is stored");
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = fixture.relay.rotate_key(&actor, slot_id, KeyKind::Publish) => panic!("the relay hangs"),
        () = is_stored => {}
    }
    fixture.engine.set_mood(Mood::Well);
    while !is_new(&fixture.engine.keys(slot_id).unwrap().0) {
        assert!(tokio::time::Instant::now() < deadline, "the relay learns");
        tokio::task::yield_now().await;
    }
    assert_eq!(fixture.engine.connected(slot_id), (false, true));
}
