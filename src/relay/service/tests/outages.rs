//! Making good what was not counted.

use super::*;
use crate::relay::model::HealthReport;

async fn on_air(fixture: &Fixture, actor: &Actor) -> (RelaySessionId, crate::kernel::ids::SlotId) {
    let started = fixture.start(actor, "a", SlotChoice::FirstFree).await;
    let session = started.unwrap().snapshot.of.session;
    fixture.relay.media_arrived(session.slot_id).await.unwrap();
    (session.id, session.slot_id)
}

async fn heartbeat(fixture: &Fixture, id: RelaySessionId, uptime: u64) {
    let report = HealthReport {
        observed_at: fixture.relay.now(),
        ingest_active: true,
        egress_active: true,
        session_uptime_seconds: uptime,
    };
    fixture.relay.note_health(id, report);
    fixture.relay.write_health().await.unwrap();
}

fn second(fixture: &Fixture, slot_id: crate::kernel::ids::SlotId) {
    fixture.pass(1);
    fixture.relay.media_seconds(slot_id, 1, fixture.relay.now());
}

async fn consumed(fixture: &Fixture, actor: &Actor) -> u64 {
    let usage = fixture.relay.usage(actor.user_id).await;
    usage.unwrap().consumed_seconds
}

/// G-63
#[tokio::test]
async fn what_a_relay_carried_while_we_were_down_is_made_good_as_far_as_it_was_reported() {
    let mut fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 1).await;
    let (id, slot_id) = on_air(&fixture, &actor).await;
    second(&fixture, slot_id);
    fixture.relay.flush().await.unwrap();
    heartbeat(&fixture, id, 600).await;
    // We are down for 50 seconds, in 10 of which the sender's session was not up.
    fixture.pass(50);
    fixture.restart().await;
    fixture.relay.recall_metering().await.unwrap();
    fixture.relay.media_arrived(slot_id).await.unwrap();
    second(&fixture, slot_id);
    heartbeat(&fixture, id, 641).await;
    assert_eq!(
        fixture.relay.reconcile_outages().await.unwrap(),
        0,
        "too early"
    );
    fixture.pass(180);
    assert_eq!(fixture.relay.reconcile_outages().await.unwrap(), 40);
    assert_eq!(fixture.relay.reconcile_outages().await.unwrap(), 0, "once");
    assert_eq!(consumed(&fixture, &actor).await, 42);
    let adjustments = fixture.relay.plans().adjustments(actor.user_id, 9).await;
    let adjustments = adjustments.unwrap();
    assert_eq!(adjustments.len(), 1);
    assert_eq!(adjustments[0].session_id, Some(id));
    assert_eq!(
        fixture
            .count("SELECT COUNT(*) FROM audit_event WHERE action = 'usage.adjusted'")
            .await,
        1
    );
}

#[tokio::test]
async fn nothing_is_made_good_that_nobody_reports_or_that_ended_meanwhile() {
    let mut fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 1).await;
    let (id, slot_id) = on_air(&fixture, &actor).await;
    second(&fixture, slot_id);
    fixture.relay.flush().await.unwrap();
    // The released plugin tells no uptime: there is no report.
    fixture.pass(50);
    fixture.restart().await;
    fixture.relay.recall_metering().await.unwrap();
    fixture.relay.media_arrived(slot_id).await.unwrap();
    second(&fixture, slot_id);
    fixture.pass(180);
    assert_eq!(fixture.relay.reconcile_outages().await.unwrap(), 0);
    // A broadcast that began after the restart leaves no span, whatever is reported.
    heartbeat(&fixture, id, 900).await;
    fixture.relay.flush().await.unwrap();
    fixture.restart().await;
    fixture.relay.recall_metering().await.unwrap();
    second(&fixture, slot_id);
    heartbeat(&fixture, id, 3_000).await;
    fixture.pass(180);
    assert_eq!(fixture.relay.reconcile_outages().await.unwrap(), 0);
    assert_eq!(consumed(&fixture, &actor).await, 3);
}

#[tokio::test]
async fn a_span_that_could_not_be_made_good_waits_for_the_next_run() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 1).await;
    let (id, slot_id) = on_air(&fixture, &actor).await;
    heartbeat(&fixture, id, 100).await;
    let from = fixture.relay.now();
    fixture.pass(30);
    fixture
        .relay
        .media_unseen(slot_id, from, fixture.relay.now());
    heartbeat(&fixture, id, 130).await;
    fixture.pass(180);
    let break_it = "CREATE TRIGGER t BEFORE INSERT ON billing_adjustment
                    BEGIN SELECT RAISE(FAIL, 'x'); END";
    let execute = async |sql: &'static str| {
        let job = move |tx: &crate::db::Tx<'_>| Ok::<_, Error>(tx.execute_batch(sql)?);
        fixture.store.write(job).await.unwrap();
    };
    execute(break_it).await;
    assert!(fixture.relay.reconcile_outages().await.is_err());
    execute("DROP TRIGGER t").await;
    assert_eq!(fixture.relay.reconcile_outages().await.unwrap(), 30);
}

#[tokio::test]
async fn heartbeats_are_forgotten_when_they_are_old() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 1).await;
    let (id, _) = on_air(&fixture, &actor).await;
    heartbeat(&fixture, id, 1).await;
    fixture.pass(3_600);
    heartbeat(&fixture, id, 3_601).await;
    let kept = Duration::from_mins(30);
    assert_eq!(fixture.relay.forget_old_health(kept).await.unwrap(), 1);
    assert_eq!(
        fixture
            .count("SELECT COUNT(*) FROM relay_health_event")
            .await,
        1
    );
}
