//! Keys under which a request was answered before.
//!
//! Invariant: no answer is kept, only which session it was about; a repetition shows that session as it is.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use crate::kernel::ids::{RelaySessionId, UserId};
use crate::kernel::{Code, Error, Kind, Result, UnixMillis};
use crate::relay::model::IdempotencyKey;

/// How long a key is remembered.
const LIFE: Duration = Duration::from_hours(24);
const START: &str = "/api/v1/relay/start";

/// The session that a start with this key was about.
///
/// # Errors
/// 409 `idempotency_mismatch` when the key was used with another request.
pub(in crate::relay) fn find(
    connection: &Connection,
    user_id: UserId,
    key: &IdempotencyKey,
    now: UnixMillis,
) -> Result<Option<RelaySessionId>> {
    let found: Option<([u8; 32], RelaySessionId)> = connection
        .prepare_cached(
            "SELECT request_hash, session_id FROM idempotency_record
             WHERE user_id = ?1 AND endpoint = ?2 AND idempotency_key = ?3 AND expires_at_ms > ?4",
        )?
        .query_row((user_id, START, text(key), now), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    match found {
        None => Ok(None),
        Some((hash, session_id)) if hash == key.request_hash => Ok(Some(session_id)),
        Some(_) => Err(Error::new(
            Kind::Conflict,
            Code::IdempotencyMismatch,
            "this Idempotency-Key was used with another request: use a new key",
        )),
    }
}

/// Remembers the key; one that expired is written anew, hash included.
pub(in crate::relay) fn put(
    connection: &Connection,
    user_id: UserId,
    key: &IdempotencyKey,
    session_id: RelaySessionId,
    now: UnixMillis,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO idempotency_record
                 (user_id, endpoint, idempotency_key, request_hash, session_id, created_at_ms, expires_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (user_id, endpoint, idempotency_key) DO UPDATE SET
                 request_hash = excluded.request_hash, session_id = excluded.session_id,
                 created_at_ms = excluded.created_at_ms, expires_at_ms = excluded.expires_at_ms",
        )?
        .execute((
            user_id,
            START,
            text(key),
            key.request_hash,
            session_id,
            now,
            now + LIFE,
        ))?;
    Ok(())
}

/// Forgets the keys of a session that came to nothing, so that a repetition tries again.
pub(in crate::relay) fn forget_session(
    connection: &Connection,
    session_id: RelaySessionId,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM idempotency_record WHERE session_id = ?1")?
        .execute([session_id])?;
    Ok(())
}

/// Forgets expired keys; answers how many.
pub(in crate::relay) fn delete_expired(
    connection: &Connection,
    now: UnixMillis,
) -> rusqlite::Result<usize> {
    connection
        .prepare_cached("DELETE FROM idempotency_record WHERE expires_at_ms <= ?1")?
        .execute([now])
}

fn text(key: &IdempotencyKey) -> String {
    key.key.simple().to_string()
}
