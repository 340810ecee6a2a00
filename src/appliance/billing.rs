//! Billing out of its configuration.

use std::sync::Arc;

use super::config::{Config, ProviderKeys};
use super::open::Opened;
use crate::plans::billing::providers::{ApiCaller, LemonSqueezy, Stripe};
use crate::plans::billing::{BillingDeps, BillingMetrics, BillingProvider, BillingService};
use crate::settings::Settings;

/// Builds the service, with the provider that the configuration names.
///
/// # Errors
/// When the HTTP client cannot be built.
pub(super) fn billing(
    config: &Config,
    opened: &Opened,
    settings: &Settings,
    metrics: BillingMetrics,
) -> anyhow::Result<BillingService> {
    let keys = &config.billing;
    if keys.is_configured() && !keys.unset.is_empty() {
        let keys = keys.unset.join(", ");
        tracing::warn!(keys, "billing works in part only: these keys are not set");
    }
    let provider = match keys.provider.clone() {
        None => None,
        Some((keys, api_base)) => Some(provider(keys, ApiCaller::new(api_base)?)),
    };
    Ok(BillingService::new(BillingDeps {
        store: opened.store.clone(),
        clock: opened.clock.clone(),
        plans: opened.plans.clone(),
        settings: settings.clone(),
        provider,
        catalog: keys.catalog.clone(),
        metrics,
    }))
}

fn provider(keys: ProviderKeys, caller: ApiCaller) -> Arc<dyn BillingProvider> {
    match keys {
        ProviderKeys::LemonSqueezy(keys) => Arc::new(LemonSqueezy::new(caller, keys)),
        ProviderKeys::Stripe(keys) => Arc::new(Stripe::new(caller, keys)),
    }
}
