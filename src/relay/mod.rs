//! Relay sessions, the engine port and its engines.
//!
//! A session is a plugin connection's claim on a slot. On the appliance's own relay it admits nobody and cuts
//! nobody off: keys and entitlement do that. It says what the plugin may show, is counted against the plan,
//! and holds a place on a node.
//!
//! Invariant: an answer that was given survives kill -9; what only memory knows (leases, live slots) is
//! rebuilt generously, so that a restart ends no session.

pub mod api;
pub mod docker;
pub mod embedded;
pub mod engine;
pub mod inside;
pub mod jobs;
mod meter;
pub mod model;
pub mod nodes;
mod outage;
mod presence;
pub mod service;
pub mod sls;
mod store;
#[cfg(test)]
pub(crate) mod testing;

pub use engine::{Engine, EngineEvent, StreamSpec, Target};
pub use model::{
    ConnectionId, IdempotencyKey, SessionSnapshot, SlotChoice, StartRequest, Status, StopReason,
};
pub use nodes::{LocalNode, Nodes};
pub use service::{RelayConfig, RelayDeps, RelayService};
