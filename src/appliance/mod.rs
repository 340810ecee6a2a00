//! The roof: configuration, composition, the tables of routes and jobs, ordered start and stop.
//!
//! Invariant: only this room names adapters, reads the environment and opens listeners.

mod addresses;
mod billing;
mod compose;
pub mod config;
mod control;
mod detect;
mod figures;
mod fleet;
mod jobs;
mod listen;
mod open;
mod openapi;
mod people;
mod ports;
mod relay;
mod routes;
mod running;
mod signals;
mod state;
mod stores;

use crate::relay::embedded::MemoryBound;
pub use addresses::Addresses;
pub use control::{ControlRequest, PasswordChoice, command};
pub use running::Running;
pub use signals::Signals;

/// The most memory that the relay takes with this configuration.
#[must_use]
pub fn relay_memory(config: &config::Config) -> MemoryBound {
    MemoryBound::of(&listen::relay_config(&config.embedded))
}
