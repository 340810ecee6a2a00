//! The tables `second_factor`, `recovery_code` and `pending_sign_in`.

use rusqlite::{Connection, OptionalExtension};

use crate::db::DbError;
use crate::kernel::UnixMillis;
use crate::kernel::ids::UserId;
use crate::kernel::secret::TokenDigest;

/// A row of `second_factor`.
#[derive(Debug)]
pub(super) struct FactorRow {
    pub(super) secret_sealed: Vec<u8>,
    pub(super) confirmed_at: Option<UnixMillis>,
    pub(super) last_step: i64,
}

/// A user's second factor, confirmed or not.
pub(super) fn factor_get(conn: &Connection, user: UserId) -> Result<Option<FactorRow>, DbError> {
    let sql =
        "SELECT secret_sealed, confirmed_at_ms, last_step FROM second_factor WHERE user_id = ?1";
    let mut statement = conn.prepare_cached(sql)?;
    let row = statement.query_row([user], |row| {
        Ok(FactorRow {
            secret_sealed: row.get(0)?,
            confirmed_at: row.get(1)?,
            last_step: row.get(2)?,
        })
    });
    Ok(row.optional()?)
}

/// Whether a user is asked for a second factor.
pub(super) fn factor_is_confirmed(conn: &Connection, user: UserId) -> Result<bool, DbError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM second_factor
                              WHERE user_id = ?1 AND confirmed_at_ms IS NOT NULL)";
    Ok(conn
        .prepare_cached(sql)?
        .query_row([user], |row| row.get(0))?)
}

/// Stores a secret that waits for its first code; says whether there was room: a confirmed one stays.
pub(super) fn factor_begin(
    conn: &Connection,
    user: UserId,
    secret_sealed: &[u8],
    now: UnixMillis,
) -> Result<bool, DbError> {
    let sql = "INSERT INTO second_factor (user_id, secret_sealed, created_at_ms) VALUES (?1, ?2, ?3)
               ON CONFLICT (user_id) DO UPDATE SET secret_sealed = ?2, created_at_ms = ?3, last_step = 0
               WHERE confirmed_at_ms IS NULL";
    let changed = conn
        .prepare_cached(sql)?
        .execute((user, secret_sealed, now))?;
    Ok(changed > 0)
}

/// Confirms the secret by the code of `step`.
pub(super) fn factor_confirm(
    conn: &Connection,
    user: UserId,
    step: i64,
    now: UnixMillis,
) -> Result<(), DbError> {
    let sql = "UPDATE second_factor SET confirmed_at_ms = ?3, last_step = ?2 WHERE user_id = ?1";
    conn.prepare_cached(sql)?.execute((user, step, now))?;
    Ok(())
}

/// Notes that the code of `step` was taken.
pub(super) fn factor_note_step(conn: &Connection, user: UserId, step: i64) -> Result<(), DbError> {
    let sql = "UPDATE second_factor SET last_step = ?2 WHERE user_id = ?1";
    conn.prepare_cached(sql)?.execute((user, step))?;
    Ok(())
}

/// Deletes a user's second factor with its recovery codes; says whether there was one.
pub(super) fn factor_delete(conn: &Connection, user: UserId) -> Result<bool, DbError> {
    conn.prepare_cached("DELETE FROM recovery_code WHERE user_id = ?1")?
        .execute([user])?;
    let sql = "DELETE FROM second_factor WHERE user_id = ?1";
    Ok(conn.prepare_cached(sql)?.execute([user])? > 0)
}

/// Puts these recovery codes in the place of a user's old ones.
pub(super) fn recovery_codes_replace(
    conn: &Connection,
    user: UserId,
    digests: &[TokenDigest],
) -> Result<(), DbError> {
    conn.prepare_cached("DELETE FROM recovery_code WHERE user_id = ?1")?
        .execute([user])?;
    let mut statement =
        conn.prepare_cached("INSERT INTO recovery_code (digest, user_id) VALUES (?1, ?2)")?;
    for digest in digests {
        statement.execute((digest, user))?;
    }
    Ok(())
}

/// Uses a recovery code up; says whether it was one.
pub(super) fn recovery_code_use(
    conn: &Connection,
    user: UserId,
    digest: TokenDigest,
) -> Result<bool, DbError> {
    let sql = "DELETE FROM recovery_code WHERE digest = ?1 AND user_id = ?2";
    Ok(conn.prepare_cached(sql)?.execute((digest, user))? > 0)
}

/// Recovery codes that a user has left.
pub(super) fn recovery_codes_left(conn: &Connection, user: UserId) -> Result<u32, DbError> {
    let sql = "SELECT count(*) FROM recovery_code WHERE user_id = ?1";
    Ok(conn
        .prepare_cached(sql)?
        .query_row([user], |row| row.get(0))?)
}

/// Stores a sign-in that waits for its code.
pub(super) fn pending_insert(
    conn: &Connection,
    digest: TokenDigest,
    user: UserId,
    expires_at: UnixMillis,
) -> Result<(), DbError> {
    let sql =
        "INSERT INTO pending_sign_in (token_digest, user_id, expires_at_ms) VALUES (?1, ?2, ?3)";
    conn.prepare_cached(sql)?
        .execute((digest, user, expires_at))?;
    Ok(())
}

/// Whose sign-in waits under this digest at `now`.
pub(super) fn pending_user(
    conn: &Connection,
    digest: TokenDigest,
    now: UnixMillis,
) -> Result<Option<UserId>, DbError> {
    let sql = "SELECT user_id FROM pending_sign_in WHERE token_digest = ?1 AND expires_at_ms > ?2";
    let mut statement = conn.prepare_cached(sql)?;
    Ok(statement
        .query_row((digest, now), |row| row.get(0))
        .optional()?)
}

/// Forgets a sign-in that waited.
pub(super) fn pending_delete(conn: &Connection, digest: TokenDigest) -> Result<(), DbError> {
    let sql = "DELETE FROM pending_sign_in WHERE token_digest = ?1";
    conn.prepare_cached(sql)?.execute([digest])?;
    Ok(())
}

/// Forgets all sign-ins of a user that wait.
pub(super) fn pending_delete_of(conn: &Connection, user: UserId) -> Result<(), DbError> {
    let sql = "DELETE FROM pending_sign_in WHERE user_id = ?1";
    conn.prepare_cached(sql)?.execute([user])?;
    Ok(())
}

/// Forgets sign-ins that waited in vain; returns how many.
pub(super) fn pending_delete_old(conn: &Connection, now: UnixMillis) -> Result<usize, DbError> {
    let sql = "DELETE FROM pending_sign_in WHERE expires_at_ms <= ?1";
    Ok(conn.prepare_cached(sql)?.execute([now])?)
}
