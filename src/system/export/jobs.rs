//! Upkeep of deletions, for the table of jobs.

use super::Departures;

/// Carries begun deletions through. Every few seconds.
///
/// # Errors
/// The first that failed; the next run goes on.
pub async fn finish_deletions(departures: &Departures) -> anyhow::Result<String> {
    let finished = departures.finish_all().await?;
    Ok(format!("{finished} accounts deleted"))
}
