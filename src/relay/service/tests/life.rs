//! Stop, heartbeat, leases, grace.

use super::*;
use crate::kernel::Kind;
use crate::kernel::secret::SecretString;
use crate::relay::model::{Session, Status, StopReason};
use crate::relay::service::{Expired, HeartbeatFrom};

pub(super) async fn started(fixture: &Fixture, actor: &Actor, name: &str) -> Session {
    let started = fixture.start(actor, name, SlotChoice::FirstFree).await;
    started.unwrap().snapshot.of.session
}

pub(super) fn leases(leases: usize) -> Expired {
    Expired { leases, graces: 0 }
}

#[tokio::test]
async fn stopping_twice_answers_the_first_time() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 1).await;
    let session = started(&fixture, &actor, "a").await;
    let first = fixture.stop(&actor, session.id).await;
    fixture.pass(60);
    assert_eq!(fixture.stop(&actor, session.id).await, first);
    assert_eq!(fixture.status(&actor, "a").await, None);
    let other = fixture.user(Tier::Free, 1).await;
    let foreign = fixture.relay.stop(&other, StopTarget::Session(session.id));
    assert_eq!(foreign.await.unwrap_err().kind(), Kind::NotFound);
    let none = fixture.relay.stop(&actor, StopTarget::Newest).await;
    assert_eq!(none.unwrap_err().kind(), Kind::NotFound);
}

#[tokio::test]
async fn stop_finds_the_connection_or_the_newest() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 3).await;
    let (a, b) = (
        started(&fixture, &actor, "a").await,
        started(&fixture, &actor, "b").await,
    );
    let by_name = StopTarget::Connection(connection("a"));
    assert_eq!(
        fixture
            .relay
            .stop(&actor, by_name)
            .await
            .unwrap()
            .session_id,
        a.id
    );
    let newest = fixture.relay.stop(&actor, StopTarget::Newest).await;
    assert_eq!(newest.unwrap().session_id, b.id);
}

#[tokio::test]
async fn a_lease_runs_out_after_five_minutes_of_silence() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 2).await;
    let session = started(&fixture, &actor, "a").await;
    let beat = || {
        let from = HeartbeatFrom::User(actor);
        fixture.relay.heartbeat(from, session.id)
    };
    fixture.pass(299);
    beat().await.unwrap();
    fixture.pass(299);
    assert_eq!(fixture.relay.expire().await.unwrap(), leases(0));
    assert_eq!(
        fixture.status(&actor, "a").await,
        Some("active"),
        "and renews"
    );
    fixture.pass(299);
    assert_eq!(fixture.relay.expire().await.unwrap(), leases(0));
    fixture.pass(1);
    assert_eq!(fixture.relay.expire().await.unwrap(), leases(1));
    assert_eq!(fixture.status(&actor, "a").await, None);
    assert_eq!(fixture.count(OPEN_ASSIGNMENTS).await, 0);
    // The plugin sends on: the session comes back, however late.
    fixture.pass(100_000);
    beat().await.unwrap();
    assert_eq!(fixture.status(&actor, "a").await, Some("active"));
    assert_eq!(fixture.count(OPEN_ASSIGNMENTS).await, 1);
}

#[tokio::test]
async fn only_a_session_that_its_lease_ended_is_revived_and_only_when_nothing_is_in_the_way() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 1).await;
    let beat = async |id| {
        let from = HeartbeatFrom::User(actor);
        fixture
            .relay
            .heartbeat(from, id)
            .await
            .map_err(|error| error.kind())
    };
    let stopped = started(&fixture, &actor, "a").await;
    fixture.stop(&actor, stopped.id).await;
    assert_eq!(beat(stopped.id).await, Err(Kind::NotFound));
    let expired = started(&fixture, &actor, "a").await;
    fixture.pass(300);
    fixture.relay.expire().await.unwrap();
    let holder = started(&fixture, &actor, "b").await;
    assert_eq!(
        beat(expired.id).await,
        Err(Kind::NotFound),
        "its slot is taken"
    );
    fixture.stop(&actor, holder.id).await;
    let newer = started(&fixture, &actor, "a").await;
    fixture.stop(&actor, newer.id).await;
    assert_eq!(
        beat(expired.id).await,
        Err(Kind::NotFound),
        "its connection went on"
    );
    assert_eq!(beat(RelaySessionId::generate()).await, Err(Kind::NotFound));
}

#[tokio::test]
async fn a_session_is_newer_than_those_before_it_although_the_clock_was_set_back() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 1).await;
    let older = started(&fixture, &actor, "a").await;
    fixture.pass(300);
    fixture.relay.expire().await.unwrap();
    fixture.clock.set_wall(NOON - Duration::from_hours(1));
    let newer = started(&fixture, &actor, "a").await;
    assert!(newer.started_at < older.started_at);
    fixture.pass(300);
    fixture.relay.expire().await.unwrap();

    let beat = async |id| {
        let from = HeartbeatFrom::User(actor);
        let beaten = fixture.relay.heartbeat(from, id).await;
        beaten.map_err(|error| error.kind())
    };
    assert_eq!(
        beat(older.id).await,
        Err(Kind::NotFound),
        "its connection went on"
    );
    assert!(beat(newer.id).await.is_ok(), "the last one is revived");
}

