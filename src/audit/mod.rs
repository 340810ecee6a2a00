//! What was done with an operator's power or behind a user's back.
//!
//! Invariant: a row is written in the transaction that did what it tells of, and is never changed.

mod store;

pub use store::{AuditEvent, AuditRow, append, newest};
