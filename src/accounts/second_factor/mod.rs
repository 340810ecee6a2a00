//! The second factor: six digits of an authenticator app (RFC 6238), or a recovery code.
//!
//! ```text
//! password or provider ──► pending sign-in (cookie, 10 min) ── code ──► browser_session
//! ```
//!
//! Invariant: a code is good once, the secret is sealed at rest, and a recovery code is on one page and nowhere
//! else.

mod code;
mod store;
mod totp;

pub mod model;
pub mod pages;
pub mod service;
pub mod views;

pub use service::SecondFactors;
