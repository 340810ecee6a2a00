//! What only the OBS plugin speaks, and what spans capabilities: sign-in through the browser, and the
//! snapshot of an account.
//!
//! ```text
//! plugin ── start ──► attempt (pending) ── browser: approve ──► approved ── poll ──► auth session + tokens
//! ```
//!
//! Invariant: an attempt is approved only by a person who is signed in here, or by the holder of the
//! configured key; and it is claimed only by the plugin that started it.

pub mod api;
#[cfg(test)]
mod handler_tests;
pub mod jobs;
pub mod model;
pub mod pages;
pub mod service;
pub mod snapshot;
mod store;
pub mod views;

pub use model::PluginConfig;
pub use service::PluginService;
