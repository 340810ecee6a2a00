//! What a user is told of a session that we moved off a node: when, and where it is now.
//!
//! Invariant: the row says it; memory is filled from the rows at the start, and changes with them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use super::RelayService;
use crate::db::Tx;
use crate::jobs::Events;
use crate::kernel::ids::{NodeId, RelaySessionId, SlotId};
use crate::kernel::{Error, Result};
use crate::relay::events::RelayEvent;
use crate::relay::model::{Moved, Session};
use crate::relay::nodes::Node;
use crate::relay::store;
use crate::settings::PublicAddress;

/// How long a user is told.
const TOLD_FOR: Duration = Duration::from_hours(12);

/// The newest move of each slot's open session.
#[derive(Debug, Default)]
pub(super) struct Moves(Mutex<HashMap<SlotId, Moved>>);

impl Moves {
    fn all(&self) -> MutexGuard<'_, HashMap<SlotId, Moved>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session is over, or its user moved it.
    pub(super) fn forget(&self, session_id: RelaySessionId) {
        self.all().retain(|_, moved| moved.session_id != session_id);
    }
}

impl RelayService {
    /// What happens to sessions and nodes, for later rooms.
    #[must_use]
    pub fn events(&self) -> &Events<RelayEvent> {
        &self.0.events
    }

    /// The newest move of a slot's open session, for as long as its user is told.
    #[must_use]
    pub fn moved(&self, slot_id: SlotId) -> Option<Moved> {
        let moved = self.0.moves.all().get(&slot_id).cloned();
        moved.filter(|moved| self.now().since(moved.at) < TOLD_FOR)
    }

    /// Once, at the start: takes up what users were being told.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn recall_moves(&self) -> Result<()> {
        let read = |connection: &Connection| Ok::<_, Error>(store::session::moved(connection)?);
        let moves = self.0.deps.store.read(read).await?;
        *self.0.moves.all() = moves.into_iter().collect();
        Ok(())
    }

    /// Notes that `session` was moved from one node to another, in its row, in memory and on the bus.
    pub(super) fn note_move_in(
        &self,
        tx: &Tx<'_>,
        session: &Session,
        from: NodeId,
        to: &Node,
    ) -> Result<()> {
        let now = self.now();
        store::session::put_moved(tx, session.id, &session.region, now)?;
        let moved = Moved {
            session_id: session.id,
            at: now,
            from_region: session.region.clone(),
            to_region: to.facts.region.clone(),
        };
        let event = RelayEvent::SessionMoved {
            session_id: session.id,
            user_id: session.user_id,
            slot_id: session.slot_id,
            from,
            to: to.id(),
        };
        let (relay, slot_id) = (self.clone(), session.slot_id);
        tx.after_commit(move || {
            relay.0.moves.all().insert(slot_id, moved);
            relay.0.names.wake.notify_one();
            relay.0.events.tell(event);
        });
        Ok(())
    }

    /// How clients reach each of these slots: at the node of its open session, or at the own relay without one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn addresses_of(
        &self,
        slots: Vec<SlotId>,
    ) -> Result<HashMap<SlotId, Arc<PublicAddress>>> {
        let mut at_nodes: HashMap<SlotId, Option<NodeId>> = HashMap::new();
        if self.0.deps.nodes.pool().has_external() {
            let asked = slots.clone();
            let read = move |connection: &Connection| {
                let place = |slot_id: SlotId| {
                    let session = store::session::open_of_slot(connection, slot_id)?;
                    Ok::<_, Error>((slot_id, session.and_then(|session| session.node_id)))
                };
                asked.into_iter().map(place).collect::<Result<_>>()
            };
            at_nodes = self.0.deps.store.read(read).await?;
        }
        let address = |slot_id: SlotId| {
            let node_id = at_nodes.get(&slot_id).copied().flatten();
            (slot_id, self.address_at_node(node_id, slot_id))
        };
        Ok(slots.into_iter().map(address).collect())
    }
}
