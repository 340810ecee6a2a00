//! What relay sessions and nodes tell those who live above them.
//!
//! Invariant: told only after the commit that made it true; a listener that lags looks at everything again.

use crate::kernel::ids::{NodeId, RelaySessionId, SlotId, UserId};

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelayEvent {
    /// A node of the pool does not work any more.
    NodeLost(NodeId),
    /// It does again.
    NodeBack(NodeId),
    /// A session has its place at another node, because its own failed or was taken out.
    SessionMoved {
        /// The session.
        session_id: RelaySessionId,
        /// Its user.
        user_id: UserId,
        /// Its slot.
        slot_id: SlotId,
        /// The node that it left.
        from: NodeId,
        /// The node at which it is now.
        to: NodeId,
    },
}
