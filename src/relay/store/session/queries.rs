//! What reads session rows.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, Row, ToSql};

use super::seal_context;
use crate::kernel::ids::{RelaySessionId, SlotId, UserId};
use crate::kernel::seal::{Unsealable, Vault};
use crate::kernel::{Error, Result, UnixMillis};
use crate::plans::{PlanRules, Tier, store as plans};
use crate::relay::model::{Session, SessionCredentials, SlotSession, Status};
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
            "SELECT id, user_id, slot_id, connection_id, status, region, credentials_sealed,
                    started_at_ms, stopped_at_ms, stop_reason, grace_window_seconds,
                    max_session_seconds, ingest_seconds, broadcast_seconds
             FROM relay_session ",
            $rest
        )
    };
}

/// One session.
pub(in crate::relay) fn get(
    connection: &Connection,
    vault: &Vault,
    id: RelaySessionId,
) -> Result<Option<Session>> {
    one(connection, vault, select!("WHERE id = ?1"), &[&id])
}

/// The open session of a connection.
pub(in crate::relay) fn open_of_connection(
    connection: &Connection,
    vault: &Vault,
    user_id: UserId,
    connection_id: &dyn ToSql,
) -> Result<Option<Session>> {
    let sql = select!(concat!(
        "INDEXED BY relay_session_open_connection
         WHERE user_id = ?1 AND connection_id = ?2 AND ",
        open!()
    ));
    one(connection, vault, sql, &[&user_id, connection_id])
}

/// The open session of a slot.
pub(in crate::relay) fn open_of_slot(
    connection: &Connection,
    vault: &Vault,
    slot_id: SlotId,
) -> Result<Option<Session>> {
    let sql = select!(concat!(
        "INDEXED BY relay_session_open_slot WHERE slot_id = ?1 AND ",
        open!()
    ));
    one(connection, vault, sql, &[&slot_id])
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
    // Ids of one millisecond are ordered too, so two starts in one are told apart.
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM relay_session
                 WHERE user_id = ?1 AND connection_id = ?2 AND started_at_ms >= ?3 AND id > ?4)",
        )?
        .query_row(
            (
                session.user_id,
                &session.connection_id,
                session.started_at,
                session.id,
            ),
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

/// Every open session of everybody, for the jobs.
pub(in crate::relay) fn all_open(connection: &Connection, vault: &Vault) -> Result<Vec<Session>> {
    list(
        connection,
        vault,
        select!(concat!(
            "INDEXED BY relay_session_open_slot WHERE ",
            open!()
        )),
        &[],
    )
}

/// The open sessions of a user, newest first.
pub(in crate::relay) fn open_of_user(
    connection: &Connection,
    vault: &Vault,
    user_id: UserId,
) -> Result<Vec<Session>> {
    let sql = select!(concat!(
        "INDEXED BY relay_session_open_connection WHERE user_id = ?1 AND ",
        open!(),
        " ORDER BY started_at_ms DESC, id DESC"
    ));
    list(connection, vault, sql, &[&user_id])
}

/// Sessions of a user that failed since `since`, newest first.
pub(in crate::relay) fn failed_of_user(
    connection: &Connection,
    vault: &Vault,
    user_id: UserId,
    since: UnixMillis,
) -> Result<Vec<Session>> {
    let sql = select!(
        "INDEXED BY relay_session_failed
         WHERE user_id = ?1 AND status = 'stopped' AND stopped_at_ms > ?2
             AND stop_reason IN ('relay_rejected', 'relay_unavailable')
         ORDER BY started_at_ms DESC, id DESC"
    );
    list(connection, vault, sql, &[&user_id, &since])
}

/// The newest session of a user that is open.
pub(in crate::relay) fn newest_open(
    connection: &Connection,
    vault: &Vault,
    user_id: UserId,
) -> Result<Option<Session>> {
    let sql = select!(concat!(
        "INDEXED BY relay_session_open_connection WHERE user_id = ?1 AND ",
        open!(),
        " ORDER BY started_at_ms DESC, id DESC LIMIT 1"
    ));
    one(connection, vault, sql, &[&user_id])
}

/// Adds slot and plan to a session.
pub(in crate::relay) fn with_slot(
    connection: &Connection,
    vault: &Vault,
    rules: &PlanRules,
    session: Session,
) -> Result<SlotSession> {
    let slot = slots::slot_get(connection, vault, session.slot_id)?
        .ok_or_else(|| Error::not_found("stream slot"))?;
    let plan = plans::plan_get(connection, session.user_id)?;
    let tier = plan.map_or(Tier::Internal, |plan| plan.effective_tier(rules));
    Ok(SlotSession {
        session,
        slot: Arc::new(slot),
        has_max_session: tier != Tier::Internal,
    })
}
fn one(
    connection: &Connection,
    vault: &Vault,
    sql: &str,
    parameters: &[&dyn ToSql],
) -> Result<Option<Session>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    rows.next()?.map(|row| from_row(row, vault)).transpose()
}

fn list(
    connection: &Connection,
    vault: &Vault,
    sql: &str,
    parameters: &[&dyn ToSql],
) -> Result<Vec<Session>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    let mut sessions = Vec::new();
    while let Some(row) = rows.next()? {
        sessions.push(from_row(row, vault)?);
    }
    Ok(sessions)
}

fn from_row(row: &Row<'_>, vault: &Vault) -> Result<Session> {
    let seconds = |column: &str| row.get::<_, u32>(column).map(u64::from);
    let id = row.get("id")?;
    let sealed: Vec<u8> = row.get("credentials_sealed")?;
    let joined = vault.open(&sealed, &seal_context(id))?;
    Ok(Session {
        id,
        user_id: row.get("user_id")?,
        slot_id: row.get("slot_id")?,
        connection_id: row.get("connection_id")?,
        status: row.get("status")?,
        region: row.get("region")?,
        credentials: SessionCredentials::split(&joined).ok_or(Unsealable)?,
        started_at: row.get("started_at_ms")?,
        stopped_at: row.get("stopped_at_ms")?,
        stop_reason: row.get("stop_reason")?,
        grace_window: Duration::from_secs(seconds("grace_window_seconds")?),
        max_session: Duration::from_secs(seconds("max_session_seconds")?),
        ingest_seconds: seconds("ingest_seconds")?,
        broadcast_seconds: seconds("broadcast_seconds")?,
    })
}
