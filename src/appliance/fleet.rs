//! What commands do with relay nodes.
//!
//! Invariant: only the running server changes nodes, because only it knows their engines.

use serde_json::{Value, json};

use crate::kernel::ids::NodeId;
use crate::kernel::{Error, Result};
use crate::relay::RelayService;
use crate::relay::nodes::{Node, NodeSpec, NodeStatus, Region};
use crate::relay::service::{NodeLoad, Operator};

/// The service of the running server.
pub(super) fn running(relay: Option<&RelayService>) -> Result<&RelayService> {
    relay.ok_or_else(|| Error::conflict("start the server first: only it can reach relay nodes"))
}

pub(super) async fn list(relay: &RelayService) -> Result<Value> {
    let nodes = relay.node_loads().await?;
    let nodes: Vec<_> = nodes.iter().map(describe).collect();
    Ok(json!({ "nodes": nodes }))
}

pub(super) async fn add(relay: &RelayService, spec: NodeSpec) -> Result<Value> {
    let node = relay
        .add_node(Operator::on_this_machine(), spec.check()?)
        .await?;
    Ok(describe(&NodeLoad { node, sessions: 0 }))
}

pub(super) async fn set_status(relay: &RelayService, id: &str, status: &str) -> Result<Value> {
    let status: NodeStatus = status
        .parse()
        .map_err(|_| Error::invalid("a status is active, draining or inactive"))?;
    let by = Operator::on_this_machine();
    let facts = relay.set_node_status(by, node_id(id)?, status).await?;
    Ok(json!({ "id": facts.id, "status": facts.status.as_str() }))
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

fn describe(load: &NodeLoad) -> Value {
    let node: &Node = &load.node;
    let (health, reason) = node.health();
    let facts = &node.facts;
    json!({
        "id": facts.id,
        "name": facts.name,
        "kind": if node.is_local() { "local" } else { "external" },
        "region": facts.region,
        "status": facts.status.as_str(),
        "health": health.as_str(),
        "reason": reason,
        "sessions": load.sessions,
        "capacity": facts.capacity,
        "public_host": facts.public.as_ref().map(|public| &public.host),
    })
}
