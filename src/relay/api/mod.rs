//! The plugin's calls about relay sessions and keys.
//!
//! Invariant: the released plugin's fields, types and status codes; unknown fields are ignored.

pub(crate) mod heartbeat;
pub(crate) mod keys;
pub(crate) mod nodes;
pub(crate) mod passphrase;
pub(crate) mod pool;
pub(crate) mod self_hosted;
mod session_view;
pub(crate) mod sessions;
#[cfg(test)]
mod tests;

pub use heartbeat::{HeartbeatCaller, heartbeat};
pub use keys::{regenerate_token, rotate_key};
pub(in crate::relay) use nodes::node_views;
pub use nodes::{
    NodeView, add_node, change_node, list_nodes, name_region, remove_node, rotate_node_key,
};
pub use passphrase::put_passphrase;
pub use pool::{capacity, ip, manifest, migrate, regions};
pub use self_hosted::{deregister_home, probe_home, register_home};
pub use sessions::{active, start, stop, usage};
