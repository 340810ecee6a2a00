//! Keeps nodes and table in line: asks how nodes are, leaves those that are down, makes them forget what has no
//! place there any more and know what has.
//!
//! Invariant: what a node is told about a slot is decided under that slot's lock for the node, so that a start at
//! the same time is told after it.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;

use super::RelayService;
use crate::audit::{self, AuditEvent};
use crate::db::Tx;
use crate::kernel::ids::{NodeId, SlotId};
use crate::kernel::{Error, Result, error_chain};
use crate::relay::engine::EngineHealth;
use crate::relay::model::Status;
use crate::relay::nodes::{Node, NodeHealth};
use crate::relay::store;
use crate::relay::store::assignment::Place;

/// How long a node may take to say how it is.
const PROBE_PATIENCE: Duration = Duration::from_secs(3);
/// After which time what a migration registered, and what came to nothing, is forgotten.
pub(super) const TENTATIVE: Duration = Duration::from_mins(1);

/// What asking all nodes came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Probed {
    /// Nodes that are up.
    pub up: usize,
    /// Nodes that are down.
    pub down: usize,
    /// Sessions that moved to another node.
    pub moved: usize,
}

/// What bringing nodes in line came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Reconciled {
    /// Slots that nodes were told of.
    pub registered: usize,
    /// Slots that nodes forgot.
    pub dropped: usize,
    /// Calls that failed; the next run makes them again.
    pub failed: usize,
}

impl RelayService {
    /// Job, every few seconds: asks all nodes at once how they are, and moves sessions off those that are down or
    /// that an operator took out.
    ///
    /// # Errors
    /// When the store fails; the next run goes on.
    pub async fn probe_nodes(&self) -> Result<Probed> {
        let pool = self.0.deps.nodes.pool();
        join_all(pool.nodes.iter().map(|node| self.probe(node))).await;
        let mut probed = Probed::default();
        for node in &pool.nodes {
            match node.health().0 {
                NodeHealth::Up => probed.up += 1,
                NodeHealth::Down => probed.down += 1,
                NodeHealth::Unknown => {}
            }
            if pool.has_external() && node.is_to_be_left() {
                probed.moved += self.leave(node).await?;
            }
        }
        self.finish_drains().await?;
        Ok(probed)
    }

    pub(super) async fn probe(&self, node: &Node) {
        let (asked, ()) = tokio::join!(
            tokio::time::timeout(PROBE_PATIENCE, node.engine.health()),
            look_up(node)
        );
        let answer = match asked {
            Ok(EngineHealth::Ready) => Ok(()),
            Ok(EngineHealth::Degraded(why)) => Err(why),
            Err(_) => Err("it does not answer".to_owned()),
        };
        if !node.hear(answer) {
            return;
        }
        let (health, reason) = node.health();
        let (id, name) = (node.id(), node.facts.name.clone());
        tracing::warn!(node.id = %id, node.name = name, health = health.as_str(), reason, "relay node");
        // The own node says how it is on the page and in `/readyz`.
        if node.is_local() {
            return;
        }
        if health == NodeHealth::Up {
            // What it could not be told while it was down.
            self.0.upkeep.notify_one();
        }
        let noted = self.write(move |relay, tx| {
            let action = format!("node.{}", health.as_str());
            relay.note_in(tx, &action, &id.to_string(), &format!("{name}: {reason}"))
        });
        if let Err(error) = noted.await {
            tracing::error!(node.id = %id, cause = error_chain(&error), "health not noted");
        }
    }

    fn note_in(&self, tx: &Tx<'_>, action: &str, subject: &str, detail: &str) -> Result<()> {
        let event = AuditEvent {
            actor: None,
            action,
            subject,
            detail,
        };
        Ok(audit::append(tx, &event, self.now())?)
    }

    /// Moves what it can from a node to others. What finds no room stays, and is tried again.
    async fn leave(&self, node: &Node) -> Result<usize> {
        let mut moved = 0;
        for place in self.places_at(node.id()).await? {
            if self.move_off(place, node.id()).await? {
                moved += 1;
            }
        }
        Ok(moved)
    }

    async fn places_at(&self, node_id: NodeId) -> Result<Vec<Place>> {
        let read = move |connection: &rusqlite::Connection| {
            Ok::<_, Error>(store::assignment::places_at(connection, node_id)?)
        };
        self.0.deps.store.read(read).await
    }

    async fn move_off(&self, place: Place, from: NodeId) -> Result<bool> {
        let next = self.write(move |relay, tx| {
            let session = store::session::get(tx, place.session)?;
            // One that is being brought up looks for another node itself.
            let is_there = session.is_some_and(|session| {
                session.node_id == Some(from)
                    && matches!(session.status, Status::Active | Status::Grace)
            });
            if !is_there {
                return Ok(None);
            }
            let next = relay.move_place(tx, place.session, &[from])?;
            if let Some(next) = &next {
                let detail = format!("from {from} to {}", next.id());
                relay.note_in(tx, "session.moved", &place.session.to_string(), &detail)?;
            }
            Ok(next)
        });
        let Some(next) = next.await? else {
            return Ok(false);
        };
        tracing::warn!(
            session.id = %place.session, node.id = %next.id(), node.left = %from,
            "a session moved to another node"
        );
        let told = self.register_patiently(place.user, place.slot, &next);
        if let Err(error) = told.await {
            // The next run of the upkeep tells it again.
            tracing::warn!(slot.id = %place.slot, error = %error, "the new node did not take the slot");
        }
        Ok(true)
    }

