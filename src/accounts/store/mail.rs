//! The `mail` table: what is to be sent, and what became of it.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use crate::accounts::mail::MailKind;
use crate::db::DbError;
use crate::kernel::UnixMillis;
use crate::kernel::ids::{MailId, UserId};

/// A mail to be sent.
#[derive(Debug, Clone)]
pub(in crate::accounts) struct NewMail<'a> {
    pub(in crate::accounts) id: MailId,
    pub(in crate::accounts) kind: MailKind,
    pub(in crate::accounts) recipient: &'a str,
    pub(in crate::accounts) user_id: Option<UserId>,
    pub(in crate::accounts) token_sealed: Option<Vec<u8>>,
    pub(in crate::accounts) life: Duration,
}

/// A mail whose turn has come.
#[derive(Debug, Clone)]
pub(in crate::accounts) struct DueMail {
    pub(in crate::accounts) id: MailId,
    pub(in crate::accounts) kind: MailKind,
    pub(in crate::accounts) recipient: String,
    pub(in crate::accounts) user_id: Option<UserId>,
    pub(in crate::accounts) token_sealed: Option<Vec<u8>>,
    pub(in crate::accounts) expires_at: UnixMillis,
    /// This one included.
    pub(in crate::accounts) attempts: u32,
}

/// Writes a mail into the outbox.
pub(in crate::accounts) fn mail_insert(
    conn: &Connection,
    new: &NewMail<'_>,
    now: UnixMillis,
) -> Result<(), DbError> {
    let sql = "INSERT INTO mail (id, kind, recipient, user_id, token_sealed, created_at_ms,
                                 expires_at_ms, next_attempt_at_ms)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?6)";
    conn.prepare_cached(sql)?.execute((
        new.id,
        new.kind,
        new.recipient,
        new.user_id,
        &new.token_sealed,
        now,
        now + new.life,
    ))?;
    Ok(())
}

/// Whether a mail of this kind was written to this address since `since`.
pub(in crate::accounts) fn mail_is_recent(
    conn: &Connection,
    recipient: &str,
    kind: MailKind,
    since: UnixMillis,
) -> Result<bool, DbError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM mail
                              WHERE recipient = ?1 AND kind = ?2 AND created_at_ms > ?3)";
    let mut statement = conn.prepare_cached(sql)?;
    Ok(statement.query_row((recipient, kind, since), |row| row.get(0))?)
}

/// Takes the mail that waits longest; it comes again at `again_at` unless something is noted before.
pub(in crate::accounts) fn mail_claim(
    conn: &Connection,
    now: UnixMillis,
    again_at: UnixMillis,
) -> Result<Option<DueMail>, DbError> {
    let sql = "UPDATE mail SET attempts = attempts + 1, next_attempt_at_ms = ?2
               WHERE id = (SELECT id FROM mail
                           WHERE next_attempt_at_ms IS NOT NULL AND next_attempt_at_ms <= ?1
                           ORDER BY next_attempt_at_ms LIMIT 1)
               RETURNING id, kind, recipient, user_id, token_sealed, expires_at_ms, attempts";
    let mut statement = conn.prepare_cached(sql)?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(DueMail {
            id: row.get("id")?,
            kind: row.get("kind")?,
            recipient: row.get("recipient")?,
            user_id: row.get("user_id")?,
            token_sealed: row.get("token_sealed")?,
            expires_at: row.get("expires_at_ms")?,
            attempts: row.get("attempts")?,
        })
    };
    Ok(statement.query_row((now, again_at), read).optional()?)
}

/// Notes that a mail was taken by the server; the sealed token is gone.
pub(in crate::accounts) fn mail_sent(
    conn: &Connection,
    id: MailId,
    now: UnixMillis,
) -> Result<(), DbError> {
    let sql = "UPDATE mail SET sent_at_ms = ?2, next_attempt_at_ms = NULL, token_sealed = NULL,
                               last_error = NULL WHERE id = ?1";
    conn.prepare_cached(sql)?.execute((id, now))?;
    Ok(())
}

/// Notes why a mail was not sent, and when it is tried again; `None` gives it up.
pub(in crate::accounts) fn mail_failed(
    conn: &Connection,
    id: MailId,
    error: &str,
    again_at: Option<UnixMillis>,
) -> Result<(), DbError> {
    let sql = "UPDATE mail SET last_error = ?2, next_attempt_at_ms = ?3,
                 token_sealed = CASE WHEN ?3 IS NULL THEN NULL ELSE token_sealed END
               WHERE id = ?1";
    conn.prepare_cached(sql)?.execute((id, error, again_at))?;
    Ok(())
}

/// Mails that wait, and mails that were given up since `since`.
pub(in crate::accounts) fn mail_counts(
    conn: &Connection,
    since: UnixMillis,
) -> Result<(i64, i64), DbError> {
    let waiting = "SELECT count(*) FROM mail WHERE next_attempt_at_ms IS NOT NULL";
    let failed = "SELECT count(*) FROM mail
                  WHERE created_at_ms > ?1 AND next_attempt_at_ms IS NULL AND sent_at_ms IS NULL";
    Ok((
        conn.prepare_cached(waiting)?
            .query_row([], |row| row.get(0))?,
        conn.prepare_cached(failed)?
            .query_row([since], |row| row.get(0))?,
    ))
}

/// Why the last mail that was given up could not be sent.
pub(in crate::accounts) fn mail_last_error(
    conn: &Connection,
    since: UnixMillis,
) -> Result<Option<String>, DbError> {
    let sql = "SELECT last_error FROM mail WHERE created_at_ms > ?1 AND last_error IS NOT NULL
               ORDER BY created_at_ms DESC LIMIT 1";
    let mut statement = conn.prepare_cached(sql)?;
    Ok(statement.query_row([since], |row| row.get(0)).optional()?)
}

/// Forgets mails that were written before `before`; none waits for so long.
pub(in crate::accounts) fn mails_delete_old(
    conn: &Connection,
    before: UnixMillis,
) -> Result<usize, DbError> {
    let sql = "DELETE FROM mail WHERE created_at_ms < ?1";
    Ok(conn.prepare_cached(sql)?.execute([before])?)
}
