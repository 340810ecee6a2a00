//! Session rows. Every change of status is guarded by the status it starts from.
//!
//! Invariant: at most one open session per slot and per connection of a user; the indexes enforce it.

mod changes;
mod queries;

pub(in crate::relay) use changes::*;
pub(in crate::relay) use queries::*;

use crate::kernel::ids::RelaySessionId;

/// The associated data under which a session's tokens are sealed.
fn seal_context(id: RelaySessionId) -> String {
    format!("relay_session.credentials:{id}")
}
