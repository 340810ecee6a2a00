//! What operators do with nodes: add, drain, take out, remove; and the names of regions.
//!
//! Invariant: the table and memory change together, in one transaction and its wake, and an audit row says who
//! did it.

use std::sync::Arc;

use rusqlite::Connection;
use url::Url;

use super::{Operator, RelayService};
use crate::audit::{self, AuditEvent};
use crate::db::Tx;
use crate::kernel::ids::NodeId;
use crate::kernel::secret::SecretString;
use crate::kernel::{Error, Result};
use crate::relay::nodes::{
    CheckedChange, ExternalApi, NewNode, Node, NodeChange, NodeStatus, Region,
};
use crate::relay::{nodes, store};

impl RelayService {
    /// Adds a node. It takes sessions as soon as it says that it is well, which it is asked at once.
    ///
    /// # Errors
    /// `Invalid`, naming the field; `Conflict` when another node has its name; what the engine's maker says.
    pub async fn add_node(&self, by: Operator, new: NewNode) -> Result<Arc<Node>> {
        let new = new.check()?;
        self.require_callable("url", &new.api.url)?;
        if let Some(url) = &new.api.link_stats_url {
            self.require_callable("link_stats_url", url)?;
        }
        let engine = self.0.deps.nodes.make_engine(&new.api)?;
        let added = self.write(move |relay, tx| {
            let facts = nodes::store::insert(tx, relay.vault(), &new, relay.now())?
                .ok_or_else(name_taken)?;
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

    fn require_callable(&self, field: &'static str, url: &Url) -> Result<()> {
        let checked = self.0.deps.config.outbound.check(url);
        checked.map_err(|refused| {
            Error::invalid_field(field, "address_not_allowed", refused.to_string())
        })
    }

    /// Changes what a node is called, how many sessions it takes, or what it shall do: take sessions, only keep
    /// those that it has, or have none. The sessions of one that shall have none move at the next probe.
    ///
    /// # Errors
    /// `NotFound` for an unknown node, `Invalid`, naming the field, `Conflict` when another node has the name.
    pub async fn change_node(
        &self,
        by: Operator,
        id: NodeId,
        change: &NodeChange,
    ) -> Result<Arc<Node>> {
        let change = change.check()?;
        let node = self.known_node(id)?;
        if node.is_local() && (change.name.is_some() || change.capacity.is_some()) {
            let field = if change.name.is_some() {
                "name"
            } else {
                "capacity"
            };
            let message = "the appliance's own relay has its name and its room by itself";
            return Err(Error::invalid_field(field, "not_changeable", message));
        }
        self.write(move |relay, tx| relay.change_node_in(tx, by, id, change))
            .await?;
        self.known_node(id)
    }

    fn change_node_in(
        &self,
        tx: &Tx<'_>,
        by: Operator,
        id: NodeId,
        change: CheckedChange,
    ) -> Result<()> {
        let CheckedChange {
            name,
            capacity,
            status,
        } = change;
        if let Some(name) = &name
            && nodes::store::is_name_taken(tx, name, id)?
        {
            return Err(name_taken());
        }
        if name.is_some() || capacity.is_some() {
            nodes::store::put_facts(tx, id, name.as_deref(), capacity)?;
            let capacity = capacity.map(|it| format!("{it} sessions"));
            let detail = [name.clone(), capacity]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>();
            self.note_by(tx, by, "node.changed", id, &detail.join(", "))?;
        }
        if let Some(status) = status {
            nodes::store::put_status(tx, id, status)?;
            self.note_by(tx, by, &format!("node.{}", status.as_str()), id, "")?;
        }
        let nodes = self.0.deps.nodes.clone();
        tx.after_commit(move || {
            nodes.change_facts(id, |facts| {
                facts.name = name.unwrap_or_else(|| std::mem::take(&mut facts.name));
                facts.capacity = capacity.unwrap_or(facts.capacity);
                facts.status = status.unwrap_or(facts.status);
            });
        });
        Ok(())
    }

    /// Gives a node's API another key, which is tried at once. Sessions there go on meanwhile.
    ///
    /// # Errors
    /// `NotFound` for an unknown node, `Invalid` for the own one and for what is no key.
    pub async fn rotate_node_key(
        &self,
        by: Operator,
        id: NodeId,
        key: SecretString,
    ) -> Result<Arc<Node>> {
        nodes::check_key(&key)?;
        if self.known_node(id)?.is_local() {
            let message = "the appliance's own relay has no key that could be changed here";
            return Err(Error::invalid_field("key", "not_changeable", message));
        }
        let vault = Arc::clone(&self.0.deps.vault);
        let read =
            move |connection: &Connection| nodes::store::external_api(connection, &vault, id);
        let api = self.0.deps.store.read(read).await?;
        let api = api.ok_or_else(|| Error::not_found("relay node"))?;
        let api = ExternalApi { key, ..api };
        let engine = self.0.deps.nodes.make_engine(&api)?;
        self.write(move |relay, tx| {
            nodes::store::put_key(tx, relay.vault(), id, &api.key)?;
            relay.note_by(tx, by, "node.key_changed", id, "")?;
            let memory = relay.clone();
            tx.after_commit(move || {
                memory.0.deps.nodes.replace_engine(id, engine);
                // The new engine is told of every slot anew.
                memory.confirmed().retain(|(node_id, _)| *node_id != id);
            });
            Ok(())
        })
        .await?;
        let node = self.known_node(id)?;
        self.probe(&node).await;
        self.0.upkeep.notify_one();
        Ok(node)
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

fn name_taken() -> Error {
    Error::conflict("another node has this name: give it another one").reason("name_taken")
}
