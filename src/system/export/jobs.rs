//! Upkeep of deletions, for the table of jobs.

use super::Departures;
use crate::kernel::counted;

/// Carries begun deletions through. Every few seconds.
///
/// # Errors
/// The first that failed; the next run goes on.
pub async fn finish_deletions(departures: &Departures) -> anyhow::Result<String> {
    let finished = departures.finish_all().await?;
    Ok(format!(
        "{} deleted",
        counted(finished, "account", "accounts")
    ))
}
