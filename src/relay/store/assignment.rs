//! Which node serves which session.
//!
//! Invariant: load is counted from open rows.

use rusqlite::{Connection, OptionalExtension};

use crate::kernel::UnixMillis;
use crate::kernel::ids::{AssignmentId, NodeId, RelaySessionId};

/// The appliance's own node, made on first use.
pub(in crate::relay) fn local_node(
    connection: &Connection,
    region: &str,
    now: UnixMillis,
) -> rusqlite::Result<NodeId> {
    let found = connection
        .prepare_cached("SELECT id FROM node WHERE kind = 'local'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    if let Some(id) = found {
        return Ok(id);
    }
    let id = NodeId::generate();
    connection
        .prepare_cached(
            "INSERT INTO node (id, kind, region, created_at_ms) VALUES (?1, 'local', ?2, ?3)",
        )?
        .execute((id, region, now))?;
    Ok(id)
}

/// Whether `node_id` has room for one more of at most `capacity` sessions.
pub(in crate::relay) fn has_room(
    connection: &Connection,
    node_id: NodeId,
    capacity: u32,
) -> rusqlite::Result<bool> {
    // The limit keeps the count short on a node that is far beyond its capacity.
    let load: u32 = connection
        .prepare_cached(
            "SELECT COUNT(*) FROM
                 (SELECT 1 FROM assignment INDEXED BY assignment_open_node
                  WHERE node_id = ?1 AND released_at_ms IS NULL LIMIT ?2)",
        )?
        .query_row((node_id, capacity), |row| row.get(0))?;
    Ok(load < capacity)
}

/// Assigns `session_id` to `node_id`.
pub(in crate::relay) fn insert(
    connection: &Connection,
    session_id: RelaySessionId,
    node_id: NodeId,
    now: UnixMillis,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO assignment (id, session_id, node_id, assigned_at_ms) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute((AssignmentId::generate(), session_id, node_id, now))?;
    Ok(())
}

/// Passes the open assignment of `from` on to `to`, unchanged; answers whether there was one.
pub(in crate::relay) fn pass_on(
    connection: &Connection,
    from: RelaySessionId,
    to: RelaySessionId,
) -> rusqlite::Result<bool> {
    let changed = connection
        .prepare_cached(
            "UPDATE assignment INDEXED BY assignment_open_session SET session_id = ?2
             WHERE session_id = ?1 AND released_at_ms IS NULL",
        )?
        .execute((from, to))?;
    Ok(changed == 1)
}

/// Frees the node of `session_id`.
pub(in crate::relay) fn release(
    connection: &Connection,
    session_id: RelaySessionId,
    now: UnixMillis,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE assignment INDEXED BY assignment_open_session SET released_at_ms = ?2
             WHERE session_id = ?1 AND released_at_ms IS NULL",
        )?
        .execute((session_id, now))?;
    Ok(())
}
