//! What was done with an operator's power, behind a user's back, or to who may do what.
//!
//! Whoever does such a thing calls [`append`] in the same transaction. Operators read the log, newest first,
//! filtered by who, what, to what and when.
//!
//! Invariant: a row is written in the transaction that did what it tells of, and is never changed; the database
//! itself refuses that, and lets retention delete old rows only.

mod model;
mod service;
mod store;

pub mod api;
pub mod jobs;
pub mod pages;

pub use model::{
    AuditEvent, AuditFilter, AuditPage, AuditRow, Cursor, EVENTS_A_PAGE, FilterTexts, PageRequest,
};
pub use service::AuditLog;
pub use store::{append, newest};
