//! What operators do with nodes: add, drain, take out, remove; and the names of regions.
//!
//! Invariant: the table and memory change together, in one transaction and its wake, and an audit row says who
//! did it.

use std::sync::Arc;

use super::RelayService;
use crate::audit::{self, AuditEvent};
use crate::db::Tx;
use crate::kernel::ids::{NodeId, UserId};
use crate::kernel::{Actor, Error, Result};
use crate::relay::nodes::{NewNode, Node, NodeFacts, NodeStatus, Region};
use crate::relay::{nodes, store};

/// Somebody who runs the appliance.
#[derive(Debug, Clone, Copy)]
pub struct Operator(Option<UserId>);

impl Operator {
    /// A signed-in operator or owner.
    ///
    /// # Errors
    /// `Forbidden` for anybody else.
    pub fn signed_in(actor: &Actor) -> Result<Self> {
        if actor.is_operator() {
            Ok(Self(Some(actor.user_id)))
        } else {
            Err(Error::forbidden())
        }
    }

    /// Whoever may use the command line on this machine.
    #[must_use]
    pub const fn on_this_machine() -> Self {
        Self(None)
    }
}

impl RelayService {
    /// Adds a node. It takes sessions as soon as it says that it is well, which it is asked at once.
    ///
    /// # Errors
    /// `Invalid`, naming the field; `Conflict` when another node has its name; what the engine's maker says.
    pub async fn add_node(&self, by: Operator, new: NewNode) -> Result<Arc<Node>> {
        let new = new.check()?;
        let engine = self.0.deps.nodes.make_engine(&new.api)?;
        let added = self.write(move |relay, tx| {
            let facts =
                nodes::store::insert(tx, relay.vault(), &new, relay.now())?.ok_or_else(|| {
                    Error::conflict("another node has this name").reason("name_taken")
                })?;
            relay.note_by(tx, by, "node.added", facts.id, &facts.name)?;
            let node = Arc::new(Node::new(facts, engine));
            let (nodes, known) = (relay.0.deps.nodes.clone(), Arc::clone(&node));
            tx.after_commit(move || nodes.change(|pool| pool.nodes.push(known)));
            Ok(node)
        });
        let node = added.await?;
        self.probe(&node).await;
        self.0.upkeep.notify_one();
        Ok(node)
    }

    /// Says what a node shall do: take sessions, only keep those that it has, or have none. The sessions of one
    /// that shall have none move at the next probe.
    ///
    /// # Errors
    /// `NotFound` for an unknown node, `Invalid` for `Removed`.
    pub async fn set_node_status(
        &self,
        by: Operator,
        id: NodeId,
        status: NodeStatus,
    ) -> Result<NodeFacts> {
        if status == NodeStatus::Removed {
            return Err(Error::invalid("remove the node instead"));
        }
        let mut facts = self.known_node(id)?.facts.clone();
        self.write(move |relay, tx| {
            nodes::store::put_status(tx, id, status)?;
            relay.note_by(tx, by, &format!("node.{}", status.as_str()), id, "")?;
            let nodes = relay.0.deps.nodes.clone();
            tx.after_commit(move || nodes.change_facts(id, |facts| facts.status = status));
            Ok(())
        })
        .await?;
        facts.status = status;
        Ok(facts)
    }

    /// Removes an external node that has no sessions. Its key is forgotten.
    ///
    /// # Errors
    /// `NotFound` for an unknown node, `Conflict` for the own one and for one that has sessions.
    pub async fn remove_node(&self, by: Operator, id: NodeId) -> Result<()> {
        let node = self.known_node(id)?;
        if node.is_local() {
            return Err(Error::conflict(
                "the appliance's own relay cannot be removed",
            ));
        }
        // So that nothing of ours stays there.
        self.reconcile_nodes().await?;
        self.write(move |relay, tx| {
            if store::assignment::load(tx, id, 1)? > 0 {
                let message =
                    "the node has sessions: make it inactive, and they move to other nodes";
                return Err(Error::conflict(message).reason("node_in_use"));
            }
            nodes::store::put_status(tx, id, NodeStatus::Removed)?;
            relay.note_by(tx, by, "node.removed", id, "")?;
            let nodes = relay.0.deps.nodes.clone();
            tx.after_commit(move || {
                nodes.change(|pool| pool.nodes.retain(|node| node.id() != id));
            });
            Ok(())
        })
        .await
    }

    /// Names a region.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn name_region(&self, by: Operator, region: Region) -> Result<()> {
        self.write(move |relay, tx| {
            nodes::store::put_region(tx, &region)?;
            let event = AuditEvent {
                actor: by.0,
                action: "region.named",
                subject: &region.id,
                detail: &region.label,
            };
            audit::append(tx, &event, relay.now())?;
            let (nodes, named_regions) = (relay.0.deps.nodes.clone(), nodes::store::regions(tx)?);
            tx.after_commit(move || nodes.change(|pool| pool.named_regions = named_regions));
            Ok(())
        })
        .await
    }

    fn known_node(&self, id: NodeId) -> Result<Arc<Node>> {
        let node = self.0.deps.nodes.get(id);
        node.ok_or_else(|| Error::not_found("relay node"))
    }

    fn note_by(
        &self,
        tx: &Tx<'_>,
        by: Operator,
        action: &str,
        id: NodeId,
        detail: &str,
    ) -> Result<()> {
        let event = AuditEvent {
            actor: by.0,
            action,
            subject: &id.to_string(),
            detail,
        };
        Ok(audit::append(tx, &event, self.now())?)
    }
}
