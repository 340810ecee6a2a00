//! The pool: the appliance's own relay and those that operators added.
//!
//! A slot's keys are at the own relay always, at another node only while a session of the slot has a place there.
//!
//! Invariant: [`Nodes`] holds what the table of nodes says; who writes the table changes both, in one place.

mod change;
mod feed;
mod health;
mod load;
pub mod model;
mod registry;
mod spec;
pub(super) mod store;

pub(super) use change::CheckedChange;
pub use change::NodeChange;
pub use feed::{MediaEvent, NodeFigures};
pub use health::NodeHealth;
pub use load::load;
pub(super) use model::check_key;
pub use model::{
    EngineFactory, ExternalApi, LocalNode, NewNode, NodeFacts, NodeKind, NodeStatus, Region,
};
pub use registry::{Node, Nodes, Pool};
pub use spec::{NodeKey, NodeSpec, usual};
