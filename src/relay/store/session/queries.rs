//! What reads session rows.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, ToSql};

use super::seal_context;
use crate::kernel::ids::{RelaySessionId, SlotId, UserId};
use crate::kernel::seal::{Unsealable, Vault};
use crate::kernel::{Error, Result, UnixMillis};
use crate::plans::{PlanRules, Tier, store as plans};
use crate::relay::model::{Moved, Session, SessionCredentials, SlotSession, Status};
use crate::slots::store as slots;

/// Spelled as in the partial indexes. The queries name their index: without statistics the planner may take
/// one that walks through all the sessions a user ever had.
macro_rules! open {
    () => {
        "status IN ('provisioning', 'active', 'grace')"
    };
}

macro_rules! select {
    ($rest:expr) => {
        concat!(
            "SELECT id, user_id, slot_id, connection_id, status, region,
                    started_at_ms, stopped_at_ms, stop_reason, grace_window_seconds,
                    max_session_seconds, ingest_seconds, broadcast_seconds,
                    (SELECT node_id FROM assignment INDEXED BY assignment_open_session
                     WHERE session_id = relay_session.id AND released_at_ms IS NULL) AS node_id
             FROM relay_session ",
            $rest
        )
    };
}

/// One session.
pub(in crate::relay) fn get(
    connection: &Connection,
    id: RelaySessionId,
) -> Result<Option<Session>> {
    one(connection, select!("WHERE id = ?1"), &[&id])
}

/// The open session of a connection.
pub(in crate::relay) fn open_of_connection(
    connection: &Connection,
    user_id: UserId,
    connection_id: &dyn ToSql,
) -> Result<Option<Session>> {
    let sql = select!(concat!(
        "INDEXED BY relay_session_open_connection
         WHERE user_id = ?1 AND connection_id = ?2 AND ",
        open!()
    ));
    one(connection, sql, &[&user_id, connection_id])
}

/// The open session of a slot.
pub(in crate::relay) fn open_of_slot(
    connection: &Connection,
    slot_id: SlotId,
) -> Result<Option<Session>> {
    let sql = select!(concat!(
        "INDEXED BY relay_session_open_slot WHERE slot_id = ?1 AND ",
        open!()
    ));
    one(connection, sql, &[&slot_id])
}

/// The open sessions that were moved off a node, by slot.
pub(in crate::relay) fn moved(connection: &Connection) -> rusqlite::Result<Vec<(SlotId, Moved)>> {
    connection
        .prepare_cached(concat!(
            "SELECT slot_id, id, moved_at_ms, moved_from, region FROM relay_session
                 INDEXED BY relay_session_open_slot
             WHERE moved_at_ms IS NOT NULL AND ",
            open!()
        ))?
        .query_map([], |row| {
            let moved = Moved {
                session_id: row.get(1)?,
                at: row.get(2)?,
                from_region: row.get(3)?,
                to_region: row.get(4)?,
            };
            Ok((row.get(0)?, moved))
        })?
        .collect()
}

/// `id` and the sessions that migrations put in its place, oldest first.
pub(in crate::relay) fn chain(
    connection: &Connection,
    id: RelaySessionId,
) -> rusqlite::Result<Vec<RelaySessionId>> {
    connection
        .prepare_cached(
            "WITH RECURSIVE chain (id, depth) AS (
                 SELECT ?1, 0
                 UNION ALL
                 SELECT relay_session.id, depth + 1 FROM relay_session
                 JOIN chain ON supersedes_session_id = chain.id WHERE depth < 100
             )
             SELECT id FROM chain ORDER BY depth",
        )?
        .query_map([id], |row| row.get(0))?
        .collect()
}

/// Whether the connection of `session` has a session that began after it.
pub(in crate::relay) fn has_newer(
    connection: &Connection,
    session: &Session,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM relay_session
                     INDEXED BY relay_session_connection
                 WHERE user_id = ?1 AND connection_id = ?2
                     AND ordinal > (SELECT ordinal FROM relay_session WHERE id = ?3))",
        )?
        .query_row(
            (session.user_id, &session.connection_id, session.id),
            |row| row.get(0),
        )
}

