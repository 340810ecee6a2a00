//! The nodes as this process knows them: engine, belief about its health, and what the table says.
//!
//! Invariant: there is exactly one local node, and it stands first. A node keeps its engine and its health when
//! its facts change.

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::health::{NodeHealth, Verdict};
use super::model::{
    AUTO, EngineFactory, ExternalApi, NodeAddress, NodeFacts, NodeKind, NodeStatus, Region,
};
use crate::kernel::Result;
use crate::kernel::ids::NodeId;
use crate::relay::engine::Engine;

/// A node.
#[derive(Debug, Clone)]
pub struct Node {
    /// What the table says.
    pub facts: NodeFacts,
    /// Its engine.
    pub engine: Arc<dyn Engine>,
    state: Arc<Mutex<NodeState>>,
}

#[derive(Debug, Default)]
struct NodeState {
    verdict: Verdict,
    /// What the public host resolves to, when it is a name that did.
    ipv4: Option<Ipv4Addr>,
    /// Every slot that it shall have was registered once.
    is_complete: bool,
}

impl Node {
    /// A node that nobody asked yet.
    #[must_use]
    pub fn new(facts: NodeFacts, engine: Arc<dyn Engine>) -> Self {
        let state = Arc::default();
        Self {
            facts,
            engine,
            state,
        }
    }

    /// Its identity.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.facts.id
    }

    /// Whether it is the appliance's own.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.facts.kind == NodeKind::Local
    }

    fn state(&self) -> MutexGuard<'_, NodeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is believed of it, and what its last bad answer said.
    #[must_use]
    pub fn health(&self) -> (NodeHealth, String) {
        let state = self.state();
        (state.verdict.health(), state.verdict.reason().to_owned())
    }

    /// Takes an answer about its health; answers whether the belief changed.
    pub(in crate::relay) fn hear(&self, answer: std::result::Result<(), String>) -> bool {
        self.state().verdict.hear(answer)
    }

    /// Whether it takes another session, as far as memory knows. The own one says so itself, so that a start
    /// waits for no probe; another one must have been found well first.
    #[must_use]
    pub fn is_assignable(&self) -> bool {
        let state = self.state();
        let is_well = match self.facts.kind {
            NodeKind::Local => !state.verdict.is_lost(),
            NodeKind::External => state.verdict.health() == NodeHealth::Up,
        };
        self.facts.status == NodeStatus::Active && is_well && self.engine.takes_sessions()
    }

    /// Tells the engine, once, that every slot that it shall have was registered.
    pub(in crate::relay) fn note_complete(&self) {
        let was_complete = std::mem::replace(&mut self.state().is_complete, true);
        if !was_complete {
            self.engine.all_registered();
        }
    }

    /// Whether its sessions shall move elsewhere.
    #[must_use]
    pub fn is_to_be_left(&self) -> bool {
        match self.facts.status {
            NodeStatus::Inactive | NodeStatus::Removed => true,
            NodeStatus::Active | NodeStatus::Draining => self.state().verdict.is_lost(),
        }
    }

    /// Where phones and players reach an external node, and its IPv4 address as far as it is known.
    #[must_use]
    pub fn public_address(&self) -> Option<(&NodeAddress, Ipv4Addr)> {
        let public = self.facts.public.as_ref()?;
        let known = self.state().ipv4;
        let ipv4 = public.host.parse().ok().or(known);
        Some((public, ipv4.unwrap_or(Ipv4Addr::UNSPECIFIED)))
    }

    /// Remembers what its public host resolves to.
    pub(in crate::relay) fn note_ipv4(&self, ipv4: Ipv4Addr) {
        self.state().ipv4 = Some(ipv4);
    }
}

/// All nodes at one moment.
#[derive(Debug, Clone)]
pub struct Pool {
    /// The nodes, the own one first.
    pub nodes: Vec<Arc<Node>>,
    /// The regions that an operator named.
    pub named_regions: Vec<Region>,
}

impl Pool {
    /// The appliance's own node.
    #[must_use]
    pub fn local(&self) -> &Arc<Node> {
        self.nodes
            .first()
            .expect("a pool is made with the own node first")
    }

    /// The node of this identity.
    #[must_use]
    pub fn get(&self, id: NodeId) -> Option<&Arc<Node>> {
        self.nodes.iter().find(|node| node.id() == id)
    }

