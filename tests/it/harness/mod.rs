//! What every integration test leans on.
//!
//! Invariant: nothing here knows a route, a page or a wire format.

pub(crate) mod eventually;
