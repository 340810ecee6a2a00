//! Upkeep of the log, for the table of jobs.

use super::AuditLog;
use crate::kernel::counted;

/// Forgets events that are older than the retention. Once an hour.
///
/// # Errors
/// The store's.
pub async fn forget_old_events(log: &AuditLog) -> anyhow::Result<String> {
    let deleted = log.forget_old().await?;
    Ok(format!("{} deleted", counted(deleted, "event", "events")))
}
