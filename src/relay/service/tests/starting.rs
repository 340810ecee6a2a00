//! `relay/start` and bringing a session up.

use std::time::Duration;

use futures_util::future::join_all;

use super::*;
use crate::kernel::{Code, Kind};
use crate::relay::model::Status;
use crate::relay::testing::Mood;
use crate::slots::StreamToken;

#[tokio::test]
async fn a_start_is_active_at_once_and_the_relay_knows_the_keys() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 4).await;
    let started = fixture
        .start(&actor, "conn_1", SlotChoice::FirstFree)
        .await
        .unwrap();
    assert!(started.is_new);
    let of = &started.snapshot.of;
    assert_eq!(of.session.status, Status::Active);
    assert_eq!(of.slot.slot_number, 1);
    assert!(fixture.engine.keys(of.slot.id).is_some());
    assert_eq!(fixture.count(OPEN_ASSIGNMENTS).await, 1);
    assert_eq!(fixture.status(&actor, "conn_1").await, Some("active"));
}

#[tokio::test]
async fn the_same_connection_gets_its_session_again_even_at_the_limit() {
    let fixture = Fixture::with(billing(), RelayConfig::default()).await;
    let actor = fixture.user(Tier::Standard, 2).await;
    let first = fixture
        .start(&actor, "a", SlotChoice::FirstFree)
        .await
        .unwrap();
    let again = fixture
        .start(&actor, "a", SlotChoice::FirstFree)
        .await
        .unwrap();
    assert!(!again.is_new);
    assert_eq!(first.snapshot.of.session.id, again.snapshot.of.session.id);
    let refused = fixture.start(&actor, "b", SlotChoice::FirstFree).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::ConnectionLimitReached);
    assert_eq!(refused.reason_code(), Some("connection_limit_reached"));
    assert_eq!(fixture.count(OPEN_ASSIGNMENTS).await, 1);
}

#[tokio::test]
async fn a_plan_without_a_relay_is_refused_and_nothing_stays() {
    let fixture = Fixture::with(billing(), RelayConfig::default()).await;
    let actor = fixture.user(Tier::Free, 1).await;
    let refused = fixture.start(&actor, "a", SlotChoice::FirstFree).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::EntitlementDenied);
    assert_eq!(refused.reason_code(), Some("subscription_required"));
    let rows = "SELECT (SELECT COUNT(*) FROM relay_session) + (SELECT COUNT(*) FROM assignment)
                + (SELECT COUNT(*) FROM idempotency_record)";
    assert_eq!(fixture.count(rows).await, 0);
}

#[tokio::test]
async fn a_used_slot_moves_with_its_node_and_its_publisher() {
    let fixture = Fixture::with(billing(), RelayConfig::default()).await;
    let actor = fixture.user(Tier::Standard, 2).await;
    let one = SlotChoice::Number(1);
    let first = fixture.start(&actor, "a", one.clone()).await.unwrap();
    let slot_id = first.snapshot.of.slot.id;
    fixture.engine.connect_both(slot_id);
    let assignment = "SELECT COUNT(DISTINCT id) FROM assignment";
    let second = fixture.start(&actor, "b", one).await.unwrap();
    assert!(second.is_new);
    assert_eq!(second.snapshot.of.slot.id, slot_id);
    assert_eq!(fixture.status(&actor, "a").await, None);
    assert_eq!(fixture.status(&actor, "b").await, Some("active"));
    assert_eq!(fixture.count(assignment).await, 1, "it passes on");
    assert_eq!(fixture.engine.connected(slot_id), (true, true));
}

#[tokio::test]
async fn a_connection_that_names_another_slot_leaves_the_first() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 2).await;
    let first = fixture.start(&actor, "a", SlotChoice::Number(1)).await;
    let second = fixture.start(&actor, "a", SlotChoice::Number(2)).await;
    let (first, second) = (first.unwrap().snapshot, second.unwrap().snapshot);
    assert_ne!(first.of.session.id, second.of.session.id);
    assert_eq!(fixture.count(OPEN_ASSIGNMENTS).await, 1);
    let open = fixture.relay.open_sessions(actor.user_id).await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].of.slot.slot_number, 2);
}

#[tokio::test]
async fn unknown_slots_are_not_found_and_full_ones_conflict() {
    let fixture = Fixture::new().await;
    let (actor, other) = (
        fixture.user(Tier::Free, 1).await,
        fixture.user(Tier::Free, 1).await,
    );
    let foreign = fixture.slots(&other).await[0].keys.stream_token();
    for choice in [
        SlotChoice::Token(foreign),
        SlotChoice::Token(StreamToken::parse("never-seen")),
        SlotChoice::Number(0),
        SlotChoice::Number(2),
    ] {
        let refused = fixture.start(&actor, "a", choice).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::NotFound);
    }
    let first = fixture.start(&actor, "a", SlotChoice::FirstFree).await;
    first.unwrap();
    let full = fixture.start(&actor, "b", SlotChoice::FirstFree).await;
    let full = full.unwrap_err();
    assert_eq!(
        (full.kind(), full.reason_code()),
        (Kind::Conflict, Some("no_free_slot"))
    );
}

