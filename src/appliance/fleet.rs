//! What commands do with relay nodes.
//!
//! Invariant: only the running server changes nodes, because only it knows their engines.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::kernel::ids::NodeId;
use crate::kernel::{Error, Result};
use crate::relay::RelayService;
use crate::relay::api::NodeView;
use crate::relay::nodes::{Node, NodeChange, NodeKey, NodeSpec, NodeStatus, Region};
use crate::relay::service::{NodeLoad, Operator};

/// The service of the running server.
pub(super) fn running(relay: Option<&RelayService>) -> Result<&RelayService> {
    relay.ok_or_else(|| Error::conflict("start the server first: only it can reach relay nodes"))
}

pub(super) async fn list(relay: &RelayService) -> Result<Value> {
    let nodes = relay.node_loads().await?;
    let nodes = join_all(nodes.iter().map(NodeView::of)).await;
    Ok(json!({ "nodes": nodes }))
}

pub(super) async fn add(relay: &RelayService, spec: NodeSpec) -> Result<Value> {
    let node = relay
        .add_node(Operator::on_this_machine(), spec.check()?)
        .await?;
    describe(node).await
}

pub(super) async fn set_status(relay: &RelayService, id: &str, status: &str) -> Result<Value> {
    let (by, change) = (Operator::on_this_machine(), NodeChange::to_status(status));
    let node = relay.change_node(by, node_id(id)?, &change).await?;
    Ok(json!({ "id": node.id(), "status": node.facts.status.as_str() }))
}

pub(super) async fn rotate_key(relay: &RelayService, id: &str, key: NodeKey) -> Result<Value> {
    let (by, id) = (Operator::on_this_machine(), node_id(id)?);
    relay.rotate_node_key(by, id, key.0).await?;
    let loads = relay.node_loads().await?;
    let load = loads.iter().find(|load| load.node.id() == id);
    let load = load.ok_or_else(|| Error::not_found("relay node"))?;
    serde_json::to_value(NodeView::of(load).await).map_err(Error::internal)
}

pub(super) async fn remove(relay: &RelayService, id: &str) -> Result<Value> {
    let id = node_id(id)?;
    relay.remove_node(Operator::on_this_machine(), id).await?;
    Ok(json!({ "id": id, "status": NodeStatus::Removed.as_str() }))
}

pub(super) async fn name_region(
    relay: &RelayService,
    id: &str,
    label: &str,
    aliases: &[String],
) -> Result<Value> {
    let region = Region::check(id, label, aliases)?;
    let answer = json!({ "region": region.id, "label": region.label, "aliases": region.aliases });
    relay
        .name_region(Operator::on_this_machine(), region)
        .await?;
    Ok(answer)
}

fn node_id(text: &str) -> Result<NodeId> {
    text.parse().map_err(|_| Error::not_found("relay node"))
}

async fn describe(node: Arc<Node>) -> Result<Value> {
    let view = NodeView::of(&NodeLoad { node, sessions: 0 }).await;
    serde_json::to_value(view).map_err(Error::internal)
}
