//! How often the calls about relay sessions may be made.
//!
//! Invariant: connections of a user do not share an allowance, because each asks by itself every other
//! second.

use crate::http::Limiter;

/// One limiter for each call. None by default.
#[derive(Debug, Clone, Default)]
pub struct RelayLimits {
    /// `relay/start`, per user and connection.
    pub start: Limiter,
    /// `relay/stop`, per user and what is stopped.
    pub stop: Limiter,
    /// `relay/active`, per user and connection.
    pub active: Limiter,
    /// `usage/current`, per user.
    pub usage: Limiter,
}
