//! The plugin's calls about relay sessions and keys.
//!
//! Invariant: the released plugin's fields, types and status codes; unknown fields are ignored.

mod heartbeat;
mod keys;
mod nodes;
mod passphrase;
mod pool;
mod self_hosted;
mod session_view;
mod sessions;
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