    /// Whether there is any node but the own one.
    #[must_use]
    pub fn has_external(&self) -> bool {
        self.nodes.len() > 1
    }

    /// The regions that have a node, in the order of their identities, each with its names.
    #[must_use]
    pub fn regions(&self) -> Vec<Region> {
        let present = self
            .nodes
            .iter()
            .filter(|node| matches!(node.facts.status, NodeStatus::Active | NodeStatus::Draining));
        let mut ids: Vec<_> = present.map(|node| &node.facts.region).collect();
        ids.sort();
        ids.dedup();
        ids.into_iter().map(|id| self.named(id)).collect()
    }

    fn named(&self, id: &str) -> Region {
        let named = self.named_regions.iter().find(|region| region.id == id);
        named.cloned().unwrap_or_else(|| Region {
            id: id.to_owned(),
            label: id.to_owned(),
            aliases: Vec::new(),
        })
    }

    /// The region that a client means by `text`, or the own node's.
    #[must_use]
    pub fn region_or_default(&self, text: &str) -> String {
        let meant = self.region_meant_by(text);
        meant.unwrap_or_else(|| self.local().facts.region.clone())
    }

    /// The region that a client means by `text`; `None` for "any" and for a region that nobody has.
    #[must_use]
    pub fn region_meant_by(&self, text: &str) -> Option<String> {
        if text.is_empty() || text.eq_ignore_ascii_case(AUTO) {
            return None;
        }
        let regions = self.regions().into_iter();
        regions
            .filter(|region| region.is_meant_by(text))
            .map(|region| region.id)
            .next()
    }
}

/// The nodes. Cheap to clone.
#[derive(Clone)]
pub struct Nodes(Arc<Inner>);

struct Inner {
    pool: ArcSwap<Pool>,
    /// One change at a time.
    changing: Mutex<()>,
    changed: watch::Sender<()>,
    factory: EngineFactory,
}

impl fmt::Debug for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Nodes").field(&self.pool()).finish()
    }
}

impl Nodes {
    /// A registry with this pool.
    #[must_use]
    pub fn new(pool: Pool, factory: EngineFactory) -> Self {
        Self(Arc::new(Inner {
            pool: ArcSwap::from_pointee(pool),
            changing: Mutex::default(),
            changed: watch::Sender::new(()),
            factory,
        }))
    }

    /// The nodes now.
    #[must_use]
    pub fn pool(&self) -> Arc<Pool> {
        self.0.pool.load_full()
    }

    /// The appliance's own node.
    #[must_use]
    pub fn local(&self) -> Arc<Node> {
        Arc::clone(self.0.pool.load().local())
    }

    /// The node of this identity.
    #[must_use]
    pub fn get(&self, id: NodeId) -> Option<Arc<Node>> {
        self.0.pool.load().get(id).cloned()
    }

    /// Wakes when nodes come or go.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.0.changed.subscribe()
    }

    /// Makes the engine of an external node.
    ///
    /// # Errors
    /// Whatever the maker says.
    pub(in crate::relay) fn make_engine(&self, api: &ExternalApi) -> Result<Arc<dyn Engine>> {
        (self.0.factory)(api, self.local().id())
    }

    /// Changes the pool, after the table was.
    pub(in crate::relay) fn change(&self, change: impl FnOnce(&mut Pool)) {
        let _one_at_a_time = self
            .0
            .changing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut pool = (*self.pool()).clone();
        change(&mut pool);
        self.0.pool.store(Arc::new(pool));
        self.0.changed.send_replace(());
    }

    /// Changes the facts of a node, which keeps its engine and its health.
    pub(in crate::relay) fn change_facts(&self, id: NodeId, change: impl FnOnce(&mut NodeFacts)) {
        self.change(|pool| {
            if let Some(place) = pool.nodes.iter_mut().find(|node| node.id() == id) {
                let mut node = (**place).clone();
                change(&mut node.facts);
                *place = Arc::new(node);
            }
        });
    }

    /// Gives a node another engine, whose health nobody knows yet.
    pub(in crate::relay) fn replace_engine(&self, id: NodeId, engine: Arc<dyn Engine>) {
        self.change(|pool| {
            if let Some(place) = pool.nodes.iter_mut().find(|node| node.id() == id) {
                *place = Arc::new(Node::new(place.facts.clone(), engine));
            }
        });
    }
}
