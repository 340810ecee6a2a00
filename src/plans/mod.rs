//! Plans: what a user may use, and how much of it was used.
//!
//! Invariant: without a billing provider nobody is limited, whatever a plan row says; and a plan row is
//! never changed only because no provider is configured.

pub mod billing;
pub mod cycle;
mod entitlement;
pub mod model;
pub mod service;
pub mod store;
mod tier;

pub use cycle::Cycle;
pub use model::{Access, Entitlement, Plan, PlanRules, PlanStatus, Reason, Tier, Usage};
pub use service::PlansService;
