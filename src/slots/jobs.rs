//! Upkeep of slots, for the table of jobs.

use super::service::SlotsService;
use crate::kernel::counted;

/// Deletes rotated play keys that no longer name their slot. Every hour.
///
/// # Errors
/// The store's.
pub async fn delete_expired_keys(slots: &SlotsService) -> anyhow::Result<String> {
    let rows = slots.delete_expired_keys().await?;
    Ok(format!(
        "{} deleted",
        counted(rows, "retired key", "retired keys")
    ))
}
