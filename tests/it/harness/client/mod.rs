//! Those who call the server, as values: anybody, a browser, the OBS plugin.
//!
//! Invariant: blocking, for tests without a runtime; one connection pool each.

mod browser;
mod http;
mod plugin;

pub(crate) use browser::Browser;
pub(crate) use http::{Answer, Http};
pub(crate) use plugin::{Attempt, Plugin, Session};
