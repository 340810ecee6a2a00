//! The `user` table.

use std::collections::{BTreeSet, HashMap};

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
        email_verified_at: row.get("email_verified_at_ms")?,
        must_verify_email: row.get("must_verify_email")?,
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

/// One user who is not being deleted.
pub(in crate::accounts) fn user_by_id(
    conn: &Connection,
    id: UserId,
) -> Result<Option<User>, DbError> {
    let sql = "SELECT id, email, display_name, role, created_at_ms, email_verified_at_ms,
                      must_verify_email
               FROM user WHERE id = ?1 AND deletion_started_at_ms IS NULL";
    Ok(conn
        .prepare_cached(sql)?
        .query_row([id], from_row)
        .optional()?)
}

/// The user with this address, who is not being deleted.
pub(in crate::accounts) fn user_by_email(
    conn: &Connection,
    email: &Email,
) -> Result<Option<User>, DbError> {
    let sql = "SELECT id, email, display_name, role, created_at_ms, email_verified_at_ms,
                      must_verify_email
               FROM user WHERE email = ?1 AND deletion_started_at_ms IS NULL";
    let mut statement = conn.prepare_cached(sql)?;
    Ok(statement.query_row([email.as_str()], from_row).optional()?)
}

/// Users who are not being deleted, oldest first: at most `limit` that came after `after`.
pub(in crate::accounts) fn user_list(
    conn: &Connection,
    after: Option<UserId>,
    limit: u32,
) -> Result<Vec<User>, DbError> {
    let sql = "SELECT id, email, display_name, role, created_at_ms, email_verified_at_ms,
                      must_verify_email
               FROM user WHERE id > ?1 AND deletion_started_at_ms IS NULL ORDER BY id LIMIT ?2";
    let after = after.map_or_else(String::new, |id| id.to_string());
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map((after, limit), from_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Users who are not being deleted and whose address, name or id begins with `text`, oldest first: at most `limit`
/// that came after `after`. Letters of either case are the same, in names those of ASCII.
pub(in crate::accounts) fn user_search(
    conn: &Connection,
    text: &str,
    after: Option<UserId>,
    limit: u32,
) -> Result<Vec<User>, DbError> {
    let sql = "SELECT id, email, display_name, role, created_at_ms, email_verified_at_ms,
                      must_verify_email
               FROM user WHERE id > ?5 AND deletion_started_at_ms IS NULL AND id IN (
                   SELECT id FROM user WHERE email >= ?1 AND email < ?2
                   UNION
                   SELECT id FROM user WHERE id >= ?1 AND id < ?2
                   UNION
                   SELECT id FROM user WHERE display_name COLLATE NOCASE >= ?3
                       AND display_name COLLATE NOCASE < ?4)
               ORDER BY id LIMIT ?6";
    // Beyond everything that begins with the text.
    let end = |text: &str| format!("{text}{}", char::MAX);
    let lower = text.to_lowercase();
    let after = after.map_or_else(String::new, |id| id.to_string());
    let mut statement = conn.prepare_cached(sql)?;
    let range = (&lower, end(&lower), text, end(text), after, limit);
    let rows = statement.query_map(range, from_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// What these users call themselves; those who are not there are left out.
pub(in crate::accounts) fn user_names(
    conn: &Connection,
    users: &BTreeSet<UserId>,
) -> Result<HashMap<UserId, String>, DbError> {
    let mut statement = conn.prepare_cached("SELECT display_name FROM user WHERE id = ?1")?;
    let mut names = HashMap::new();
    for user in users {
        let name = statement.query_row([user], |row| row.get(0)).optional()?;
        names.extend(name.map(|name| (*user, name)));
    }
    Ok(names)
}

/// How many owners there are who are not being deleted.
pub(in crate::accounts) fn owner_count(conn: &Connection) -> Result<i64, DbError> {
    let sql = "SELECT count(*) FROM user WHERE role = 'owner' AND deletion_started_at_ms IS NULL";
    Ok(conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

/// Notes that a user has proved their address.
pub(in crate::accounts) fn user_set_verified(
    conn: &Connection,
    id: UserId,
    now: UnixMillis,
) -> Result<(), DbError> {
    let sql = "UPDATE user SET email_verified_at_ms = ?2, must_verify_email = 0 WHERE id = ?1";
    conn.prepare_cached(sql)?.execute((id, now))?;
    Ok(())
}

/// Notes that nobody has proved the address that a user has now.
pub(in crate::accounts) fn user_set_unverified(
    conn: &Connection,
    id: UserId,
) -> Result<(), DbError> {
    let sql = "UPDATE user SET email_verified_at_ms = NULL WHERE id = ?1";
    conn.prepare_cached(sql)?.execute([id])?;
    Ok(())
}

/// Lets a user in only once they have proved their address.
pub(in crate::accounts) fn user_demand_verification(
    conn: &Connection,
    id: UserId,
) -> Result<(), DbError> {
    let sql = "UPDATE user SET must_verify_email = 1 WHERE id = ?1";
    conn.prepare_cached(sql)?.execute([id])?;
    Ok(())
}

/// Gives a user another address; a taken one is [`DbError::Conflict`].
pub(in crate::accounts) fn user_set_email(
    conn: &Connection,
    id: UserId,
    email: &str,
    now: UnixMillis,
) -> Result<(), DbError> {
    let sql = "UPDATE user SET email = ?2, updated_at_ms = ?3 WHERE id = ?1";
    conn.prepare_cached(sql)?.execute((id, email, now))?;
    Ok(())
}

/// Begins the deletion of a user.
pub(in crate::accounts) fn user_mark_for_deletion(
    conn: &Connection,
    id: UserId,
    now: UnixMillis,
) -> Result<(), DbError> {
    let sql = "UPDATE user SET deletion_started_at_ms = coalesce(deletion_started_at_ms, ?2)
               WHERE id = ?1";
    conn.prepare_cached(sql)?.execute((id, now))?;
    Ok(())
}

/// Users whose deletion was begun.
pub(in crate::accounts) fn users_in_deletion(conn: &Connection) -> Result<Vec<UserId>, DbError> {
    let sql = "SELECT id FROM user WHERE deletion_started_at_ms IS NOT NULL
               ORDER BY deletion_started_at_ms";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Deletes a marked user; tables that refer to it follow.
pub(in crate::accounts) fn user_delete_marked(
    conn: &Connection,
    id: UserId,
) -> Result<(), DbError> {
    let sql = "DELETE FROM user WHERE id = ?1 AND deletion_started_at_ms IS NOT NULL";
    conn.prepare_cached(sql)?.execute([id])?;
    Ok(())
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

/// Notes that nobody knows a user's password.
pub(in crate::accounts) fn user_set_passwordless(
    conn: &Connection,
    id: UserId,
) -> Result<(), DbError> {
    let sql = "UPDATE user SET has_password = 0 WHERE id = ?1";
    conn.prepare_cached(sql)?.execute([id])?;
    Ok(())
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
