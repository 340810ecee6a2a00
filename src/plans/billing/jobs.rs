//! Acting on events, and what time and the provider change. The relay hears of every plan that is another now.

use std::collections::BTreeSet;

use super::BillingService;
use crate::kernel::ids::UserId;
use crate::kernel::{Code, counted, error_chain};
use crate::relay::RelayService;

/// Runs until it is dropped: acts on events as soon as they are stored.
pub async fn tend(billing: &BillingService, relay: &RelayService) {
    loop {
        if let Err(error) = act(billing, relay).await {
            // The job of the same name tries again within a minute.
            tracing::error!(cause = format!("{error:#}"), "billing events wait");
        }
        billing.wait().await;
    }
}

/// Acts on events that wait: for those that failed before. Every minute.
///
/// # Errors
/// The store's.
pub async fn act(billing: &BillingService, relay: &RelayService) -> anyhow::Result<String> {
    let worked = billing.act().await?;
    tell(relay, &worked.changed).await;
    Ok(format!(
        "{} acted on, {} failed, {} changed",
        counted(worked.events, "event", "events"),
        worked.failed,
        counted(worked.changed.len(), "plan", "plans")
    ))
}

/// Ends graces and cancelled subscriptions that ran out. Every five minutes.
///
/// # Errors
/// The store's.
pub async fn enforce_grace(
    billing: &BillingService,
    relay: &RelayService,
) -> anyhow::Result<String> {
    let changed = billing.enforce().await?;
    tell(relay, &changed).await;
    Ok(format!(
        "{} changed",
        counted(changed.len(), "plan", "plans")
    ))
}

/// Compares subscriptions with the provider's own list. Every hour.
///
/// # Errors
/// What the provider answers; the store's.
pub async fn reconcile(billing: &BillingService, relay: &RelayService) -> anyhow::Result<String> {
    if !billing.is_configured() {
        return Ok("billing is not configured".to_owned());
    }
    let done = match billing.reconcile().await {
        Ok(done) => done,
        // The start warned of a key that is not set; the job says it too, and has not failed.
        Err(error) if error.code() == Code::BillingNotConfigured => {
            return Ok(error.message().to_owned());
        }
        Err(error) => return Err(error.into()),
    };
    tell(relay, &done.changed).await;
    Ok(format!(
        "{} compared, {} repaired, {} changed",
        counted(done.compared, "subscription", "subscriptions"),
        counted(done.repaired, "gap", "gaps"),
        counted(done.changed.len(), "plan", "plans")
    ))
}

/// Forgets the raw bodies of old events. Daily.
///
/// # Errors
/// The store's.
pub async fn forget_bodies(billing: &BillingService) -> anyhow::Result<String> {
    let count = billing.forget_bodies().await?;
    Ok(format!("{} forgotten", counted(count, "body", "bodies")))
}

/// Admits users anew, or cuts off whom no plan covers any more.
async fn tell(relay: &RelayService, changed: &BTreeSet<UserId>) {
    for user_id in changed {
        if let Err(error) = relay.sync_user(*user_id).await {
            // The relay's own job looks at every plan once a minute.
            let cause = error_chain(&error);
            tracing::warn!(user.id = %user_id, cause, "the relay did not hear of a plan yet");
        }
    }
}
