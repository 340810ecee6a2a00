//! Words that every room uses: identifiers, errors, time, secrets, and who is calling.
//!
//! Invariant: this module does no I/O (the system clock and the random source apart) and knows no
//! feature.

pub mod actor;
pub mod clock;
pub mod count;
pub mod error;
pub mod ids;
pub mod seal;
pub mod secret;
pub mod time;

pub use actor::{Actor, Role, Via};
pub use clock::Clock;
pub use count::counted;
pub use error::{Code, Error, FieldError, Kind, Result, error_chain};
pub use time::UnixMillis;
