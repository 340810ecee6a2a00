//! What the server answers to each of its routes: who gets in, and in what shape.
//!
//! Invariant: the expectations are written down here and not taken from the product's types, so
//! that a change of the wire fails a test.

mod billing;
mod callers;
mod compatibility;
mod contract;
mod document;
mod operations;
mod requests;
mod route_matrix;
mod routes_source;
mod shape;
