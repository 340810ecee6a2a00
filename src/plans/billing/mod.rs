//! Billing: a payment provider's subscriptions decide plans.
//!
//! ```text
//! webhook ─ verify ─ store ─► 200            hourly: list at the provider ─ differs? ─ store
//!                      └──── wake ─► read ─ facts of the user ─ fold ─ plan row ─ relay told ◄──┘
//! ```
//!
//! A webhook is stored before it is understood. What it says becomes a [`Fact`]; the plan is computed from all
//! facts of a user in the order of the provider's own times, so the order and number of deliveries are of no
//! matter. Providers deliver late, twice, in any order, and `LemonSqueezy` gives up after four tries.
//!
//! Invariant: the plan of an owner, or of a user whom an operator set to internal, is never changed here.

pub mod api;
pub mod catalog;
mod event;
mod fact;
mod fold;
pub mod jobs;
mod metrics;
pub mod pages;
mod provider;
pub mod providers;
mod service;
mod store;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod views;

pub use catalog::{Catalog, Product};
pub use event::{BillingEvent, EventState};
pub use fact::{Action, Change, Fact, Item, SubscriptionStatus};
pub use metrics::BillingMetrics;
pub use provider::{BillingProvider, ProviderError, ProviderName, Webhook};
pub use service::{
    BillingDeps, BillingService, BillingStatus, Overview, Received, Reconciled, Worked,
};
pub use store::subscription_is_open;
