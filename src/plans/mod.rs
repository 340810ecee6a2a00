//! Plans: what a user may use, and how much of it was used.
//!
//! Invariant: without a billing provider nobody is limited, whatever a plan row says; and a plan row is
//! never changed only because no provider is configured.

pub mod adjustment;
pub mod api;
pub mod billing;
mod change;
pub mod cycle;
mod entitlement;
pub mod jobs;
pub mod model;
pub mod pages;
mod roll_over;
pub mod service;
pub mod store;
#[cfg(test)]
mod tests;
mod tier;
pub mod views;

pub use change::{ChangedBy, EXTRAS_MAX, PlanChange, PlanEdit, PlanFollower};
pub use cycle::Cycle;
pub use model::{Access, Entitlement, Plan, PlanRules, PlanStatus, Reason, Tier, Usage};
pub use roll_over::Statement;
pub use service::{Ledger, PlansService};
