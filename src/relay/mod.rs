//! Relay sessions, the engine port and its engines.
//!
//! A session is a plugin connection's claim on a slot. On the appliance's own relay it admits nobody and cuts
//! nobody off: keys and entitlement do that. It says what the plugin may show, is counted against the plan,
//! and holds a place on a node.
//!
//! Invariant: an answer that was given survives kill -9; what only memory knows (leases, live slots) is
//! rebuilt generously, so that a restart ends no session.

pub mod api;
pub mod dns;
pub mod docker;
pub mod embedded;
pub mod engine;
pub mod events;
mod induction;
pub mod inside;
pub mod jobs;
pub mod limits;
mod meter;
mod metrics;
pub mod model;
pub mod nodes;
mod outage;
pub mod pages;
mod presence;
mod reach;
mod registration;
pub mod service;
pub mod sls;
mod store;
#[cfg(test)]
pub(crate) mod testing;
mod views;

pub use dns::DnsZone;
pub use engine::{Engine, EngineEvent, StreamSpec, Target};
pub use events::RelayEvent;
pub use metrics::ProvisionMetrics;
pub use model::{
    ConnectionId, IdempotencyKey, SessionSnapshot, SlotChoice, StartRequest, Status, StopReason,
};
pub use nodes::{LocalNode, Nodes};
pub use service::{RelayConfig, RelayDeps, RelayService};
