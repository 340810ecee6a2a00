//! Upkeep of plans, for the table of jobs.

use super::PlansService;
use crate::kernel::counted;

/// Writes down the terms of billing cycles that are over. Hourly.
///
/// # Errors
/// The store's.
pub async fn roll_over(plans: &PlansService) -> anyhow::Result<String> {
    let users = plans.roll_over().await?;
    Ok(format!(
        "{} began a new cycle",
        counted(users, "user", "users")
    ))
}
