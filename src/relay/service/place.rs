//! Which node a session gets: in the region that is wished for first, then the one with the fewest sessions.
//!
//! Invariant: a place is found and taken in one transaction, and there is one writer, so that no number of starts
//! at once goes beyond a node's capacity.

use std::sync::Arc;
use std::time::Duration;

use super::RelayService;
use crate::db::Tx;
use crate::kernel::ids::{NodeId, RelaySessionId, SlotId};
use crate::kernel::{Code, Error, Kind, Result};
use crate::relay::nodes::Node;
use crate::relay::store;
use crate::slots::store as slots;

/// When a client may ask a full relay again.
const FULL_RETRY: Duration = Duration::from_secs(10);

/// What a session wants of its node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish<'a> {
    region: &'a str,
    is_region_needed: bool,
    slot_id: SlotId,
    except: &'a [NodeId],
}

impl<'a> Wish<'a> {
    /// Any node, rather one of this region.
    pub(super) const fn near(region: &'a str, slot_id: SlotId) -> Self {
        Self {
            region,
            is_region_needed: false,
            slot_id,
            except: &[],
        }
    }

    /// A node of this region and no other.
    pub(super) const fn within(region: &'a str, slot_id: SlotId) -> Self {
        Self {
            is_region_needed: true,
            ..Self::near(region, slot_id)
        }
    }

    /// The same without these nodes.
    pub(super) const fn except(self, except: &'a [NodeId]) -> Self {
        Self { except, ..self }
    }
}

impl RelayService {
    /// A node with room.
    ///
    /// # Errors
    /// 503 `capacity_full`.
    pub(super) fn require_place(&self, tx: &Tx<'_>, wish: &Wish<'_>) -> Result<Arc<Node>> {
        self.find_place(tx, wish)?.ok_or_else(full)
    }

    /// A node with room, when there is one.
    pub(super) fn find_place(&self, tx: &Tx<'_>, wish: &Wish<'_>) -> Result<Option<Arc<Node>>> {
        let pool = self.0.deps.nodes.pool();
        let may_serve =
            |node: &&Arc<Node>| node.is_assignable() && !wish.except.contains(&node.id());
        let mut candidates: Vec<_> = pool.nodes.iter().filter(may_serve).collect();
        prefer_encrypting(tx, wish.slot_id, &mut candidates)?;
        let (near, far): (Vec<_>, Vec<_>) = candidates
            .into_iter()
            .partition(|node| node.facts.region == wish.region);
        let found = match least_loaded(tx, &near)? {
            None if !wish.is_region_needed => least_loaded(tx, &far)?,
            found => found,
        };
        Ok(found.cloned())
    }

    /// Moves the place of an open session to another node, when there is one; its stream is not there yet.
    pub(super) fn move_place(
        &self,
        tx: &Tx<'_>,
        session_id: RelaySessionId,
        except: &[NodeId],
    ) -> Result<Option<Arc<Node>>> {
        let session = store::session::get(tx, session_id)?;
        let Some(session) = session.filter(|session| session.status.is_open()) else {
            return Ok(None);
        };
        let wish = Wish::near(&session.region, session.slot_id).except(except);
        let Some(node) = self.find_place(tx, &wish)? else {
            return Ok(None);
        };
        let now = self.now();
        store::assignment::release(tx, session_id, now)?;
        store::assignment::insert(tx, session_id, node.id(), now)?;
        store::session::put_region(tx, session_id, &node.facts.region)?;
        self.changed_after(tx, session.user_id);
        self.wake_after(tx);
        Ok(Some(node))
    }
}

/// A slot with a passphrase is served by nodes that encrypt. When none does, any will say why it refuses.
fn prefer_encrypting(tx: &Tx<'_>, slot_id: SlotId, candidates: &mut Vec<&Arc<Node>>) -> Result<()> {
    let encrypts = |node: &&Arc<Node>| node.engine.capabilities().has_passphrase;
    let is_choice = candidates.iter().any(encrypts) && !candidates.iter().all(encrypts);
    if is_choice && slots::has_passphrase(tx, slot_id)? {
        candidates.retain(encrypts);
    }
    Ok(())
}

fn least_loaded<'n>(tx: &Tx<'_>, nodes: &[&'n Arc<Node>]) -> Result<Option<&'n Arc<Node>>> {
    let mut best: Option<(u32, &Arc<Node>)> = None;
    for &node in nodes {
        let capacity = node.facts.capacity;
        let load = store::assignment::load(tx, node.id(), capacity)?;
        if load < capacity && best.is_none_or(|(least, _)| load < least) {
            best = Some((load, node));
        }
    }
    Ok(best.map(|(_, node)| node))
}

pub(super) fn full() -> Error {
    let message = "no relay has room for another session: try again shortly";
    Error::new(Kind::Unavailable, Code::CapacityFull, message)
        .reason("capacity_full")
        .retry_after(FULL_RETRY)
}
