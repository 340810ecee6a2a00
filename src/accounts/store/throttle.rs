//! The `login_throttle` table: failed tries per account, which survive a restart.
//!
//! Tries beyond the free ones cost a growing wait, five minutes at most: an attacker can slow an account's
//! owner down, never lock them out, and the command line always works.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use crate::db::DbError;
use crate::kernel::UnixMillis;
use crate::kernel::secret::TokenDigest;

/// Tries that cost no wait.
const FREE_TRIES: u32 = 5;
/// The longest wait between two tries.
const MAX_WAIT: Duration = Duration::from_mins(5);

/// How long to wait after the `failures`th failed try.
fn wait_after(failures: u32) -> Duration {
    match failures.checked_sub(FREE_TRIES) {
        None => Duration::ZERO,
        Some(beyond) => Duration::from_secs(1 << beyond.min(16)).min(MAX_WAIT),
    }
}

/// Counts a try before its password is looked at, so that many at once cannot slip through; a right password
/// clears the count. Returns how long to wait when this try is not allowed.
pub(in crate::accounts) fn throttle_count(
    conn: &Connection,
    account: TokenDigest,
    now: UnixMillis,
) -> Result<Option<Duration>, DbError> {
    let sql = "SELECT failures, blocked_until_ms FROM login_throttle WHERE account_digest = ?1";
    let row: Option<(u32, UnixMillis)> = conn
        .prepare_cached(sql)?
        .query_row([account], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (failures, blocked_until) = row.unwrap_or_default();
    // A clock that was set back must not turn into a long wait.
    let wait = blocked_until.since(now).min(MAX_WAIT);
    if !wait.is_zero() {
        return Ok(Some(wait));
    }
    let failures = failures.saturating_add(1);
    let blocked_until = now + wait_after(failures);
    let sql =
        "INSERT INTO login_throttle (account_digest, failures, blocked_until_ms, updated_at_ms)
               VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT (account_digest)
               DO UPDATE SET failures = ?2, blocked_until_ms = ?3, updated_at_ms = ?4";
    conn.prepare_cached(sql)?
        .execute((account, failures, blocked_until, now))?;
    Ok(None)
}

/// Forgets an account's failed tries.
pub(in crate::accounts) fn throttle_clear(
    conn: &Connection,
    account: TokenDigest,
) -> Result<(), DbError> {
    let sql = "DELETE FROM login_throttle WHERE account_digest = ?1";
    conn.prepare_cached(sql)?.execute([account])?;
    Ok(())
}

/// Forgets counts of accounts that were left alone since `before`.
pub(in crate::accounts) fn throttles_delete_old(
    conn: &Connection,
    before: UnixMillis,
) -> Result<usize, DbError> {
    let sql = "DELETE FROM login_throttle WHERE updated_at_ms < ?1";
    Ok(conn.prepare_cached(sql)?.execute([before])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::testing::main_store;

    #[test]
    fn the_wait_grows_to_five_minutes_and_no_further() {
        let waits: Vec<_> = (1..=14).map(|n| wait_after(n).as_secs()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert_eq!(wait_after(u32::MAX), MAX_WAIT);
    }

    #[tokio::test]
    async fn a_blocked_try_does_not_push_the_end_further() {
        let (_folder, store) = main_store();
        let account = TokenDigest::of("someone");
        let count = async |at: i64| {
            let job = move |tx: &crate::db::Tx<'_>| throttle_count(tx, account, UnixMillis(at));
            store.write(job).await.unwrap()
        };
        for _ in 0..5 {
            assert_eq!(count(0).await, None);
        }
        assert_eq!(count(0).await, Some(Duration::from_secs(1)));
        assert_eq!(count(400).await, Some(Duration::from_millis(600)));
        assert_eq!(count(1000).await, None, "the wait is over");
        assert_eq!(count(1000).await, Some(Duration::from_secs(2)));
        let cleared = store.write(move |tx| throttle_clear(tx, account)).await;
        cleared.unwrap();
        assert_eq!(count(1000).await, None);
    }
}