#[tokio::test]
async fn a_heartbeat_comes_from_the_owner_or_with_the_shared_key() {
    let key = SecretString::from("k".repeat(32));
    let config = RelayConfig {
        shared_key: Some(key),
        ..RelayConfig::default()
    };
    let fixture = Fixture::with(PlanRules::default(), config).await;
    let (actor, other) = (
        fixture.user(Tier::Free, 1).await,
        fixture.user(Tier::Free, 1).await,
    );
    let session = started(&fixture, &actor, "a").await;
    let foreign = fixture
        .relay
        .heartbeat(HeartbeatFrom::User(other), session.id);
    assert_eq!(foreign.await.unwrap_err().kind(), Kind::NotFound);
    let by_key = fixture.relay.check_shared_key(&"k".repeat(32)).unwrap();
    fixture.relay.heartbeat(by_key, session.id).await.unwrap();
    assert!(fixture.relay.check_shared_key("").is_err());
    let without = Fixture::new().await;
    let refused = without.relay.check_shared_key("").unwrap_err();
    assert_eq!(refused.kind(), Kind::Unauthenticated);
}

#[tokio::test]
async fn arriving_media_hold_the_lease_while_obs_is_gone() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 1).await;
    let session = started(&fixture, &actor, "a").await;
    fixture.relay.media_arrived(session.slot_id).await.unwrap();
    fixture.pass(10_000);
    assert_eq!(fixture.relay.expire().await.unwrap(), leases(0));
    fixture.relay.media_lost(session.slot_id).await.unwrap();
    assert_eq!(fixture.relay.expire().await.unwrap(), leases(0));
    assert_eq!(fixture.status(&actor, "a").await, Some("grace"));
}

#[tokio::test]
async fn grace_ends_with_media_or_with_its_window() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 2).await;
    let named = started(&fixture, &actor, "a").await;
    let nameless = started(&fixture, &actor, "").await;
    for session in [&named, &nameless] {
        fixture.relay.media_arrived(session.slot_id).await.unwrap();
        fixture.relay.media_lost(session.slot_id).await.unwrap();
    }
    fixture.pass(100);
    let shown = fixture
        .relay
        .active(&actor, &connection("a"))
        .await
        .unwrap();
    let remaining = shown.unwrap().grace_remaining;
    assert_eq!(remaining, Some(Duration::from_secs(500)));
    let again = fixture.start(&actor, "a", SlotChoice::FirstFree).await;
    assert!(!again.unwrap().is_new, "grace is open");
    fixture.relay.media_arrived(named.slot_id).await.unwrap();
    assert_eq!(fixture.status(&actor, "a").await, Some("active"));
    fixture.relay.media_lost(named.slot_id).await.unwrap();
    fixture.pass(600);
    let expired = fixture.relay.expire().await.unwrap();
    assert_eq!((expired.graces, expired.leases), (2, 0));
    assert_eq!(
        fixture.status(&actor, "a").await,
        Some("active"),
        "it waits on"
    );
    let open = fixture.relay.open_sessions(actor.user_id).await.unwrap();
    assert_eq!(open.len(), 1, "nobody waits for the nameless one");
}

#[tokio::test]
async fn after_a_restart_every_lease_and_grace_is_fresh() {
    let mut fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 2).await;
    started(&fixture, &actor, "a").await;
    let in_grace = started(&fixture, &actor, "b").await;
    fixture.relay.media_arrived(in_grace.slot_id).await.unwrap();
    fixture.relay.media_lost(in_grace.slot_id).await.unwrap();
    fixture.pass(100_000);
    fixture.restart().await;
    assert_eq!(fixture.relay.expire().await.unwrap(), Expired::default());
    fixture.pass(299);
    assert_eq!(fixture.relay.expire().await.unwrap(), Expired::default());
    fixture.pass(1);
    assert_eq!(fixture.relay.expire().await.unwrap(), leases(1));
    assert_eq!(fixture.status(&actor, "b").await, Some("grace"));
}

#[tokio::test]
async fn setting_the_wall_clock_ends_nothing() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 1).await;
    started(&fixture, &actor, "a").await;
    fixture.clock.set_wall(UnixMillis(NOON.0 * 2));
    assert_eq!(fixture.relay.expire().await.unwrap(), Expired::default());
    fixture.clock.set_wall(UnixMillis(0));
    assert_eq!(fixture.status(&actor, "a").await, Some("active"));
}