/// Open sessions of a user.
pub(in crate::relay) fn count_open(
    connection: &Connection,
    user_id: UserId,
) -> rusqlite::Result<u32> {
    connection
        .prepare_cached(concat!(
            "SELECT COUNT(*) FROM relay_session INDEXED BY relay_session_open_connection
             WHERE user_id = ?1 AND ",
            open!()
        ))?
        .query_row([user_id], |row| row.get(0))
}

/// Open sessions of everybody by status.
pub(in crate::relay) fn count_by_status(
    connection: &Connection,
) -> rusqlite::Result<Vec<(Status, u64)>> {
    connection
        .prepare_cached(concat!(
            "SELECT status, COUNT(*) FROM relay_session INDEXED BY relay_session_open_slot WHERE ",
            open!(),
            " GROUP BY status"
        ))?
        .query_map([], |row| Ok((row.get(0)?, row.get::<_, u32>(1)?.into())))?
        .collect()
}

/// Slots of a user that an open session holds.
pub(in crate::relay) fn held_slots(
    connection: &Connection,
    user_id: UserId,
) -> rusqlite::Result<Vec<SlotId>> {
    connection
        .prepare_cached(concat!(
            "SELECT slot_id FROM relay_session INDEXED BY relay_session_open_connection
             WHERE user_id = ?1 AND ",
            open!()
        ))?
        .query_map([user_id], |row| row.get(0))?
        .collect()
}

/// Every open session of everybody, for the jobs. A row that cannot be read is left out and logged, so that
/// it holds up no other.
pub(in crate::relay) fn all_open(connection: &Connection) -> Result<Vec<Session>> {
    let sql = select!(concat!(
        "INDEXED BY relay_session_open_slot WHERE ",
        open!()
    ));
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut sessions = Vec::new();
    while let Some(row) = rows.next()? {
        match from_row(row) {
            Ok(session) => sessions.push(session),
            Err(error) => {
                let id: String = row.get("id").unwrap_or_default();
                tracing::error!(session.id = id, error = %error, "an open session cannot be read");
            }
        }
    }
    Ok(sessions)
}

