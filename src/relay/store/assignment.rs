//! Which node serves which session.
//!
//! Invariant: load is counted from open rows. A place on an external node that is freed stays marked until the
//! node was told to forget the stream, so that no crash leaves a stream behind.

use rusqlite::Connection;

use crate::kernel::UnixMillis;
use crate::kernel::ids::{AssignmentId, NodeId, RelaySessionId, SlotId, UserId};

/// How many sessions `node_id` has, counted up to `capacity`.
pub(in crate::relay) fn load(
    connection: &Connection,
    node_id: NodeId,
    capacity: u32,
) -> rusqlite::Result<u32> {
    // The limit keeps the count short on a node that is far beyond its capacity.
    connection
        .prepare_cached(
            "SELECT COUNT(*) FROM
                 (SELECT 1 FROM assignment INDEXED BY assignment_open_node
                  WHERE node_id = ?1 AND released_at_ms IS NULL LIMIT ?2)",
        )?
        .query_row((node_id, capacity), |row| row.get(0))
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

/// Frees the node of `session_id`. The own node keeps the stream, others are to forget it.
pub(in crate::relay) fn release(
    connection: &Connection,
    session_id: RelaySessionId,
    now: UnixMillis,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE assignment INDEXED BY assignment_open_session SET released_at_ms = ?2,
                 drop_pending = (SELECT kind <> 'local' FROM node WHERE node.id = node_id)
             WHERE session_id = ?1 AND released_at_ms IS NULL",
        )?
        .execute((session_id, now))?;
    Ok(())
}

/// Marks a stream that `node_id` is about to be told of for `session_id`, before it has a place there: what
/// comes to nothing is forgotten again.
pub(in crate::relay) fn insert_tentative(
    connection: &Connection,
    session_id: RelaySessionId,
    node_id: NodeId,
    now: UnixMillis,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO assignment (id, session_id, node_id, assigned_at_ms, released_at_ms, drop_pending)
             VALUES (?1, ?2, ?3, ?4, ?4, (SELECT 2 * (kind <> 'local') FROM node WHERE node.id = ?3))",
        )?
        .execute((AssignmentId::generate(), session_id, node_id, now))?;
    Ok(())
}

/// Streams that nodes are still to forget: of places that were freed, and of those marked before
/// `tentative_before` that nobody ever took.
pub(in crate::relay) fn pending_drops(
    connection: &Connection,
    tentative_before: UnixMillis,
) -> rusqlite::Result<Vec<(NodeId, SlotId)>> {
    connection
        .prepare_cached(
            "SELECT DISTINCT node_id, slot_id FROM assignment INDEXED BY assignment_drop_pending
             JOIN relay_session ON relay_session.id = session_id
             WHERE drop_pending > 0 AND (drop_pending = 1 OR released_at_ms <= ?1)",
        )?
        .query_map([tentative_before], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// `node_id` knows nothing of `slot_id` any more, or shall know it again.
pub(in crate::relay) fn drop_done(
    connection: &Connection,
    node_id: NodeId,
    slot_id: SlotId,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE assignment INDEXED BY assignment_drop_pending SET drop_pending = 0
             WHERE node_id = ?1 AND drop_pending > 0
                 AND (SELECT slot_id FROM relay_session WHERE id = session_id) = ?2",
        )?
        .execute((node_id, slot_id))?;
    Ok(())
}

/// The nodes at which sessions of a slot have a place, old halves of migrations included.
pub(in crate::relay) fn nodes_of_slot(
    connection: &Connection,
    slot_id: SlotId,
) -> rusqlite::Result<Vec<NodeId>> {
    connection
        .prepare_cached(
            "SELECT node_id FROM relay_session AS held INDEXED BY relay_session_open_slot
             JOIN assignment INDEXED BY assignment_open_session
                 ON session_id = held.id AND released_at_ms IS NULL
             WHERE slot_id = ?1 AND status IN ('provisioning', 'active', 'grace')
             UNION
             SELECT node_id FROM relay_session AS leaving INDEXED BY relay_session_draining
             JOIN assignment INDEXED BY assignment_open_session
                 ON session_id = leaving.id AND released_at_ms IS NULL
             WHERE slot_id = ?1 AND status = 'draining'",
        )?
        .query_map([slot_id], |row| row.get(0))?
        .collect()
}

/// The slots and users whose sessions have a place at `node_id`.
pub(in crate::relay) fn places_at(
    connection: &Connection,
    node_id: NodeId,
) -> rusqlite::Result<Vec<Place>> {
    connection
        .prepare_cached(
            "SELECT session_id, slot_id, user_id FROM assignment INDEXED BY assignment_open_node
             JOIN relay_session ON relay_session.id = session_id
             WHERE node_id = ?1 AND released_at_ms IS NULL",
        )?
        .query_map([node_id], |row| {
            Ok(Place {
                session: row.get(0)?,
                slot: row.get(1)?,
                user: row.get(2)?,
            })
        })?
        .collect()
}

/// A session's place at a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::relay) struct Place {
    pub(in crate::relay) session: RelaySessionId,
    pub(in crate::relay) slot: SlotId,
    pub(in crate::relay) user: UserId,
}

/// Whether sessions of a slot have a place at `node_id`.
pub(in crate::relay) fn has_place(
    connection: &Connection,
    node_id: NodeId,
    slot_id: SlotId,
) -> rusqlite::Result<bool> {
    Ok(nodes_of_slot(connection, slot_id)?.contains(&node_id))
}
