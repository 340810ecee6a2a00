//! The integration tests: one binary, a module per area.
//!
//! Invariant: everything is built for tests only; `cfg(test)` says so to the lints, which
//! allow `unwrap`, `expect` and `panic` there.

#[cfg(test)]
mod api;
#[cfg(test)]
mod docker;
#[cfg(test)]
mod e2e;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod net;
#[cfg(test)]
mod oauth;
#[cfg(test)]
mod queries;
