//! The `relay_health_event` table: what heartbeats told, one row of a session a minute at most.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::kernel::UnixMillis;
use crate::kernel::ids::RelaySessionId;
use crate::relay::model::{HealthEvent, HealthReport};

/// Stores a heartbeat of a session, unless the session is gone.
pub(in crate::relay) fn insert(
    connection: &Connection,
    session_id: RelaySessionId,
    event: &HealthEvent,
) -> rusqlite::Result<()> {
    let report = &event.report;
    connection
        .prepare_cached(
            "INSERT INTO relay_health_event (session_id, received_at_ms, observed_at_ms,
                 ingest_active, egress_active, session_uptime_seconds)
             SELECT id, ?2, ?3, ?4, ?5, ?6 FROM relay_session WHERE id = ?1
             ON CONFLICT (session_id, received_at_ms) DO NOTHING",
        )?
        .execute((
            session_id,
            event.received_at,
            report.observed_at,
            report.ingest_active,
            report.egress_active,
            i64::try_from(report.session_uptime_seconds).unwrap_or(i64::MAX),
        ))?;
    Ok(())
}

/// The last heartbeat of a session that came until `at`.
pub(in crate::relay) fn last_until(
    connection: &Connection,
    session_id: RelaySessionId,
    at: UnixMillis,
) -> rusqlite::Result<Option<HealthEvent>> {
    connection
        .prepare_cached(
            "SELECT received_at_ms, observed_at_ms, ingest_active, egress_active,
                 session_uptime_seconds
             FROM relay_health_event WHERE session_id = ?1 AND received_at_ms <= ?2
             ORDER BY received_at_ms DESC LIMIT 1",
        )?
        .query_row((session_id, at), from_row)
        .optional()
}

/// The first heartbeat of a session that came from `at` on.
pub(in crate::relay) fn first_from(
    connection: &Connection,
    session_id: RelaySessionId,
    at: UnixMillis,
) -> rusqlite::Result<Option<HealthEvent>> {
    connection
        .prepare_cached(
            "SELECT received_at_ms, observed_at_ms, ingest_active, egress_active,
                 session_uptime_seconds
             FROM relay_health_event WHERE session_id = ?1 AND received_at_ms >= ?2
             ORDER BY received_at_ms LIMIT 1",
        )?
        .query_row((session_id, at), from_row)
        .optional()
}

/// Forgets at most `limit` heartbeats that came before `before`; answers how many.
pub(in crate::relay) fn delete_before(
    connection: &Connection,
    before: UnixMillis,
    limit: u32,
) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM relay_health_event WHERE (session_id, received_at_ms) IN (
                 SELECT session_id, received_at_ms FROM relay_health_event
                     INDEXED BY relay_health_event_age
                 WHERE received_at_ms < ?1 LIMIT ?2)",
        )?
        .execute((before, limit))
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<HealthEvent> {
    Ok(HealthEvent {
        received_at: row.get(0)?,
        report: HealthReport {
            observed_at: row.get(1)?,
            ingest_active: row.get(2)?,
            egress_active: row.get(3)?,
            session_uptime_seconds: u64::try_from(row.get::<_, i64>(4)?).unwrap_or(0),
        },
    })
}
