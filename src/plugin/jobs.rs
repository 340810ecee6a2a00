//! Upkeep of sign-in attempts, for the table of jobs.

use super::service::PluginService;
use crate::kernel::counted;

/// Wipes handed-out tokens and deletes attempts that are over. Once a minute.
///
/// # Errors
/// The store's.
pub async fn delete_old_attempts(plugin: &PluginService) -> anyhow::Result<String> {
    let rows = plugin.delete_old_attempts().await?;
    Ok(format!(
        "{} cleaned up",
        counted(rows, "attempt", "attempts")
    ))
}
