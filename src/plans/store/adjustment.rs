//! The `billing_adjustment` table.

use rusqlite::{Connection, Row};

use crate::kernel::ids::UserId;
use crate::plans::adjustment::Adjustment;

/// Adds a row.
///
/// # Errors
/// When there is no such user.
pub fn adjustment_insert(connection: &Connection, adjustment: &Adjustment) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO billing_adjustment (id, user_id, session_id, cycle_start_at_ms,
                 adjustment_seconds, reason, source, note, actor_user_id, created_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute((
            adjustment.id,
            adjustment.user_id,
            adjustment.session_id,
            adjustment.cycle_start,
            adjustment.seconds,
            adjustment.reason,
            adjustment.source,
            &adjustment.note,
            adjustment.actor,
            adjustment.created_at,
        ))?;
    Ok(())
}

/// The newest `limit` adjustments of a user, the newest cycle first.
///
/// # Errors
/// When the statement fails.
pub fn adjustment_list(
    connection: &Connection,
    user_id: UserId,
    limit: u32,
) -> rusqlite::Result<Vec<Adjustment>> {
    connection
        .prepare_cached(
            "SELECT id, user_id, session_id, cycle_start_at_ms, adjustment_seconds, reason, source,
                    note, actor_user_id, created_at_ms
             FROM billing_adjustment INDEXED BY billing_adjustment_cycle
             WHERE user_id = ?1 ORDER BY cycle_start_at_ms DESC, id DESC LIMIT ?2",
        )?
        .query_map((user_id, limit), from_row)?
        .collect()
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Adjustment> {
    Ok(Adjustment {
        id: row.get("id")?,
        user_id: row.get("user_id")?,
        session_id: row.get("session_id")?,
        cycle_start: row.get("cycle_start_at_ms")?,
        seconds: row.get("adjustment_seconds")?,
        reason: row.get("reason")?,
        source: row.get("source")?,
        note: row.get("note")?,
        actor: row.get("actor_user_id")?,
        created_at: row.get("created_at_ms")?,
    })
}
