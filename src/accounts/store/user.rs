//! The `user` table.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::accounts::model::{Email, NewUser, User};
use crate::accounts::password::PasswordHash;
use crate::db::DbError;
use crate::kernel::UnixMillis;
use crate::kernel::ids::UserId;

fn from_row(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: row.get("id")?,
        email: row.get("email")?,
        display_name: row.get("display_name")?,
        role: row.get("role")?,
        created_at: row.get("created_at_ms")?,
    })
}

/// Stores a user; a taken address is [`DbError::Conflict`].
pub(in crate::accounts) fn user_insert(
    conn: &Connection,
    new: &NewUser,
    hash: &PasswordHash,
    now: UnixMillis,
) -> Result<UserId, DbError> {
    let id = UserId::generate();
    let sql = "INSERT INTO user
                 (id, email, display_name, role, password_hash, created_at_ms, updated_at_ms)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)";
    let (email, name) = (new.email.as_str(), new.display_name.as_str());
    conn.prepare_cached(sql)?
        .execute((id, email, name, new.role, hash, now))?;
    Ok(id)
}

/// One user.
pub(in crate::accounts) fn user_by_id(
    conn: &Connection,
    id: UserId,
) -> Result<Option<User>, DbError> {
    let sql = "SELECT id, email, display_name, role, created_at_ms FROM user WHERE id = ?1";
    Ok(conn
        .prepare_cached(sql)?
        .query_row([id], from_row)
        .optional()?)
}

/// The user with this address.
pub(in crate::accounts) fn user_by_email(
    conn: &Connection,
    email: &Email,
) -> Result<Option<User>, DbError> {
    let sql = "SELECT id, email, display_name, role, created_at_ms FROM user WHERE email = ?1";
    let mut statement = conn.prepare_cached(sql)?;
    Ok(statement.query_row([email.as_str()], from_row).optional()?)
}

/// All users, oldest first.
pub(in crate::accounts) fn user_list(conn: &Connection) -> Result<Vec<User>, DbError> {
    let sql = "SELECT id, email, display_name, role, created_at_ms FROM user ORDER BY id";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Whether anybody owns this appliance.
///
/// # Errors
/// The store's.
pub fn owner_exists(conn: &Connection) -> Result<bool, DbError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM user WHERE role = 'owner')";
    Ok(conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

/// The hash of a user's password.
pub(in crate::accounts) fn user_credentials(
    conn: &Connection,
    id: UserId,
) -> Result<Option<PasswordHash>, DbError> {
    let sql = "SELECT password_hash FROM user WHERE id = ?1";
    let mut statement = conn.prepare_cached(sql)?;
    Ok(statement.query_row([id], |row| row.get(0)).optional()?)
}

/// Whether a user has a password of their own; `None` for an unknown user.
pub(in crate::accounts) fn user_has_password(
    conn: &Connection,
    id: UserId,
) -> Result<Option<bool>, DbError> {
    let sql = "SELECT has_password FROM user WHERE id = ?1";
    let mut statement = conn.prepare_cached(sql)?;
    Ok(statement.query_row([id], |row| row.get(0)).optional()?)
}

/// Replaces a user's password.
pub(in crate::accounts) fn user_set_password(
    conn: &Connection,
    id: UserId,
    hash: &PasswordHash,
    now: UnixMillis,
) -> Result<(), DbError> {
    let sql =
        "UPDATE user SET password_hash = ?2, has_password = 1, updated_at_ms = ?3 WHERE id = ?1";
    conn.prepare_cached(sql)?.execute((id, hash, now))?;
    Ok(())
}
