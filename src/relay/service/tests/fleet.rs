//! What operators do with nodes, and what becomes of the sessions there.

use super::pool::{BY, spec};
use super::*;
use crate::kernel::Kind;
use crate::relay::nodes::{NodeChange, NodeHealth, NodeStatus};

#[tokio::test]
async fn an_operator_drains_takes_out_and_removes_a_node() {
    let mut fixture = Fixture::pool(10).await;
    let (node, engine) = fixture.add("far", "far", 9).await;
    let actor = fixture.user(Tier::Internal, 2).await;
    let session = fixture.begin(&actor, "a", "far").await.of.session;
    let again = fixture
        .relay
        .add_node(BY, spec("far", "far", 9).check().unwrap());
    assert_eq!(again.await.unwrap_err().kind(), Kind::Conflict);
    let put = async |status: NodeStatus| {
        let change = NodeChange::to_status(status.as_str());
        fixture.relay.change_node(BY, node.id(), &change).await
    };
    put(NodeStatus::Draining).await.unwrap();
    assert_eq!(
        fixture.begin(&actor, "b", "far").await.of.session.region,
        "local"
    );
    fixture.probe(1).await;
    assert_eq!(fixture.shown(&actor, "a").await.of.session.region, "far");
    let in_use = fixture.relay.remove_node(BY, node.id()).await.unwrap_err();
    assert_eq!(in_use.kind(), Kind::Conflict);
    put(NodeStatus::Inactive).await.unwrap();
    fixture.probe(1).await;
    assert_eq!(fixture.shown(&actor, "a").await.of.session.region, "local");
    fixture.relay.remove_node(BY, node.id()).await.unwrap();
    assert_eq!(
        engine.keys(session.slot_id),
        None,
        "nothing of ours stays there"
    );
    let keys = "SELECT COUNT(*) FROM node WHERE api_key_sealed IS NOT NULL";
    assert_eq!(fixture.count(keys).await, 0);
    let local = fixture.relay.nodes().local().id();
    let own = fixture.relay.remove_node(BY, local).await.unwrap_err();
    assert_eq!(own.kind(), Kind::Conflict);
    fixture.restart().await;
    assert!(fixture.relay.nodes().get(node.id()).is_none());
    assert_eq!(fixture.shown(&actor, "a").await.of.session.region, "local");
}

#[tokio::test]
async fn a_node_gets_another_name_room_and_key_and_its_sessions_stay() {
    let mut fixture = Fixture::pool(10).await;
    let (node, engine) = fixture.add("far", "far", 9).await;
    fixture.add("other", "other", 9).await;
    let actor = fixture.user(Tier::Free, 1).await;
    let session = fixture.begin(&actor, "a", "far").await.of.session;
    let change = |name: &str, capacity| NodeChange {
        name: Some(name.to_owned()),
        capacity: Some(capacity),
        status: None,
    };
    let put = async |id, change| fixture.relay.change_node(BY, id, &change).await;
    let changed = put(node.id(), change(" kc1 ", 3)).await.unwrap();
    assert_eq!(
        (changed.facts.name.as_str(), changed.facts.capacity),
        ("kc1", 3)
    );
    assert_eq!(changed.health().0, NodeHealth::Up, "its health is kept");
    let taken = put(node.id(), change("other", 3)).await.unwrap_err();
    assert_eq!(taken.reason_code(), Some("name_taken"));
    assert_eq!(
        put(node.id(), change("kc1", 0)).await.unwrap_err().fields()[0].field,
        "capacity"
    );
    let own = fixture.relay.nodes().local().id();
    assert_eq!(
        put(own, change("home", 3)).await.unwrap_err().fields()[0].field,
        "name"
    );

    engine.lose_everything();
    let new_key = || "another".to_owned().into();
    let rotated = fixture
        .relay
        .rotate_node_key(BY, node.id(), new_key())
        .await
        .unwrap();
    assert_eq!(
        rotated.health().0,
        NodeHealth::Up,
        "it was asked with the new key"
    );
    fixture.relay.reconcile_nodes().await.unwrap();
    assert!(
        engine.keys(session.slot_id).is_some(),
        "it is told of every slot anew"
    );
    assert_eq!(fixture.shown(&actor, "a").await.of.session.id, session.id);
    let refused = fixture.relay.rotate_node_key(BY, own, new_key()).await;
    assert_eq!(refused.unwrap_err().kind(), Kind::Invalid);

    fixture.restart().await;
    let kept = fixture.relay.nodes().get(node.id()).unwrap();
    assert_eq!((kept.facts.name.as_str(), kept.facts.capacity), ("kc1", 3));
}

#[tokio::test]
async fn a_node_at_a_forbidden_address_is_refused_with_the_remedy() {
    let fixture = Fixture::pool(10).await;
    for (url, field) in [
        ("http://169.254.169.254/", "url"),
        ("http://10.0.0.7:8090/", "url"),
        ("https://[::1]:8090/", "url"),
    ] {
        let mut spec = spec("near", "far", 9);
        url.clone_into(&mut spec.url);
        let refused = fixture.relay.add_node(BY, spec.check().unwrap()).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.fields()[0].field, field);
        assert!(refused.message().contains("outbound.allow"), "{refused}");
    }
    assert_eq!(fixture.relay.nodes().pool().nodes.len(), 1);
}
