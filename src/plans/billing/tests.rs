//! Billing against a real store and a clock that stands still. Events are signed and go in by the front door.

mod fixtures;
mod ordering;
mod refunds;
mod table;
mod trouble;
mod world;
