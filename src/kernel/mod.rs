//! Words that every room uses: identifiers, errors, time, secrets, and who is calling.
//!
//! Invariant: this module does no I/O and knows no feature.

pub mod ids;