/// Until when seconds of the open sessions' slots are written.
pub(in crate::relay) fn all_metered_until(
    connection: &Connection,
) -> rusqlite::Result<Vec<(SlotId, UnixMillis)>> {
    connection
        .prepare_cached(concat!(
            "SELECT slot_id, metered_until_ms FROM relay_session INDEXED BY relay_session_open_slot
             WHERE metered_until_ms IS NOT NULL AND ",
            open!()
        ))?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// The session that held a slot at `at` and holds it still.
pub(in crate::relay) fn newest_of_slot_until(
    connection: &Connection,
    slot_id: SlotId,
    at: UnixMillis,
) -> Result<Option<Session>> {
    let session = open_of_slot(connection, slot_id)?;
    Ok(session.filter(|session| session.started_at <= at))
}

/// The old halves of migrations that go on.
pub(in crate::relay) fn all_draining(connection: &Connection) -> Result<Vec<Session>> {
    let sql = select!("INDEXED BY relay_session_draining WHERE status = 'draining'");
    list(connection, sql, &[])
}

/// The old halves of a user's migrations that go on.
pub(in crate::relay) fn draining_of_user(
    connection: &Connection,
    user_id: UserId,
) -> Result<Vec<Session>> {
    let sql = select!(
        "INDEXED BY relay_session_draining WHERE status = 'draining'
             AND slot_id IN (SELECT id FROM stream_slot WHERE stream_slot.user_id = ?1)"
    );
    list(connection, sql, &[&user_id])
}

/// The open sessions of a user, newest first.
pub(in crate::relay) fn open_of_user(
    connection: &Connection,
    user_id: UserId,
) -> Result<Vec<Session>> {
    let sql = select!(concat!(
        "INDEXED BY relay_session_open_connection WHERE user_id = ?1 AND ",
        open!(),
        " ORDER BY ordinal DESC"
    ));
    list(connection, sql, &[&user_id])
}

/// Sessions of a user that failed since `since`, newest first.
pub(in crate::relay) fn failed_of_user(
    connection: &Connection,
    user_id: UserId,
    since: UnixMillis,
) -> Result<Vec<Session>> {
    let sql = select!(
        "INDEXED BY relay_session_failed
         WHERE user_id = ?1 AND status = 'stopped' AND stopped_at_ms > ?2
             AND stop_reason IN ('relay_rejected', 'relay_unavailable')
         ORDER BY ordinal DESC"
    );
    list(connection, sql, &[&user_id, &since])
}

/// The newest session of a user that is open.
pub(in crate::relay) fn newest_open(
    connection: &Connection,
    user_id: UserId,
) -> Result<Option<Session>> {
    let sql = select!(concat!(
        "INDEXED BY relay_session_open_connection WHERE user_id = ?1 AND ",
        open!(),
        " ORDER BY ordinal DESC LIMIT 1"
    ));
    one(connection, sql, &[&user_id])
}

/// Adds tokens, slot and plan to a session.
pub(in crate::relay) fn with_slot(
    connection: &Connection,
    vault: &Vault,
    rules: &PlanRules,
    session: Session,
) -> Result<SlotSession> {
    let slot = slots::slot_get(connection, vault, session.slot_id)?
        .ok_or_else(|| Error::not_found("stream slot"))?;
    Ok(SlotSession {
        credentials: credentials(connection, vault, session.id)?,
        has_max_session: has_max_session(connection, rules, session.user_id)?,
        session,
        slot: Arc::new(slot),
    })
}

/// Whether the user's plan limits the length of a broadcast.
pub(in crate::relay) fn has_max_session(
    connection: &Connection,
    rules: &PlanRules,
    user_id: UserId,
) -> Result<bool> {
    let plan = plans::plan_get(connection, user_id)?;
    let tier = plan.map_or(Tier::Internal, |plan| plan.effective_tier(rules));
    Ok(tier != Tier::Internal)
}

fn credentials(
    connection: &Connection,
    vault: &Vault,
    id: RelaySessionId,
) -> Result<SessionCredentials> {
    let sealed: Vec<u8> = connection
        .prepare_cached("SELECT credentials_sealed FROM relay_session WHERE id = ?1")?
        .query_row([id], |row| row.get(0))?;
    let joined = vault.open(&sealed, &seal_context(id))?;
    Ok(SessionCredentials::split(&joined).ok_or(Unsealable)?)
}

fn one(connection: &Connection, sql: &str, parameters: &[&dyn ToSql]) -> Result<Option<Session>> {
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_row(parameters, from_row).optional()?)
}

fn list(connection: &Connection, sql: &str, parameters: &[&dyn ToSql]) -> Result<Vec<Session>> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(parameters, from_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Session> {
    let seconds = |column: &str| row.get::<_, u32>(column).map(u64::from);
    Ok(Session {
        id: row.get("id")?,
        user_id: row.get("user_id")?,
        slot_id: row.get("slot_id")?,
        connection_id: row.get("connection_id")?,
        status: row.get("status")?,
        region: row.get("region")?,
        node_id: row.get("node_id")?,
        started_at: row.get("started_at_ms")?,
        stopped_at: row.get("stopped_at_ms")?,
        stop_reason: row.get("stop_reason")?,
        grace_window: Duration::from_secs(seconds("grace_window_seconds")?),
        max_session: Duration::from_secs(seconds("max_session_seconds")?),
        ingest_seconds: seconds("ingest_seconds")?,
        broadcast_seconds: seconds("broadcast_seconds")?,
    })
}
