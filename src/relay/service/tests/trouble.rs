//! What goes wrong around sessions: a store that fails, rows that are damaged, clocks that are set back,
//! plans and users that end things behind their back.

use super::life::{leases, started};
use super::*;
use crate::kernel::Kind;
use crate::relay::service::{Expired, HeartbeatFrom};

/// Changes the tables as they are.
async fn execute(fixture: &Fixture, sql: &'static str) {
    let job = move |tx: &crate::db::Tx<'_>| Ok::<_, Error>(tx.execute_batch(sql)?);
    fixture.store.write(job).await.unwrap();
}

#[tokio::test]
async fn media_that_stay_away_after_a_restart_begin_the_grace() {
    let mut fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 1).await;
    let session = started(&fixture, &actor, "a").await;
    fixture.relay.media_arrived(session.slot_id).await.unwrap();
    fixture.restart().await;
    fixture.relay.media_lost(session.slot_id).await.unwrap();
    assert_eq!(fixture.status(&actor, "a").await, Some("grace"));
}

#[tokio::test]
async fn what_media_did_while_the_store_failed_is_stored_later() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 1).await;
    let session = started(&fixture, &actor, "a").await;
    let break_it = "CREATE TRIGGER broken BEFORE UPDATE ON relay_session
                    BEGIN SELECT RAISE(ABORT, 'broken'); END";
    fixture.relay.media_arrived(session.slot_id).await.unwrap();
    fixture.pass(1000);
    execute(&fixture, break_it).await;
    assert!(fixture.relay.media_lost(session.slot_id).await.is_err());
    fixture.pass(100);
    assert_eq!(fixture.relay.expire().await.unwrap(), Expired::default());
    execute(&fixture, "DROP TRIGGER broken").await;
    assert_eq!(fixture.relay.expire().await.unwrap(), Expired::default());
    let shown = fixture.relay.active(&actor, &connection("a")).await;
    let remaining = shown.unwrap().unwrap().grace_remaining;
    assert_eq!(remaining, Some(Duration::from_secs(500)), "since the loss");
    execute(&fixture, break_it).await;
    assert!(fixture.relay.media_arrived(session.slot_id).await.is_err());
    execute(&fixture, "DROP TRIGGER broken").await;
    fixture.relay.expire().await.unwrap();
    assert_eq!(fixture.status(&actor, "a").await, Some("active"));
}

#[tokio::test]
async fn a_session_that_cannot_be_read_or_ended_holds_up_no_other() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 3).await;
    let unsealable = started(&fixture, &actor, "a").await;
    let stuck = started(&fixture, &actor, "b").await;
    started(&fixture, &actor, "c").await;
    let damage = move |tx: &crate::db::Tx<'_>| {
        tx.execute(
            "UPDATE relay_session SET credentials_sealed = x'00' WHERE id = ?1",
            [unsealable.id],
        )?;
        tx.execute_batch(&format!(
            "CREATE TRIGGER stuck BEFORE UPDATE ON relay_session WHEN OLD.id = '{}'
             BEGIN SELECT RAISE(ABORT, 'stuck'); END",
            stuck.id
        ))?;
        Ok::<_, Error>(())
    };
    fixture.store.write(damage).await.unwrap();
    fixture.pass(300);
    assert_eq!(fixture.relay.expire().await.unwrap(), leases(2));
}

#[tokio::test]
async fn the_registration_job_ends_the_sessions_of_a_plan_that_ended() {
    let fixture = Fixture::with(billing(), RelayConfig::default()).await;
    let actor = fixture.user(Tier::Standard, 1).await;
    started(&fixture, &actor, "a").await;
    execute(&fixture, "UPDATE plan SET tier = 'free'").await;
    let total = fixture.relay.register_all().await.unwrap();
    assert_eq!((total.registered, total.dropped), (0, 1));
    assert_eq!(fixture.status(&actor, "a").await, None);
}

#[tokio::test]
async fn what_the_user_removed_is_not_revived_by_a_late_heartbeat() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 2).await;
    let by_id = started(&fixture, &actor, "a").await;
    let by_name = started(&fixture, &actor, "b").await;
    fixture.pass(300);
    fixture.relay.expire().await.unwrap();
    let ended_at = fixture.relay.now();
    fixture.pass(60);
    assert_eq!(fixture.stop(&actor, by_id.id).await, ended_at);
    let target = StopTarget::Connection(connection("b"));
    let none_open = fixture.relay.stop(&actor, target).await.unwrap_err();
    assert_eq!(none_open.kind(), Kind::NotFound);
    for session in [by_id, by_name] {
        let from = HeartbeatFrom::User(actor);
        let refused = fixture.relay.heartbeat(from, session.id).await;
        assert_eq!(refused.unwrap_err().kind(), Kind::NotFound);
    }
}

#[tokio::test]
async fn a_heartbeat_is_no_conflict_when_the_clock_was_set_back() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 2).await;
    let expired = started(&fixture, &actor, "a").await;
    fixture.pass(300);
    fixture.relay.expire().await.unwrap();
    fixture.clock.set_wall(UnixMillis(NOON.0 - 3_600_000));
    let slot = SlotChoice::Number(2);
    let newer = fixture.start(&actor, "a", slot).await.unwrap();
    assert_ne!(newer.snapshot.of.session.slot_id, expired.slot_id);
    let from = HeartbeatFrom::User(actor);
    let refused = fixture.relay.heartbeat(from, expired.id).await;
    assert_eq!(refused.unwrap_err().kind(), Kind::NotFound);
}
