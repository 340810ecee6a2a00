//! Counting the seconds of ingest.

use super::*;
use crate::relay::model::Session;

async fn live(fixture: &Fixture, actor: &Actor, name: &str) -> Session {
    let started = fixture.start(actor, name, SlotChoice::FirstFree).await;
    let session = started.unwrap().snapshot.of.session;
    fixture.relay.media_arrived(session.slot_id).await.unwrap();
    session
}

fn stream(fixture: &Fixture, session: &Session, seconds: u64) {
    for _ in 0..seconds {
        fixture.pass(1);
        let now = fixture.relay.now();
        fixture.relay.media_seconds(session.slot_id, 1, now);
    }
}

#[tokio::test]
async fn usage_is_what_streamed_to_the_second() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 1).await;
    let session = live(&fixture, &actor, "a").await;
    stream(&fixture, &session, 7);
    let shown = async || {
        let shown = fixture.relay.active(&actor, &connection("a")).await;
        shown.unwrap().unwrap().ingest_seconds
    };
    assert_eq!(shown().await, 7, "before it is written");
    assert_eq!(
        fixture
            .relay
            .usage(actor.user_id)
            .await
            .unwrap()
            .consumed_seconds,
        7
    );
    assert_eq!(shown().await, 7, "and after");
    fixture.pass(60);
    stream(&fixture, &session, 3);
    fixture.relay.flush().await.unwrap();
    let usage = fixture.relay.usage(actor.user_id).await.unwrap();
    assert_eq!(usage.consumed_seconds, 10);
    assert_eq!(
        (usage.remaining_seconds, usage.overage_seconds),
        (0, 0),
        "internal"
    );
}

#[tokio::test]
async fn ingest_without_a_session_is_metered_too() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 1).await;
    let slot_id = fixture.slots(&actor).await[0].id;
    fixture.relay.media_arrived(slot_id).await.unwrap();
    fixture.pass(5);
    let now = fixture.relay.now();
    fixture.relay.media_seconds(slot_id, 5, now);
    let started = fixture.start(&actor, "a", SlotChoice::FirstFree).await;
    let session = started.unwrap().snapshot;
    assert_eq!(session.ingest_seconds, 0, "that was before it");
    let usage = fixture.relay.usage(actor.user_id).await.unwrap();
    assert_eq!(usage.consumed_seconds, 5);
}

#[tokio::test]
async fn time_across_a_cycles_end_is_split_there() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 1).await;
    let session = live(&fixture, &actor, "a").await;
    let end = crate::plans::Cycle::containing(NOON, NOON).end;
    let seconds_until = end.since(NOON).as_secs();
    fixture.pass(seconds_until - 4);
    stream(&fixture, &session, 10);
    let usage = fixture.relay.usage(actor.user_id).await.unwrap();
    assert_eq!((usage.cycle_start, usage.consumed_seconds), (end, 6));
    fixture.relay.flush().await.unwrap();
    let written = fixture.relay.usage(actor.user_id).await.unwrap();
    assert_eq!(written, usage);
    assert_eq!(
        fixture.count("SELECT SUM(seconds) FROM usage_record").await,
        10
    );
}

#[tokio::test]
async fn a_write_that_fails_loses_no_second() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 1).await;
    let session = live(&fixture, &actor, "a").await;
    stream(&fixture, &session, 4);
    let (relay, slot_id) = (fixture.relay.clone(), session.slot_id);
    let broken: Result<()> = fixture
        .relay
        .0
        .deps
        .store
        .write(move |tx| {
            relay.settle_in(tx, slot_id)?;
            Err(Error::internal("after the rows were written"))
        })
        .await;
    assert!(broken.is_err());
    assert_eq!(fixture.count("SELECT COUNT(*) FROM usage_record").await, 0);
    let usage = fixture.relay.usage(actor.user_id).await.unwrap();
    assert_eq!(usage.consumed_seconds, 4);
}

#[tokio::test]
async fn a_broadcast_past_the_plans_limit_ends_after_its_grace_never_before() {
    let config = RelayConfig {
        max_session: Duration::from_mins(1),
        ..RelayConfig::default()
    };
    let fixture = Fixture::with(billing(), config.clone()).await;
    let actor = fixture.user(Tier::Standard, 1).await;
    let session = live(&fixture, &actor, "a").await;
    stream(&fixture, &session, 40);
    fixture.relay.media_lost(session.slot_id).await.unwrap();
    fixture.pass(30);
    fixture.relay.media_arrived(session.slot_id).await.unwrap();
    let shown = fixture.relay.active(&actor, &connection("a")).await;
    let shown = shown.unwrap().unwrap();
    assert_eq!(
        shown.max_session_remaining,
        Duration::ZERO,
        "interruptions count"
    );
    assert_eq!(shown.ingest_seconds, 40, "but are no usage");
    fixture.pass(10_000);
    fixture.relay.expire().await.unwrap();
    assert_eq!(fixture.status(&actor, "a").await, Some("active"));
    fixture.relay.media_lost(session.slot_id).await.unwrap();
    fixture.pass(600);
    fixture.relay.expire().await.unwrap();
    assert_eq!(fixture.status(&actor, "a").await, None);
    // The same without a limit: the connection goes on waiting.
    let free = Fixture::with(PlanRules::default(), config).await;
    let actor = free.user(Tier::Standard, 1).await;
    let session = live(&free, &actor, "a").await;
    stream(&free, &session, 100);
    free.relay.media_lost(session.slot_id).await.unwrap();
    free.pass(600);
    free.relay.expire().await.unwrap();
    assert_eq!(free.status(&actor, "a").await, Some("active"));
}
