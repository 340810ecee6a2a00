//! Relay sessions, the engine port and its engines.

pub mod embedded;
pub mod engine;
