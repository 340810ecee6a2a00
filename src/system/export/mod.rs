//! A user's own data: all of it as one file, and none of it any more.
//!
//! ```text
//! delete ──► mark (signed out, keys void) ──► relay lets go ──► figures deleted ──► row deleted, and all that hangs on it
//! ```
//!
//! Every step may be repeated, so a job carries through what a crash or a silent node interrupted.
//!
//! Invariant: a secret leaves with the file only if it is a stream key of the user's own; the row goes last.

mod merging;
mod service;
mod store;

pub mod jobs;
pub mod pages;
pub mod views;

pub use service::{DepartureDeps, Departures};
