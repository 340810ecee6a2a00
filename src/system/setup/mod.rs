//! The first run: a one-time address, the page behind it, and the gate that leads everybody there.
//!
//! Invariant: nobody becomes the first owner without the one-time token or the command line; and once there
//! is an owner, the token serves for nothing.

mod gate;
pub mod pages;
mod service;
mod store;

pub use gate::gate;
pub use service::{Claim, SetupService};
