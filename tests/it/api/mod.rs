//! What the server answers to each of its routes: who gets in, and in what shape.
//!
//! Invariant: the expectations are written down here and not taken from the product's types, so
//! that a change of the wire fails a test.

mod billing;
mod callers;
mod compatibility;
mod contract;
mod document;
mod errors;
mod exposition;
mod figures;
mod jobs;
mod limits;
mod operations;
mod requests;
mod route_matrix;
pub(crate) mod routes_source;
mod schemathesis;
mod shape;
mod users;
