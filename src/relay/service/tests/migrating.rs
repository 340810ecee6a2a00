//! Moves to another region: the new place first, the old one until nobody publishes there.

use super::*;
use crate::kernel::{Code, Kind};
use crate::relay::engine::{PublisherStats, StreamStats, Traffic};
use crate::relay::model::SessionSnapshot;
use crate::relay::service::{HeartbeatFrom, MigrateRequest};
use crate::relay::testing::Mood;

impl Fixture {
    async fn migrate(&self, actor: &Actor, name: &str, region: &str) -> Result<SessionSnapshot> {
        let request = MigrateRequest {
            connection_id: connection(name),
            new_region: region.to_owned(),
            is_forced: false,
        };
        self.relay.migrate(actor, request).await
    }
}

fn publishing(slot_id: crate::kernel::ids::SlotId) -> Vec<StreamStats> {
    vec![StreamStats {
        slot_id,
        publisher: Some(PublisherStats::default()),
        players: Vec::new(),
        received: Traffic::default(),
        sent: Traffic::default(),
    }]
}

#[tokio::test]
async fn a_migration_makes_the_new_place_first_and_drains_the_old_one() {
    let fixture = Fixture::pool(10).await;
    let (_, engine) = fixture.add("far", "far", 9).await;
    let actor = fixture.user(Tier::Free, 1).await;
    let old = fixture.begin(&actor, "a", "far").await.of.session;
    engine.set_figures(publishing(old.slot_id));
    let new = fixture
        .migrate(&actor, "a", "local")
        .await
        .unwrap()
        .of
        .session;
    assert_ne!(new.id, old.id);
    assert_eq!(
        (new.status.as_str(), new.region.as_str()),
        ("active", "local")
    );
    assert_eq!(fixture.shown(&actor, "a").await.of.session.id, new.id);
    assert_eq!(fixture.relay.entitlement(actor.user_id).await.unwrap().1, 1);
    // The plugin keeps the old identity.
    let beat = HeartbeatFrom::User(actor);
    fixture.relay.heartbeat(beat, old.id).await.unwrap();
    fixture.probe(1).await;
    assert!(
        engine.keys(old.slot_id).is_some(),
        "somebody publishes there"
    );
    engine.set_figures(Vec::new());
    fixture.probe(1).await;
    fixture.relay.reconcile_nodes().await.unwrap();
    assert_eq!(engine.keys(old.slot_id), None);
    let superseded = "SELECT COUNT(*) FROM relay_session WHERE status = 'superseded'";
    assert_eq!(fixture.count(superseded).await, 1);
    fixture.relay.heartbeat(beat, old.id).await.unwrap();
    fixture.stop(&actor, old.id).await;
    assert_eq!(
        fixture.status(&actor, "a").await,
        None,
        "a stop ends the chain"
    );
    assert_eq!(fixture.count(OPEN_ASSIGNMENTS).await, 0);
}

#[tokio::test]
async fn an_old_place_is_left_after_ten_minutes_whoever_publishes() {
    let fixture = Fixture::pool(10).await;
    let (_, engine) = fixture.add("far", "far", 9).await;
    let actor = fixture.user(Tier::Free, 1).await;
    let old = fixture.begin(&actor, "a", "far").await.of.session;
    fixture.migrate(&actor, "a", "local").await.unwrap();
    engine.set_figures(publishing(old.slot_id));
    fixture.pass(599);
    fixture.probe(1).await;
    assert_eq!(fixture.count(OPEN_ASSIGNMENTS).await, 2);
    fixture.pass(1);
    fixture.probe(1).await;
    assert_eq!(fixture.count(OPEN_ASSIGNMENTS).await, 1);
}

#[tokio::test]
async fn a_region_changes_once_an_hour_and_only_operators_force_it() {
    let fixture = Fixture::pool(10).await;
    fixture.add("far", "far", 9).await;
    let actor = fixture.user(Tier::Free, 1).await;
    let first = fixture.begin(&actor, "a", "local").await.of.session;
    let same = fixture.migrate(&actor, "a", "local").await.unwrap();
    assert_eq!(same.of.session.id, first.id, "it is there already");
    fixture.migrate(&actor, "a", "far").await.unwrap();
    let too_soon = fixture.migrate(&actor, "a", "local").await.unwrap_err();
    assert_eq!(too_soon.kind(), Kind::LimitReached);
    assert_eq!(too_soon.retry_after_hint(), Some(Duration::from_hours(1)));
    let forced = |actor| {
        let request = MigrateRequest {
            connection_id: connection("a"),
            new_region: "local".to_owned(),
            is_forced: true,
        };
        let relay = fixture.relay.clone();
        async move { relay.migrate(&actor, request).await }
    };
    assert_eq!(forced(actor).await.unwrap_err().kind(), Kind::Forbidden);
    let operator = Actor {
        role: Role::Operator,
        ..actor
    };
    assert_eq!(forced(operator).await.unwrap().of.session.region, "local");
    fixture.pass(3600);
    let back = fixture.migrate(&actor, "a", "far").await.unwrap();
    assert_eq!(back.of.session.region, "far");
    let nowhere = fixture.migrate(&actor, "a", "atlantis").await.unwrap_err();
    assert_eq!(nowhere.kind(), Kind::Invalid);
    let unknown = fixture.migrate(&actor, "b", "local").await.unwrap_err();
    assert_eq!(unknown.kind(), Kind::NotFound);
}

#[tokio::test]
async fn a_migration_that_comes_to_nothing_leaves_the_session_and_nothing_else() {
    let fixture = Fixture::pool(10).await;
    let (_, engine) = fixture.add("far", "far", 9).await;
    let actor = fixture.user(Tier::Free, 1).await;
    let session = fixture.begin(&actor, "a", "local").await.of.session;
    engine.set_mood(Mood::Rejecting);
    let refused = fixture.migrate(&actor, "a", "far").await.unwrap_err();
    assert_eq!(refused.code(), Code::CapacityFull);
    assert_eq!(fixture.shown(&actor, "a").await.of.session.id, session.id);
    engine.set_mood(Mood::Well);
    let pending = "SELECT COUNT(*) FROM assignment WHERE drop_pending > 0";
    assert_eq!(fixture.count(pending).await, 1);
    fixture.pass(60);
    fixture.relay.reconcile_nodes().await.unwrap();
    assert_eq!(fixture.count(pending).await, 0);
    fixture.migrate(&actor, "a", "far").await.unwrap();
    fixture.pass(60);
    fixture.relay.reconcile_nodes().await.unwrap();
    assert!(
        engine.keys(session.slot_id).is_some(),
        "a place that was taken stays"
    );
}