    /// Runs until it is dropped: brings external nodes in line as soon as something changed.
    pub async fn tend_nodes(&self) {
        loop {
            self.0.upkeep.notified().await;
            self.sync_changed_plans().await;
            if let Err(error) = self.reconcile_nodes().await {
                tracing::error!(
                    cause = error_chain(&error),
                    "relay nodes were not brought in line"
                );
            }
        }
    }

    /// Job, once a minute, and when something changed: makes external nodes forget slots that have no place there
    /// and know those that have. One node after the other is of no matter to the rest: all at once.
    ///
    /// # Errors
    /// When the store fails; the next run goes on.
    pub async fn reconcile_nodes(&self) -> Result<Reconciled> {
        let pool = self.0.deps.nodes.pool();
        if !pool.has_external() {
            return Ok(Reconciled::default());
        }
        let before = self.now() - TENTATIVE;
        let read = move |connection: &rusqlite::Connection| {
            Ok::<_, Error>(store::assignment::pending_drops(connection, before)?)
        };
        let pending = self.0.deps.store.read(read).await?;
        let external = pool.nodes.iter().filter(|node| !node.is_local());
        let each = external.map(|node| async {
            let due = pending.iter().filter(|(at, _)| *at == node.id());
            let due = due.map(|(_, slot_id)| *slot_id).collect();
            self.reconcile(node, due).await
        });
        let mut total = Reconciled::default();
        for done in join_all(each).await {
            let done = done?;
            total.registered += done.registered;
            total.dropped += done.dropped;
            total.failed += done.failed;
        }
        Ok(total)
    }

    async fn reconcile(&self, node: &Node, mut due: HashSet<SlotId>) -> Result<Reconciled> {
        let mut done = Reconciled::default();
        // Calls to a node that is down would all wait in vain.
        if node.health().0 == NodeHealth::Down {
            done.failed = due.len();
            return Ok(done);
        }
        let wanted = self.places_at(node.id()).await?;
        let listed = match node.engine.admitted().await {
            Ok(listed) => listed.map(|ids| ids.into_iter().collect::<HashSet<_>>()),
            Err(error) => {
                tracing::warn!(node.id = %node.id(), error = %error, "a node does not list its slots");
                done.failed += 1;
                return Ok(done);
            }
        };
        if let Some(listed) = &listed {
            let has_place = |id: &SlotId| wanted.iter().any(|place| place.slot == *id);
            due.extend(listed.iter().filter(|id| !has_place(id)));
        }
        for place in wanted {
            if self.is_known(node, place.slot, listed.as_ref()) {
                continue;
            }
            match self.register_patiently(place.user, place.slot, node).await {
                Ok(()) => done.registered += 1,
                Err(_) => done.failed += 1,
            }
        }
        if done.failed == 0 {
            node.note_complete();
        }
        for slot_id in due {
            match self.forget_at(node, slot_id).await {
                Ok(()) => done.dropped += 1,
                Err(error) => {
                    done.failed += 1;
                    let cause = error_chain(&error);
                    tracing::warn!(node.id = %node.id(), slot.id = %slot_id, cause, "a slot is not forgotten");
                }
            }
        }
        Ok(done)
    }

    /// Whether a node has a slot with its present keys.
    fn is_known(&self, node: &Node, slot_id: SlotId, listed: Option<&HashSet<SlotId>>) -> bool {
        let is_confirmed = self.confirmed().contains(&(node.id(), slot_id));
        let is_kept = listed.map_or_else(
            || node.engine.capabilities().keeps_streams,
            |listed| listed.contains(&slot_id),
        );
        is_confirmed && is_kept
    }

    /// Makes a node forget a slot, unless the slot has a place there again.
    async fn forget_at(&self, node: &Node, slot_id: SlotId) -> Result<()> {
        let node_id = node.id();
        {
            let _turn = self.registering(node_id, slot_id).lock().await;
            let read = move |connection: &rusqlite::Connection| {
                Ok::<_, Error>(store::assignment::has_place(connection, node_id, slot_id)?)
            };
            if !self.0.deps.store.read(read).await? {
                self.drop_in_turn(slot_id, node).await?;
            }
        }
        self.write(move |_, tx| Ok(store::assignment::drop_done(tx, node_id, slot_id)?))
            .await
    }
}

/// Looks up the IPv4 address of an external node, which the plugin needs. What does not resolve keeps the last one.
async fn look_up(node: &Node) {
    let Some(public) = &node.facts.public else {
        return;
    };
    if public.host.parse::<IpAddr>().is_ok() {
        return;
    }
    let found = tokio::net::lookup_host((public.host.as_str(), 0));
    match tokio::time::timeout(PROBE_PATIENCE, found).await {
        Ok(Ok(found)) => {
            let ipv4 = found.filter_map(|address| match address.ip() {
                IpAddr::V4(ip) => Some(ip),
                IpAddr::V6(_) => None,
            });
            if let Some(ipv4) = ipv4.into_iter().next() {
                node.note_ipv4(ipv4);
            }
        }
        Ok(Err(error)) => {
            tracing::warn!(node.id = %node.id(), error = %error, "a node's name does not resolve");
        }
        Err(_) => tracing::warn!(node.id = %node.id(), "looking a node's name up takes too long"),
    }
}
