//! Several nodes: who gets which, and what becomes of sessions when a node fails, leaves or is moved from.

use futures_util::future::join_all;

use super::*;
use crate::kernel::Code;
use crate::relay::model::SessionSnapshot;
use crate::relay::nodes::{Node, NodeSpec, Region};
use crate::relay::service::{Operator, Reconciled};
use crate::relay::testing::Mood;

pub(super) const BY: Operator = Operator::on_this_machine();

pub(super) fn spec(name: &str, region: &str, capacity: u32) -> NodeSpec {
    NodeSpec {
        name: name.to_owned(),
        region: region.to_owned(),
        url: format!("http://{name}.example.org:8090/"),
        key: "key".to_owned().into(),
        link_stats_url: None,
        public_host: Some("198.51.100.7".to_owned()),
        capacity,
        srtla_port: 15000,
        srt_publish_port: 14001,
        srt_play_port: 14000,
        stats_port: 18090,
        api_calls_per_minute: 30,
        stats_calls_per_minute: 300,
    }
}

impl Fixture {
    pub(super) async fn pool(capacity: u32) -> Self {
        Self::with_capacity(PlanRules::default(), RelayConfig::default(), capacity).await
    }

    pub(super) async fn add(
        &self,
        name: &str,
        region: &str,
        capacity: u32,
    ) -> (Arc<Node>, Arc<FakeEngine>) {
        let spec = spec(name, region, capacity);
        let engine = self.fleet.engine(&spec.url);
        let node = self.relay.add_node(BY, spec.check().unwrap()).await;
        (node.unwrap(), engine)
    }

    pub(super) async fn begin(
        &self,
        actor: &Actor,
        connection: &str,
        region: &str,
    ) -> SessionSnapshot {
        let mut request = request(connection, SlotChoice::FirstFree);
        region.clone_into(&mut request.region_preference);
        let started = self.relay.start(actor, request, key()).await.unwrap();
        started.snapshot
    }

    pub(super) async fn shown(&self, actor: &Actor, name: &str) -> SessionSnapshot {
        let shown = self.relay.active(actor, &connection(name)).await.unwrap();
        shown.expect("the connection has a session")
    }

