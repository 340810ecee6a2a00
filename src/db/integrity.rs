//! Looks through a whole database for damage.
//!
//! Invariant: on a connection of its own, so that no request waits for it; ended when nobody waits any more.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, InterruptHandle};
use tokio::sync::oneshot;

use super::{DbError, connection};

/// Findings that are told at most.
const FINDINGS: u32 = 5;

/// Interrupts a check whose caller has gone away, as when its time is over.
struct EndWithCaller(InterruptHandle);

impl Drop for EndWithCaller {
    fn drop(&mut self) {
        self.0.interrupt();
    }
}

/// What is wrong with the database at `path`, or `None` when it is sound.
///
/// # Errors
/// When it cannot be opened, or the check was ended.
///
/// # Cancel safety
/// Dropped, it ends the check.
pub(super) async fn check(path: PathBuf) -> Result<Option<String>, DbError> {
    let (started, handle) = oneshot::channel();
    let checking = tokio::task::spawn_blocking(move || {
        let connection = connection::open_reader(&path)?;
        // Without a receiver nobody waits for the answer.
        match started.send(connection.get_interrupt_handle()) {
            Ok(()) => findings(&connection),
            Err(_) => Err(DbError::Closed),
        }
    });
    let guard = handle.await.ok().map(EndWithCaller);
    let outcome = checking.await.unwrap_or(Err(DbError::Panicked));
    drop(guard);
    damage_is_a_finding(outcome)
}

/// The same, waiting for it.
pub(super) fn check_file(path: &Path) -> Result<Option<String>, DbError> {
    let connection = connection::open_writer(path, connection::Durability::Full);
    damage_is_a_finding(connection.and_then(|connection| findings(&connection)))
}

fn damage_is_a_finding(
    outcome: Result<Option<String>, DbError>,
) -> Result<Option<String>, DbError> {
    match outcome {
        Err(DbError::Corrupt(cause)) => Ok(Some(cause.to_string())),
        other => other,
    }
}

fn findings(connection: &Connection) -> Result<Option<String>, DbError> {
    let sql = format!("PRAGMA integrity_check({FINDINGS})");
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    let found: Vec<_> = rows.collect::<rusqlite::Result<_>>()?;
    let is_sound = found.iter().all(|line| line == "ok");
    Ok((!is_sound).then(|| found.join("; ")))
}
