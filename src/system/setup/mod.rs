//! First run: whoever holds the one-time token claims the appliance; until then every page explains how.
//!
//! The token goes to stderr and into a file that only the server's user can read, never into an HTTP answer
//! of its own, so that a stranger who is first at the port gets nothing.
//!
//! Invariant: there is no default password and no claiming without the token or the command line.

mod gate;
pub mod pages;
mod service;
mod store;

pub use gate::{Gate, GateLayer};
pub use service::{Claim, SetupDeps, SetupService};
