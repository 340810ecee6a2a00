//! Rows of `audit_event`.

use rusqlite::types::Value;
use rusqlite::{Connection, Row, ToSql};

use super::model::{AuditEvent, AuditFilter, AuditRow, Cursor};
use crate::db::DbError;
use crate::kernel::UnixMillis;
use crate::kernel::ids::EventId;

fn from_row(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    Ok(AuditRow {
        id: row.get("id")?,
        at: row.get("at_ms")?,
        actor: row.get("actor_user_id")?,
        action: row.get("action")?,
        subject: row.get("subject")?,
        detail: row.get("detail")?,
    })
}

/// Writes an event down.
///
/// # Errors
/// When the statement fails.
pub fn append(
    connection: &Connection,
    event: &AuditEvent<'_>,
    now: UnixMillis,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO audit_event (id, at_ms, actor_user_id, action, subject, detail)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((
            EventId::generate(),
            now,
            event.actor,
            event.action,
            event.subject,
            event.detail,
        ))?;
    Ok(())
}

/// The newest events, newest first.
///
/// # Errors
/// When the statement fails.
pub fn newest(connection: &Connection, limit: u32) -> rusqlite::Result<Vec<AuditRow>> {
    connection
        .prepare_cached(
            "SELECT id, at_ms, actor_user_id, action, subject, detail FROM audit_event
             ORDER BY id DESC LIMIT ?1",
        )?
        .query_map([limit], from_row)?
        .collect()
}

/// The statement of a page, and its values. No text of the filter stands in the statement.
fn page_statement(filter: &AuditFilter, after: Option<Cursor>, limit: u32) -> (String, Vec<Value>) {
    let mut sql = "SELECT id, at_ms, actor_user_id, action, subject, detail FROM audit_event \
                   WHERE (at_ms, id) < (?, ?)"
        .to_owned();
    let mut values = match after {
        Some(cursor) => vec![cursor.at.0.into(), cursor.id.to_string().into()],
        // Later than anything.
        None => vec![i64::MAX.into(), String::new().into()],
    };
    let conditions: [(&str, Option<Value>); 5] = [
        (
            " AND actor_user_id = ?",
            filter.actor.map(|id| id.to_string().into()),
        ),
        (" AND action = ?", filter.action.clone().map(Into::into)),
        (" AND subject = ?", filter.subject.clone().map(Into::into)),
        (" AND at_ms >= ?", filter.from.map(|at| at.0.into())),
        (" AND at_ms < ?", filter.until.map(|at| at.0.into())),
    ];
    for (condition, value) in conditions {
        if let Some(value) = value {
            sql.push_str(condition);
            values.push(value);
        }
    }
    sql.push_str(" ORDER BY at_ms DESC, id DESC LIMIT ?");
    values.push(i64::from(limit).into());
    (sql, values)
}

/// Events that satisfy the filter, newest first, after `after`.
pub(super) fn page(
    connection: &Connection,
    filter: &AuditFilter,
    after: Option<Cursor>,
    limit: u32,
) -> Result<Vec<AuditRow>, DbError> {
    let (sql, values) = page_statement(filter, after, limit);
    let mut statement = connection.prepare_cached(&sql)?;
    let values: Vec<&dyn ToSql> = values.iter().map(|value| value as &dyn ToSql).collect();
    let rows = statement.query_map(&values[..], from_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Forgets the oldest events from before `before`, `limit` at most.
pub(super) fn delete_before(
    connection: &Connection,
    before: UnixMillis,
    limit: u32,
) -> rusqlite::Result<usize> {
    // What is too young to be forgotten is passed over by the same rule that the trigger has.
    connection
        .prepare_cached(
            "DELETE FROM audit_event WHERE id IN (
                 SELECT id FROM audit_event
                 WHERE at_ms < ?1 AND at_ms <= (SELECT max(at_ms) FROM audit_event) - 7776000000
                 ORDER BY at_ms LIMIT ?2)",
        )?
        .execute((before, limit))
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
