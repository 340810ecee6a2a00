//! Rows of relay sessions, assignments and idempotency keys.
//!
//! Invariant: an assignment is open exactly as long as its session is; every function here that closes or
//! opens one does both.

pub(super) mod assignment;
pub(super) mod health;
pub(super) mod idempotency;
pub(super) mod session;
