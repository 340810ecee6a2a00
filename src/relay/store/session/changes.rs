//! What changes a session row.

use std::time::Duration;

use rusqlite::Connection;

use super::seal_context;
use crate::kernel::ids::{RelaySessionId, UserId};
use crate::kernel::seal::Vault;
use crate::kernel::{Error, Result, UnixMillis};
use crate::relay::model::{ConnectionId, Session, SessionCredentials, Status, StopReason};
use crate::relay::store::assignment;

/// What a new row holds besides the session.
#[derive(Debug)]
pub(in crate::relay) struct NewSession<'a> {
    pub(in crate::relay) session: &'a Session,
    pub(in crate::relay) credentials: &'a SessionCredentials,
    pub(in crate::relay) region_preference: &'a str,
    pub(in crate::relay) requested_by: &'a str,
    pub(in crate::relay) lease_expires_at: UnixMillis,
    /// The session that a migration replaces with it.
    pub(in crate::relay) supersedes: Option<RelaySessionId>,
}

/// Stores a session.
pub(in crate::relay) fn insert(
    connection: &Connection,
    vault: &Vault,
    new: &NewSession<'_>,
) -> rusqlite::Result<()> {
    let session = new.session;
    let sealed = vault.seal(&new.credentials.joined(), &seal_context(session.id));
    connection
        .prepare_cached(
            "INSERT INTO relay_session (id, user_id, slot_id, connection_id, status, region,
                 region_preference, requested_by, credentials_sealed, started_at_ms,
                 lease_expires_at_ms, grace_window_seconds, max_session_seconds, broadcast_seconds,
                 supersedes_session_id, updated_at_ms, ordinal)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?10,
                 (SELECT coalesce(max(ordinal), 0) + 1 FROM relay_session WHERE user_id = ?2))",
        )?
        .execute((
            session.id,
            session.user_id,
            session.slot_id,
            &session.connection_id,
            session.status,
            &session.region,
            new.region_preference,
            new.requested_by,
            sealed,
            session.started_at,
            new.lease_expires_at,
            whole_seconds(session.grace_window),
            whole_seconds(session.max_session),
            i64::try_from(session.broadcast_seconds).unwrap_or(i64::MAX),
            new.supersedes,
        ))?;
    Ok(())
}

fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
/// Ends a session for `reason` and frees its node; answers whether it was open.
pub(in crate::relay) fn stop(
    connection: &Connection,
    id: RelaySessionId,
    reason: StopReason,
    now: UnixMillis,
) -> rusqlite::Result<bool> {
    let was_open = stop_keeping_assignment(connection, id, reason, now)?;
    assignment::release(connection, id, now)?;
    Ok(was_open)
}

/// Ends a session whose assignment goes to another one in the same transaction.
pub(in crate::relay) fn stop_keeping_assignment(
    connection: &Connection,
    id: RelaySessionId,
    reason: StopReason,
    now: UnixMillis,
) -> rusqlite::Result<bool> {
    let changed = connection
        .prepare_cached(
            "UPDATE relay_session
             SET status = 'stopped', stopped_at_ms = ?2, stop_reason = ?3, updated_at_ms = ?2
             WHERE id = ?1 AND status <> 'stopped'",
        )?
        .execute((id, now, reason))?;
    Ok(changed == 1)
}

/// Changes the status of a session that has the status `from`; answers whether it had.
///
/// # Errors
/// 409 `invalid_transition` for a change that no session may make.
pub(in crate::relay) fn transition(
    connection: &Connection,
    id: RelaySessionId,
    from: Status,
    to: Status,
    now: UnixMillis,
) -> Result<bool> {
    if !from.may_become(to) {
        return Err(Error::invalid_transition(format!(
            "a session that is {from} cannot become {to}"
        )));
    }
    let changed = connection
        .prepare_cached(
            "UPDATE relay_session SET status = ?3, updated_at_ms = ?4 WHERE id = ?1 AND status = ?2",
        )?
        .execute((id, from, to, now))?;
    Ok(changed == 1)
}

/// Notes that a session was moved off a node of the region `from`.
pub(in crate::relay) fn put_moved(
    connection: &Connection,
    id: RelaySessionId,
    from: &str,
    now: UnixMillis,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE relay_session SET moved_at_ms = ?2, moved_from = ?3 WHERE id = ?1")?
        .execute((id, now, from))?;
    Ok(())
}

/// Notes the region of the node at which a session has its place now.
pub(in crate::relay) fn put_region(
    connection: &Connection,
    id: RelaySessionId,
    region: &str,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE relay_session SET region = ?2 WHERE id = ?1 AND region <> ?2")?
        .execute((id, region))?;
    Ok(())
}

/// Says otherwise why a stopped session ended.
pub(in crate::relay) fn put_stop_reason(
    connection: &Connection,
    id: RelaySessionId,
    reason: StopReason,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE relay_session SET stop_reason = ?2 WHERE id = ?1 AND status = 'stopped'",
        )?
        .execute((id, reason))?;
    Ok(())
}

/// Lets no session of a connection come back that its lease ended.
pub(in crate::relay) fn forget_revivable(
    connection: &Connection,
    user_id: UserId,
    connection_id: &ConnectionId,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE relay_session INDEXED BY relay_session_connection SET stop_reason = 'requested'
             WHERE user_id = ?1 AND connection_id = ?2 AND status = 'stopped'
                 AND stop_reason = 'lease_expired'",
        )?
        .execute((user_id, connection_id))?;
    Ok(())
}

/// Brings back a session that its lease ended; the caller assigns a node.
pub(in crate::relay) fn revive(
    connection: &Connection,
    id: RelaySessionId,
    now: UnixMillis,
) -> rusqlite::Result<bool> {
    let changed = connection
        .prepare_cached(
            "UPDATE relay_session
             SET status = 'active', stopped_at_ms = NULL, stop_reason = NULL,
                 broadcast_seconds = 0, updated_at_ms = ?2
             WHERE id = ?1 AND status = 'stopped' AND stop_reason = 'lease_expired'",
        )?
        .execute((id, now))?;
    Ok(changed == 1)
}

/// Adds seconds of ingest that ended at `ended_at`.
pub(in crate::relay) fn add_ingest_seconds(
    connection: &Connection,
    id: RelaySessionId,
    seconds: u64,
    ended_at: UnixMillis,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE relay_session SET ingest_seconds = ingest_seconds + ?2,
                 broadcast_seconds = broadcast_seconds + ?2, metered_until_ms = ?3 WHERE id = ?1",
        )?
        .execute((id, i64::try_from(seconds).unwrap_or(i64::MAX), ended_at))?;
    Ok(())
}

/// Counts an interruption of the broadcast, or with `None` begins a new broadcast.
pub(in crate::relay) fn add_interruption(
    connection: &Connection,
    id: RelaySessionId,
    interruption: Option<Duration>,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE relay_session
             SET broadcast_seconds = CASE WHEN ?2 IS NULL THEN 0 ELSE broadcast_seconds + ?2 END
             WHERE id = ?1",
        )?
        .execute((id, interruption.map(whole_seconds)))?;
    Ok(())
}

/// Writes when a lease ends.
pub(in crate::relay) fn put_lease(
    connection: &Connection,
    id: RelaySessionId,
    expires_at: UnixMillis,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE relay_session SET lease_expires_at_ms = ?2 WHERE id = ?1")?
        .execute((id, expires_at))?;
    Ok(())
}
