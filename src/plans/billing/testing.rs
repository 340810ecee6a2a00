//! Billing as most tests have it: nobody takes money.

use super::{BillingDeps, BillingMetrics, BillingService, Catalog};
use crate::db::Store;
use crate::kernel::Clock;
use crate::plans::{PlanRules, PlansService};
use crate::settings::Settings;

/// The service without a provider.
pub(crate) fn unconfigured(store: &Store, clock: &Clock, settings: &Settings) -> BillingService {
    BillingService::new(BillingDeps {
        store: store.clone(),
        clock: clock.clone(),
        plans: PlansService::new(store.clone(), clock.clone(), PlanRules::default()),
        settings: settings.clone(),
        provider: None,
        catalog: Catalog::default(),
        metrics: BillingMetrics::default(),
    })
}