    pub(super) async fn probe(&self, times: u32) {
        for _ in 0..times {
            self.relay.probe_nodes().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_hundred_starts_at_once_on_three_nodes_fill_them_to_the_last_place_and_no_further() {
    let fixture = Fixture::pool(20).await;
    fixture.add("one", "local", 30).await;
    fixture.add("two", "far", 25).await;
    let mut actors = Vec::new();
    for _ in 0..100 {
        actors.push(fixture.user(Tier::Free, 1).await);
    }
    let starts = actors
        .iter()
        .map(|actor| fixture.start(actor, "a", SlotChoice::FirstFree));
    let started = join_all(starts).await;
    let refused: Vec<_> = started
        .iter()
        .filter_map(|start| start.as_ref().err())
        .collect();
    assert_eq!(started.len() - refused.len(), 75);
    assert!(
        refused
            .iter()
            .all(|error| error.code() == Code::CapacityFull)
    );
    let loads = fixture.relay.node_loads().await.unwrap();
    let loads: Vec<_> = loads.iter().map(|load| load.sessions).collect();
    assert_eq!(loads, [20, 30, 25]);
    assert_eq!(
        fixture.count("SELECT COUNT(*) FROM relay_session").await,
        75
    );
    let places = fixture.relay.places().await.unwrap();
    assert_eq!((places.free, places.total), (0, 75));
}

#[tokio::test]
async fn a_session_gets_its_region_first_then_the_least_loaded_node_and_that_nodes_address() {
    let fixture = Fixture::pool(10).await;
    let (near, engine) = fixture.add("near", "us-central", 2).await;
    let region = Region::check("us-central", "US Central", &["us".to_owned()]).unwrap();
    fixture.relay.name_region(BY, region).await.unwrap();
    let actor = fixture.user(Tier::Internal, 4).await;
    let first = fixture.begin(&actor, "a", "US").await.of.session;
    assert_eq!(
        first.node_id,
        Some(near.id()),
        "by another name of the region"
    );
    assert_eq!(first.region, "us-central");
    assert!(engine.keys(first.slot_id).is_some());
    let address = fixture.relay.address_of(&first);
    assert_eq!(
        (address.host.as_str(), address.ports.srtla),
        ("198.51.100.7", 15000)
    );
    fixture.begin(&actor, "b", "us-central").await;
    let local = fixture.relay.nodes().local().id();
    let elsewhere = fixture.begin(&actor, "c", "us-central").await.of.session;
    assert_eq!(elsewhere.node_id, Some(local), "the region is full");
    assert_eq!(elsewhere.region, "local");
    let any = fixture.begin(&actor, "d", "auto").await.of.session;
    assert_eq!(any.node_id, Some(local));
    let regions = fixture.relay.regions();
    let labels: Vec<_> = regions.iter().map(|it| it.region.label.as_str()).collect();
    assert_eq!(labels, ["local", "US Central"]);
}

#[tokio::test]
async fn a_node_that_fails_to_register_is_passed_over_in_the_same_call() {
    for mood in [Mood::Unavailable, Mood::Rejecting] {
        let fixture = Fixture::pool(10).await;
        let (_, bad_engine) = fixture.add("bad", "us-central", 9).await;
        let (good, good_engine) = fixture.add("good", "us-central", 9).await;
        bad_engine.set_mood(mood);
        let actor = fixture.user(Tier::Free, 1).await;
        let session = fixture.begin(&actor, "a", "us-central").await.of.session;
        assert_eq!(session.status.as_str(), "active");
        assert_eq!(session.node_id, Some(good.id()));
        assert!(good_engine.keys(session.slot_id).is_some());
        let shown = fixture.shown(&actor, "a").await.of.session;
        assert_eq!(shown.node_id, Some(good.id()));
        bad_engine.set_mood(Mood::Well);
        fixture.relay.reconcile_nodes().await.unwrap();
        assert_eq!(bad_engine.keys(session.slot_id), None);
        let pending = "SELECT COUNT(*) FROM assignment WHERE drop_pending > 0";
        assert_eq!(fixture.count(pending).await, 0);
        assert_eq!(fixture.count(OPEN_ASSIGNMENTS).await, 1);
    }
}

#[tokio::test]
async fn a_stop_leaves_nothing_at_an_external_node_whatever_happens_in_between() {
    let mut fixture = Fixture::pool(10).await;
    let (node, engine) = fixture.add("far", "far", 9).await;
    let actor = fixture.user(Tier::Free, 1).await;
    let session = fixture.begin(&actor, "a", "far").await.of.session;
    fixture.stop(&actor, session.id).await;
    engine.set_mood(Mood::Unavailable);
    assert!(fixture.relay.reconcile_nodes().await.unwrap().failed > 0);
    assert!(engine.keys(session.slot_id).is_some());
    fixture.restart().await;
    engine.set_mood(Mood::Well);
    let done = fixture.relay.reconcile_nodes().await.unwrap();
    assert_eq!(done.dropped, 1);
    assert_eq!(engine.keys(session.slot_id), None);
    assert_eq!(
        fixture.relay.reconcile_nodes().await.unwrap(),
        Reconciled::default()
    );
    assert!(
        fixture.relay.nodes().get(node.id()).is_some(),
        "the node is kept"
    );
}

#[tokio::test]
async fn sessions_move_off_a_dead_node_and_the_plugin_sees_the_new_address() {
    let fixture = Fixture::pool(10).await;
    let (dead, engine) = fixture.add("dead", "far", 9).await;
    let actor = fixture.user(Tier::Free, 1).await;
    let session = fixture.begin(&actor, "a", "far").await.of.session;
    fixture.probe(1).await;
    engine.set_mood(Mood::Unavailable);
    fixture.probe(2).await;
    assert_eq!(
        fixture.shown(&actor, "a").await.of.session.node_id,
        Some(dead.id())
    );
    fixture.probe(1).await;
    let moved = fixture.shown(&actor, "a").await.of.session;
    assert_eq!((moved.id, moved.region.as_str()), (session.id, "local"));
    assert_eq!(fixture.relay.address_of(&moved).host, "203.0.113.7");
    assert!(fixture.engine.keys(session.slot_id).is_some());
    let audited = "SELECT COUNT(*) FROM audit_event WHERE action IN ('node.down', 'session.moved')";
    assert_eq!(fixture.count(audited).await, 2);
    engine.set_mood(Mood::Well);
    fixture.probe(2).await;
    fixture.relay.reconcile_nodes().await.unwrap();
    assert_eq!(
        engine.keys(session.slot_id),
        None,
        "it forgets what moved away"
    );
    assert_eq!(fixture.shown(&actor, "a").await.of.session.region, "local");
}

#[tokio::test]
async fn a_restart_takes_no_session_off_a_node_for_one_bad_answer() {
    let mut fixture = Fixture::pool(10).await;
    let (node, engine) = fixture.add("far", "far", 9).await;
    let actor = fixture.user(Tier::Free, 1).await;
    fixture.begin(&actor, "a", "far").await;
    fixture.restart().await;
    engine.set_mood(Mood::Unavailable);
    fixture.probe(2).await;
    let session = fixture.shown(&actor, "a").await.of.session;
    assert_eq!(session.node_id, Some(node.id()));
    fixture.probe(1).await;
    assert_eq!(fixture.shown(&actor, "a").await.of.session.region, "local");
}

#[tokio::test]
async fn without_room_elsewhere_a_session_stays_until_there_is_some() {
    let fixture = Fixture::pool(1).await;
    let (node, engine) = fixture.add("far", "far", 9).await;
    let (holder, mover) = (
        fixture.user(Tier::Free, 1).await,
        fixture.user(Tier::Free, 1).await,
    );
    let held = fixture.begin(&holder, "a", "local").await.of.session;
    fixture.begin(&mover, "a", "far").await;
    engine.set_mood(Mood::Unavailable);
    fixture.probe(4).await;
    assert_eq!(
        fixture.shown(&mover, "a").await.of.session.node_id,
        Some(node.id())
    );
    fixture.stop(&holder, held.id).await;
    fixture.probe(1).await;
    assert_eq!(fixture.shown(&mover, "a").await.of.session.region, "local");
}

#[tokio::test]
async fn what_a_node_lost_or_should_not_have_is_put_right() {
    let fixture = Fixture::pool(10).await;
    let (_, engine) = fixture.add("far", "far", 9).await;
    let actor = fixture.user(Tier::Internal, 2).await;
    let session = fixture.begin(&actor, "a", "far").await.of.session;
    let keys = engine.keys(session.slot_id);
    engine.lose_everything();
    let slots = fixture.slots(&actor).await;
    let other = slots
        .iter()
        .find(|slot| slot.id != session.slot_id)
        .unwrap();
    let node = session
        .node_id
        .and_then(|id| fixture.relay.nodes().get(id))
        .unwrap();
    fixture
        .relay
        .register_slot(actor.user_id, other.id, &node)
        .await
        .unwrap();
    let done = fixture.relay.reconcile_nodes().await.unwrap();
    assert_eq!((done.registered, done.dropped, done.failed), (1, 1, 0));
    assert_eq!(engine.keys(session.slot_id), keys);
    assert_eq!(engine.keys(other.id), None);
}

#[tokio::test]
async fn a_rotated_key_is_new_at_every_node_of_the_slot() {
    let fixture = Fixture::pool(10).await;
    let (_, engine) = fixture.add("far", "far", 9).await;
    let actor = fixture.user(Tier::Free, 1).await;
    let session = fixture.begin(&actor, "a", "far").await.of.session;
    fixture.relay.register_all().await.unwrap();
    let before = engine.keys(session.slot_id).unwrap();
    fixture
        .relay
        .regenerate_token(&actor, session.slot_id)
        .await
        .unwrap();
    let after = engine.keys(session.slot_id).unwrap();
    assert!(before.0 != after.0 && before.1 != after.1);
    assert_eq!(fixture.engine.keys(session.slot_id).unwrap(), after);
}

#[tokio::test]
async fn a_slot_with_a_passphrase_goes_to_a_node_that_encrypts() {
    let fixture = Fixture::pool(10).await;
    let (_, plain) = fixture.add("plain", "far", 9).await;
    let actor = fixture.user(Tier::Free, 1).await;
    plain.set_can_encrypt(false);
    let slot_id = fixture.slots(&actor).await[0].id;
    let change = crate::slots::PassphraseChange::Generate;
    fixture
        .relay
        .change_passphrase(&actor, slot_id, change)
        .await
        .unwrap();
    let session = fixture.begin(&actor, "a", "far").await.of.session;
    assert_eq!(session.region, "local");
    assert_eq!(plain.keys(slot_id), None);
}

#[tokio::test]
async fn an_own_relay_that_is_down_takes_no_session() {
    let fixture = Fixture::new().await;
    let actor = fixture.user(Tier::Free, 1).await;
    fixture.engine.set_mood(Mood::Unavailable);
    fixture.probe(3).await;
    let full = fixture.start(&actor, "a", SlotChoice::FirstFree).await;
    assert_eq!(full.unwrap_err().code(), Code::CapacityFull);
    fixture.engine.set_mood(Mood::Well);
    fixture.probe(3).await;
    assert!(
        fixture
            .start(&actor, "a", SlotChoice::FirstFree)
            .await
            .is_ok()
    );
}