#[tokio::test]
async fn renewed_leases_are_written_for_the_operator() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 1).await;
    started(&fixture, &actor, "a").await;
    assert_eq!(fixture.relay.write_leases().await.unwrap(), 1);
    fixture.pass(200);
    assert_eq!(fixture.relay.write_leases().await.unwrap(), 0);
    fixture.status(&actor, "a").await.unwrap();
    fixture.pass(50);
    assert_eq!(fixture.relay.write_leases().await.unwrap(), 1);
    let ends = fixture
        .count("SELECT lease_expires_at_ms FROM relay_session")
        .await;
    assert_eq!(UnixMillis(ends), NOON + Duration::from_secs(500));
}

#[tokio::test]
async fn the_id_of_a_migrated_session_stands_for_its_successor() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 2).await;
    let old = started(&fixture, &actor, "a").await;
    let drain = "UPDATE relay_session SET status = 'draining'";
    let write = |sql: &'static str| {
        let job = move |tx: &crate::db::Tx<'_>| Ok::<_, Error>(tx.execute(sql, [])?);
        fixture.store.write(job)
    };
    write(drain).await.unwrap();
    fixture.relay.0.sessions.clear();
    let new = started(&fixture, &actor, "a").await;
    let link = "UPDATE relay_session SET supersedes_session_id =
                (SELECT id FROM relay_session WHERE status = 'draining') WHERE status = 'active'";
    write(link).await.unwrap();
    fixture.pass(299);
    let from = HeartbeatFrom::User(actor);
    fixture.relay.heartbeat(from, old.id).await.unwrap();
    fixture.pass(299);
    assert_eq!(fixture.relay.expire().await.unwrap(), leases(0));
    fixture.stop(&actor, old.id).await;
    assert_eq!(
        fixture
            .count("SELECT COUNT(*) FROM relay_session WHERE status <> 'stopped'")
            .await,
        0
    );
    let again = fixture
        .relay
        .stop(&actor, StopTarget::Session(new.id))
        .await;
    assert_eq!(again.unwrap().session_id, new.id);
}

#[tokio::test]
async fn a_transition_that_no_session_makes_is_refused() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 1).await;
    let session = started(&fixture, &actor, "a").await;
    let (from, to) = (Status::Active, Status::Provisioning);
    let refused = fixture
        .store
        .write(move |tx| crate::relay::store::session::transition(tx, session.id, from, to, NOON));
    assert_eq!(
        refused.await.unwrap_err().code().as_str(),
        "invalid_transition"
    );
}

#[tokio::test]
async fn a_plan_that_ends_ends_sessions_and_admission() {
    let fixture = Fixture::with(billing(), RelayConfig::default()).await;
    let actor = fixture.user(Tier::Standard, 1).await;
    let session = started(&fixture, &actor, "a").await;
    fixture
        .store
        .write(|tx| Ok::<_, Error>(tx.execute("UPDATE plan SET tier = 'free'", [])?))
        .await
        .unwrap();
    let synced = fixture.relay.sync_user(actor.user_id).await.unwrap();
    assert_eq!(synced.dropped, 1);
    assert!(fixture.engine.keys(session.slot_id).is_none());
    assert_eq!(fixture.status(&actor, "a").await, None);
    let reason = StopReason::EntitlementEnded.as_str();
    let stored = "SELECT COUNT(*) FROM relay_session WHERE stop_reason = 'entitlement_ended'";
    assert_eq!(fixture.count(stored).await, 1, "{reason}");
}

#[tokio::test]
async fn shutting_down_writes_what_memory_knows_and_leaves_nothing_running() {
    let config = RelayConfig {
        start_patience: Duration::from_millis(20),
        ..RelayConfig::default()
    };
    let fixture = Fixture::with(PlanRules::default(), config).await;
    let actor = fixture.user(Tier::Free, 2).await;
    let session = started(&fixture, &actor, "a").await;
    fixture
        .relay
        .media_seconds(session.slot_id, 3, NOON + Duration::from_secs(3));
    fixture
        .engine
        .set_mood(crate::relay::testing::Mood::Hanging);
    let waiting = fixture.start(&actor, "b", SlotChoice::FirstFree).await;
    assert_eq!(
        waiting.unwrap().snapshot.of.session.status,
        Status::Provisioning
    );
    fixture.relay.shut_down().await.unwrap();
    assert_eq!(
        fixture.count("SELECT SUM(seconds) FROM usage_record").await,
        3
    );
    assert!(fixture.relay.0.background.lock().unwrap().is_empty());
}

#[tokio::test]
async fn traces_of_sessions_that_are_over_do_not_pile_up() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 1).await;
    let session = started(&fixture, &actor, "a").await;
    fixture.stop(&actor, session.id).await;
    // As a poll does that read the session just before it ended.
    fixture.relay.0.presence.renew(session.id);
    fixture.pass(601);
    fixture.relay.expire().await.unwrap();
    assert_eq!(fixture.relay.write_leases().await.unwrap(), 0);
}
