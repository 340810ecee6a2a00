//! The `invite` table.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::accounts::identity::Email;
use crate::accounts::joining::{Invite, NewInvite};
use crate::db::DbError;
use crate::kernel::UnixMillis;
use crate::kernel::ids::{InviteId, UserId};
use crate::kernel::secret::TokenDigest;

fn from_row(row: &Row<'_>) -> rusqlite::Result<Invite> {
    Ok(Invite {
        id: row.get("id")?,
        email: row.get("email")?,
        role: row.get("role")?,
        is_mailed: row.get("is_mailed")?,
        created_at: row.get("created_at_ms")?,
        expires_at: row.get("expires_at_ms")?,
        used_at: row.get("used_at_ms")?,
    })
}

/// Stores an invitation.
pub(in crate::accounts) fn invite_insert(
    conn: &Connection,
    id: InviteId,
    new: &NewInvite,
    digest: TokenDigest,
    is_mailed: bool,
    created_by: Option<UserId>,
    now: UnixMillis,
) -> Result<(), DbError> {
    let sql = "INSERT INTO invite
                 (id, token_digest, email, role, is_mailed, created_by_user_id, created_at_ms,
                  expires_at_ms)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let email = new.email.as_ref().map(Email::as_str);
    conn.prepare_cached(sql)?.execute((
        id,
        digest,
        email,
        new.role,
        is_mailed,
        created_by,
        now,
        now + new.life,
    ))?;
    Ok(())
}

/// The invitation whose token has this digest.
pub(in crate::accounts) fn invite_by_digest(
    conn: &Connection,
    digest: TokenDigest,
) -> Result<Option<Invite>, DbError> {
    let sql = "SELECT id, email, role, is_mailed, created_at_ms, expires_at_ms, used_at_ms
               FROM invite WHERE token_digest = ?1";
    let mut statement = conn.prepare_cached(sql)?;
    Ok(statement.query_row([digest], from_row).optional()?)
}

/// One invitation.
pub(in crate::accounts) fn invite_get(
    conn: &Connection,
    id: InviteId,
) -> Result<Option<Invite>, DbError> {
    let sql = "SELECT id, email, role, is_mailed, created_at_ms, expires_at_ms, used_at_ms
               FROM invite WHERE id = ?1";
    let mut statement = conn.prepare_cached(sql)?;
    Ok(statement.query_row([id], from_row).optional()?)
}

/// The newest invitations, newest first.
pub(in crate::accounts) fn invite_list(
    conn: &Connection,
    limit: u32,
) -> Result<Vec<Invite>, DbError> {
    let sql = "SELECT id, email, role, is_mailed, created_at_ms, expires_at_ms, used_at_ms
               FROM invite ORDER BY id DESC LIMIT ?1";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([limit], from_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Notes who joined with an invitation.
pub(in crate::accounts) fn invite_mark_used(
    conn: &Connection,
    id: InviteId,
    by: UserId,
    now: UnixMillis,
) -> Result<(), DbError> {
    let sql = "UPDATE invite SET used_at_ms = ?2, used_by_user_id = ?3 WHERE id = ?1";
    conn.prepare_cached(sql)?.execute((id, now, by))?;
    Ok(())
}

/// Takes an invitation back; says whether there was an unused one.
pub(in crate::accounts) fn invite_delete(conn: &Connection, id: InviteId) -> Result<bool, DbError> {
    let sql = "DELETE FROM invite WHERE id = ?1 AND used_at_ms IS NULL";
    Ok(conn.prepare_cached(sql)?.execute([id])? > 0)
}

/// Forgets invitations that ended before `before`, used or not.
pub(in crate::accounts) fn invites_delete_old(
    conn: &Connection,
    before: UnixMillis,
) -> Result<usize, DbError> {
    let sql = "DELETE FROM invite WHERE expires_at_ms < ?1";
    Ok(conn.prepare_cached(sql)?.execute([before])?)
}
