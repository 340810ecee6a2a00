//! What every integration test leans on: waiting, the real binary, and those who call it.
//!
//! Invariant: a caller in `client` sends what its real counterpart sends and reads the answer
//! as bytes; it uses none of the product's types.

pub(crate) mod client;
pub(crate) mod eventually;
pub(crate) mod glb;
pub(crate) mod mmdb;
pub(crate) mod server;