#[tokio::test]
async fn a_rotated_token_names_its_slot_for_thirty_days() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 2).await;
    let slot = fixture.slots(&actor).await[1].clone();
    let old = slot.keys.stream_token();
    fixture
        .relay
        .regenerate_token(&actor, slot.id)
        .await
        .unwrap();
    let by_old = |name| fixture.start(&actor, name, SlotChoice::Token(old.clone()));
    let started = by_old("a").await.unwrap();
    assert_eq!(started.snapshot.of.slot.id, slot.id);
    assert!(
        !started.snapshot.of.slot.keys.stream_token().is_same(&old),
        "the answer tells the new one"
    );
    fixture.pass(31 * 24 * 3600);
    assert_eq!(by_old("b").await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(
        fixture
            .relay
            .0
            .deps
            .slots
            .delete_expired_keys()
            .await
            .unwrap(),
        1
    );
}

#[tokio::test]
async fn a_repeated_key_shows_the_session_as_it_is_and_a_changed_request_is_refused() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 2).await;
    let key = key();
    let start = |key| {
        let request = request("a", SlotChoice::FirstFree);
        fixture.relay.start(&actor, request, key)
    };
    let first = start(key).await.unwrap().snapshot.of.session;
    fixture.stop(&actor, first.id).await;
    let replay = start(key).await.unwrap();
    assert!(!replay.is_new);
    assert_eq!(replay.snapshot.of.session.status, Status::Stopped);
    let other = IdempotencyKey {
        request_hash: [2; 32],
        ..key
    };
    let refused = start(other).await.unwrap_err();
    assert_eq!(refused.code(), Code::IdempotencyMismatch);
    // After its day the key is new, with another request too, before and after the clean-up.
    fixture.pass(24 * 3600);
    assert!(start(other).await.unwrap().is_new);
    assert!(!start(other).await.unwrap().is_new);
    fixture.pass(24 * 3600);
    let deleted = fixture.relay.delete_expired_idempotency().await.unwrap();
    assert_eq!(deleted, 1);
}

#[tokio::test]
async fn many_starts_at_once_make_one_session() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 4).await;
    let starts = (0..50).map(|_| fixture.start(&actor, "a", SlotChoice::FirstFree));
    let started: Vec<_> = join_all(starts)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(started.iter().filter(|started| started.is_new).count(), 1);
    let key = key();
    let same_key = (0..50).map(|_| {
        let request = request("b", SlotChoice::FirstFree);
        fixture.relay.start(&actor, request, key)
    });
    let started: Vec<_> = join_all(same_key)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(started.iter().filter(|started| started.is_new).count(), 1);
    assert_eq!(fixture.count("SELECT COUNT(*) FROM relay_session").await, 2);
}

#[tokio::test]
async fn parallel_connections_do_not_pass_the_limit_together() {
    let fixture = Fixture::with(billing(), RelayConfig::default()).await;
    let actor = fixture.user(Tier::Standard, 4).await;
    let names = ["a", "b", "c", "d"];
    let starts = names.map(|name| fixture.start(&actor, name, SlotChoice::FirstFree));
    let started = join_all(starts).await;
    assert_eq!(started.iter().filter(|start| start.is_ok()).count(), 1);
}

#[tokio::test]
async fn a_full_relay_is_told_and_leaves_nothing_behind() {
    let (rules, config) = (PlanRules::default(), RelayConfig::default());
    let fixture = Fixture::with_capacity(rules, config, 1).await;
    let actor = fixture.user(Tier::Free, 2).await;
    let key = key();
    let first = fixture.start(&actor, "a", SlotChoice::FirstFree).await;
    let first = first.unwrap().snapshot.of.session.id;
    let start = || {
        fixture
            .relay
            .start(&actor, request("b", SlotChoice::FirstFree), key)
    };
    let full = start().await.unwrap_err();
    assert_eq!(full.code(), Code::CapacityFull);
    assert!(full.retry_after_hint().is_some());
    assert_eq!(fixture.count("SELECT COUNT(*) FROM relay_session").await, 1);
    fixture.stop(&actor, first).await;
    assert!(start().await.unwrap().is_new);
}

#[tokio::test]
async fn a_relay_that_refuses_fails_the_start_and_frees_the_slot() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 1).await;
    fixture.engine.set_mood(Mood::Rejecting);
    let key = key();
    let start = || {
        fixture
            .relay
            .start(&actor, request("a", SlotChoice::FirstFree), key)
    };
    let refused = start().await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Upstream);
    assert_eq!(fixture.count(OPEN_ASSIGNMENTS).await, 0);
    fixture.engine.set_mood(Mood::Well);
    assert!(start().await.unwrap().is_new, "the key may be used again");
}

fn impatient() -> RelayConfig {
    RelayConfig {
        start_patience: Duration::from_millis(20),
        provisioning_budget: Duration::from_millis(200),
        ..RelayConfig::default()
    }
}

