//! Rows of `audit_event`.

use rusqlite::Connection;

use crate::kernel::UnixMillis;
use crate::kernel::ids::{EventId, UserId};

/// Something to write down. No text of it holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent<'a> {
    /// Who did it; `None` for the appliance itself, and for its operator on the command line.
    pub actor: Option<UserId>,
    /// What was done, such as `node.added`.
    pub action: &'a str,
    /// To what: an identity.
    pub subject: &'a str,
    /// What a person may want to know besides.
    pub detail: &'a str,
}

/// Something that was written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// When.
    pub at: UnixMillis,
    /// See [`AuditEvent::actor`].
    pub actor: Option<UserId>,
    /// See [`AuditEvent::action`].
    pub action: String,
    /// See [`AuditEvent::subject`].
    pub subject: String,
    /// See [`AuditEvent::detail`].
    pub detail: String,
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
            "SELECT at_ms, actor_user_id, action, subject, detail FROM audit_event
             ORDER BY id DESC LIMIT ?1",
        )?
        .query_map([limit], |row| {
            Ok(AuditRow {
                at: row.get(0)?,
                actor: row.get(1)?,
                action: row.get(2)?,
                subject: row.get(3)?,
                detail: row.get(4)?,
            })
        })?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::DbError;
    use crate::db::testing::main_store;

    #[tokio::test]
    async fn the_newest_events_come_first_and_nobody_is_a_possible_actor() {
        let (_folder, store) = main_store();
        let actor = UserId::generate();
        let rows = store.write(move |tx| {
            for (actor, action) in [(None, "node.down"), (Some(actor), "node.added")] {
                let event = AuditEvent {
                    actor,
                    action,
                    subject: "nod_1",
                    detail: "",
                };
                append(tx, &event, UnixMillis(1))?;
            }
            Ok::<_, DbError>(newest(tx, 9)?)
        });
        let rows = rows.await.unwrap();
        let told: Vec<_> = rows
            .iter()
            .map(|row| (row.actor, row.action.as_str()))
            .collect();
        assert_eq!(told, [(Some(actor), "node.added"), (None, "node.down")]);
    }
}
