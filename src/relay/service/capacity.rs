//! What the pool has to offer, for those who choose a region and for those who think of signing up.
//!
//! Invariant: nobody makes the server count sessions more often than once in [`FRESH`].

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use serde::Serialize;

use super::RelayService;
use crate::kernel::{Error, Result, UnixMillis};
use crate::relay::nodes::{Node, Region};
use crate::relay::store;

/// How old an answer may be.
const FRESH: Duration = Duration::from_secs(5);

/// Places of the pool, or of one region.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Places {
    /// Places that nobody has, at nodes that take sessions.
    pub free: u32,
    /// Places at nodes that take sessions.
    pub total: u32,
}

/// A node, and how many sessions it has.
#[derive(Debug, Clone)]
pub struct NodeLoad {
    /// The node.
    pub node: Arc<Node>,
    /// Its sessions.
    pub sessions: u32,
}

/// A region that has a node.
#[derive(Debug, Clone)]
pub struct RegionOffer {
    /// The region.
    pub region: Region,
    /// Whether it is the one of those who ask for none.
    pub is_default: bool,
    /// Whether a node there takes sessions.
    pub is_available: bool,
    /// When its newest node was added.
    pub changed_at: UnixMillis,
}

impl RelayService {
    /// The regions that have a node, in the order of their identities. From memory.
    #[must_use]
    pub fn regions(&self) -> Vec<RegionOffer> {
        let pool = self.0.deps.nodes.pool();
        let offers = pool.regions().into_iter().map(|region| {
            let nodes = || {
                pool.nodes
                    .iter()
                    .filter(|node| node.facts.region == region.id)
            };
            let newest = nodes().map(|node| node.facts.created_at).max();
            RegionOffer {
                is_default: pool.local().facts.region == region.id,
                is_available: nodes().any(|node| node.is_assignable()),
                changed_at: newest.unwrap_or_default(),
                region,
            }
        });
        offers.collect()
    }

    /// The free places of all nodes that take sessions, at most a few seconds old.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn places(&self) -> Result<Places> {
        let mut last = self.0.places.lock().await;
        let now = self.0.deps.clock.monotonic();
        if let Some((at, places)) = *last
            && now.saturating_sub(at) < FRESH
        {
            return Ok(places);
        }
        let mut places = Places::default();
        for NodeLoad { node, sessions } in self.node_loads().await? {
            if node.is_assignable() {
                let capacity = node.facts.capacity;
                places.total = places.total.saturating_add(capacity);
                places.free = places
                    .free
                    .saturating_add(capacity.saturating_sub(sessions));
            }
        }
        *last = Some((now, places));
        Ok(places)
    }

    /// All nodes and how many sessions each has.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn node_loads(&self) -> Result<Vec<NodeLoad>> {
        let pool = self.0.deps.nodes.pool();
        let read = move |connection: &Connection| {
            let loads = pool.nodes.iter().map(|node| {
                Ok(NodeLoad {
                    node: Arc::clone(node),
                    sessions: store::assignment::load(connection, node.id(), u32::MAX)?,
                })
            });
            loads.collect::<std::result::Result<Vec<_>, Error>>()
        };
        self.0.deps.store.read(read).await
    }
}