/// Waits for a status of a connection's session, for ten seconds at most.
async fn reaches(fixture: &Fixture, actor: &Actor, name: &str, wanted: Status) {
    let reached = async {
        while fixture.status(actor, name).await != Some(wanted.as_str()) {
            tokio::task::yield_now().await;
        }
    };
    let limit = Duration::from_secs(10);
    tokio::time::timeout(limit, reached).await.unwrap();
}

#[tokio::test]
async fn a_slow_relay_answers_provisioning_and_is_finished_in_the_background() {
    let config = RelayConfig {
        provisioning_budget: Duration::from_secs(30),
        ..impatient()
    };
    let fixture = Fixture::with(PlanRules::default(), config).await;
    let actor = fixture.user(Tier::Free, 1).await;
    fixture.engine.set_mood(Mood::Hanging);
    let started = fixture.start(&actor, "a", SlotChoice::FirstFree).await;
    let started = started.unwrap().snapshot.of.session;
    assert_eq!(started.status, Status::Provisioning);
    assert_eq!(
        fixture.relay.sweep_provisioning().await.unwrap(),
        0,
        "it is ours"
    );
    fixture.engine.set_mood(Mood::Well);
    reaches(&fixture, &actor, "a", Status::Active).await;
}

#[tokio::test]
async fn a_failure_in_the_background_is_shown_for_three_minutes() {
    let fixture = Fixture::with(PlanRules::default(), impatient()).await;
    let actor = fixture.user(Tier::Free, 1).await;
    fixture.engine.set_mood(Mood::Hanging);
    let started = fixture.start(&actor, "a", SlotChoice::FirstFree).await;
    assert_eq!(
        started.unwrap().snapshot.of.session.status,
        Status::Provisioning
    );
    reaches(&fixture, &actor, "a", Status::Stopped).await;
    let shown = fixture
        .relay
        .active(&actor, &connection("a"))
        .await
        .unwrap();
    let reason = shown.unwrap().of.session.stop_reason.unwrap();
    assert!(reason.is_failure());
    assert_eq!(fixture.count(OPEN_ASSIGNMENTS).await, 0);
    let newest = fixture.relay.active(&actor, &ConnectionId::default()).await;
    assert!(newest.unwrap().is_none(), "only to whoever waits for it");
    fixture.pass(180);
    assert_eq!(fixture.status(&actor, "a").await, None);
}

#[tokio::test]
async fn stopping_a_session_that_is_being_brought_up_wins() {
    let config = RelayConfig {
        provisioning_budget: Duration::from_secs(30),
        ..impatient()
    };
    let fixture = Fixture::with(PlanRules::default(), config).await;
    let actor = fixture.user(Tier::Free, 1).await;
    fixture.engine.set_mood(Mood::Hanging);
    let started = fixture.start(&actor, "a", SlotChoice::FirstFree).await;
    let session = started.unwrap().snapshot.of.session;
    fixture.stop(&actor, session.id).await;
    fixture.engine.set_mood(Mood::Well);
    let done = async {
        while !fixture.relay.0.provisioning.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), done)
        .await
        .unwrap();
    assert_eq!(fixture.status(&actor, "a").await, None);
    assert_eq!(fixture.count(OPEN_ASSIGNMENTS).await, 0);
}

#[tokio::test]
async fn a_restart_finishes_what_was_half_done() {
    let mut fixture = Fixture::with(PlanRules::default(), impatient()).await;
    let actor = fixture.user(Tier::Free, 1).await;
    fixture.engine.set_mood(Mood::Hanging);
    let started = fixture.start(&actor, "a", SlotChoice::FirstFree).await;
    assert_eq!(
        started.unwrap().snapshot.of.session.status,
        Status::Provisioning
    );
    // As kill -9 does: the background work is gone, the row stays.
    fixture.relay.0.background.lock().unwrap().abort_all();
    fixture.config.provisioning_budget = Duration::from_secs(30);
    fixture.restart().await;
    assert_eq!(fixture.relay.sweep_provisioning().await.unwrap(), 1);
    reaches(&fixture, &actor, "a", Status::Active).await;
}

#[tokio::test]
async fn a_start_whose_store_fails_half_way_is_still_being_brought_up() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 1).await;
    let store = |sql: &'static str| {
        let job = move |tx: &crate::db::Tx<'_>| Ok::<_, Error>(tx.execute_batch(sql)?);
        fixture.store.write(job)
    };
    store(
        "CREATE TRIGGER broken BEFORE UPDATE OF status ON relay_session
         BEGIN SELECT RAISE(ABORT, 'broken'); END",
    )
    .await
    .unwrap();
    let started = fixture.start(&actor, "a", SlotChoice::FirstFree).await;
    let status = started.unwrap().snapshot.of.session.status;
    assert_eq!(status, Status::Provisioning);
    store("DROP TRIGGER broken").await.unwrap();
    assert_eq!(fixture.relay.sweep_provisioning().await.unwrap(), 1);
    let active = async {
        while fixture.status(&actor, "a").await != Some("active") {
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(10), active).await;
    in_time.expect("it becomes active");
}
