//! The plugin's calls about relay sessions and keys.
//!
//! Invariant: the released plugin's fields, types and status codes; unknown fields are ignored.

pub(crate) mod heartbeat;
pub(crate) mod keys;
pub(crate) mod passphrase;
pub(crate) mod pool;
mod session_view;
pub(crate) mod sessions;
#[cfg(test)]
mod tests;

pub use heartbeat::{HeartbeatCaller, heartbeat};
pub use keys::{regenerate_token, rotate_key};
pub use passphrase::put_passphrase;
pub use pool::{capacity, ip, manifest, migrate, regions};
pub use sessions::{active, start, stop, usage};
