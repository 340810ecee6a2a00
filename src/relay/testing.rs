//! A relay engine in memory that obeys the port, and can be told to fail or to hang.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use tokio::sync::{broadcast, watch};

use super::engine::{
    Capabilities, Ended, Engine, EngineCounters, EngineError, EngineEvent, EngineHealth,
    StreamSpec, StreamStats, Target,
};
use super::inside::{Caller, Inside, Lingering};
use super::nodes::{
    EngineFactory, LocalNode, Node, NodeFacts, NodeKind, NodeStatus, Nodes, Pool, load,
};
use crate::db::Store;
use crate::kernel::ids::{NodeId, SlotId};
use crate::kernel::seal::Vault;
use crate::kernel::secret::ExposeSecret;
use crate::kernel::{Clock, Error, UnixMillis};

/// A pool of nothing but the own node, with this engine.
pub(crate) fn alone(engine: &Arc<FakeEngine>) -> Nodes {
    let local = LocalNode::new(Arc::clone(engine) as _);
    let facts = NodeFacts {
        id: NodeId::generate(),
        kind: NodeKind::Local,
        name: "local".to_owned(),
        region: local.region,
        status: NodeStatus::Active,
        capacity: local.capacity,
        created_at: UnixMillis(0),
        public: None,
    };
    let pool = Pool {
        nodes: vec![Arc::new(Node::new(facts, local.engine))],
        named_regions: Vec::new(),
    };
    Nodes::new(pool, Arc::new(|_, _| Err(Error::not_found("engine"))))
}

/// The same, with its row in `store`, so that it can have sessions.
pub(crate) async fn stored(
    store: &Store,
    clock: &Clock,
    vault: &Arc<Vault>,
    engine: &Arc<FakeEngine>,
) -> Nodes {
    let local = LocalNode::new(Arc::clone(engine) as _);
    let factory: EngineFactory = Arc::new(|_, _| Err(Error::not_found("engine")));
    load(store, clock, vault, local, factory).await.unwrap()
}

/// How the fake answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    Unavailable,
    Rejecting,
    Hanging,
}

/// The fake.
#[derive(Debug)]
pub(crate) struct FakeEngine {
    mood: watch::Sender<Mood>,
    events: broadcast::Sender<EngineEvent>,
    can_encrypt: AtomicBool,
    can_cut_off: AtomicBool,
    /// Callers of an SLS who were told gone.
    gone: AtomicUsize,
    lingering: Mutex<Lingering>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    streams: HashMap<SlotId, StreamSpec>,
    publishing: HashSet<SlotId>,
    playing: HashSet<SlotId>,
    figures: Vec<StreamStats>,
    notices: Vec<String>,
}

impl FakeEngine {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            mood: watch::Sender::new(Mood::Well),
            events: broadcast::Sender::new(64),
            can_encrypt: AtomicBool::new(true),
            can_cut_off: AtomicBool::new(true),
            gone: AtomicUsize::new(0),
            lingering: Mutex::default(),
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// How many callers of an SLS were told gone.
    pub(crate) fn gone(&self) -> usize {
        self.gone.load(Ordering::Relaxed)
    }

    /// Who stays although his key is no longer good.
    pub(crate) fn set_lingering(&self, lingering: Lingering) {
        *self.lingering.lock().unwrap() = lingering;
    }

    /// What operators should know of.
    pub(crate) fn set_notices(&self, notices: Vec<String>) {
        self.state().notices = notices;
    }

    /// Whether it takes passphrases from now on; at first it does.
    pub(crate) fn set_can_encrypt(&self, can_encrypt: bool) {
        self.can_encrypt.store(can_encrypt, Ordering::Relaxed);
    }

    /// Forgets everything, as a node that was installed anew.
    pub(crate) fn lose_everything(&self) {
        self.state().streams.clear();
    }

    /// Whether it cuts anybody off from now on; at first it does.
    pub(crate) fn set_can_cut_off(&self, can_cut_off: bool) {
        self.can_cut_off.store(can_cut_off, Ordering::Relaxed);
    }

    /// What it answers when it is asked for figures.
    pub(crate) fn set_figures(&self, figures: Vec<StreamStats>) {
        self.state().figures = figures;
    }

    /// The publish and play key that it admits for a slot.
    pub(crate) fn keys(&self, slot_id: SlotId) -> Option<(String, String)> {
        let state = self.state();
        let spec = state.streams.get(&slot_id)?;
        let text = |secret: &secrecy::SecretString| secret.expose_secret().to_owned();
        Some((text(&spec.publish_key), text(&spec.play_key)))
    }

    /// The passphrase with which it admits callers of a slot.
    pub(crate) fn passphrase(&self, slot_id: SlotId) -> Option<String> {
        let state = self.state();
        let passphrase = state.streams.get(&slot_id)?.passphrase.as_ref();
        passphrase.map(|it| it.expose_secret().to_owned())
    }

    /// Lets a publisher and a player connect to a slot.
    pub(crate) fn connect_both(&self, slot_id: SlotId) {
        let mut state = self.state();
        assert!(state.streams.contains_key(&slot_id), "nobody is admitted");
        state.publishing.insert(slot_id);
        state.playing.insert(slot_id);
    }

    /// Tells of a publisher's first media.
    pub(crate) fn start_media(&self, slot_id: SlotId) {
        drop(self.events.send(EngineEvent::MediaStarted(slot_id)));
    }

    /// Whether a publisher and a player are connected.
    pub(crate) fn connected(&self, slot_id: SlotId) -> (bool, bool) {
        let state = self.state();
        (
            state.publishing.contains(&slot_id),
            state.playing.contains(&slot_id),
        )
    }

    async fn answer(&self) -> Result<(), EngineError> {
        let mut mood = self.mood.subscribe();
        let settled = mood.wait_for(|mood| *mood != Mood::Hanging).await;
        match settled.map(|mood| *mood) {
            Ok(Mood::Well) => Ok(()),
            Ok(Mood::Rejecting) => Err(EngineError::Rejected {
                reason: "told to".into(),
            }),
            Ok(Mood::Unavailable | Mood::Hanging) | Err(_) => Err(EngineError::Unavailable),
        }
    }

    fn cut(&self, slot_id: SlotId, target: Target) -> usize {
        if !self.can_cut_off.load(Ordering::Relaxed) {
            return 0;
        }
        let mut state = self.state();
        let mut closed = 0;
        if target != Target::Players && state.publishing.remove(&slot_id) {
            closed += 1;
            let event = EngineEvent::PublisherGone(slot_id, Ended::Disconnected);
            drop(self.events.send(event));
        }
        if target != Target::Publisher && state.playing.remove(&slot_id) {
            closed += 1;
        }
        closed
    }
}

#[async_trait]
impl Engine for FakeEngine {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            can_disconnect: self.can_cut_off.load(Ordering::Relaxed),
            has_links: true,
            has_passphrase: self.can_encrypt.load(Ordering::Relaxed),
            keeps_streams: false,
        }
    }

    fn events(&self) -> broadcast::Receiver<EngineEvent> {
        self.events.subscribe()
    }

    async fn notices(&self) -> Vec<String> {
        self.state().notices.clone()
    }

    async fn health(&self) -> EngineHealth {
        if *self.mood.borrow() == Mood::Well {
            EngineHealth::Ready
        } else {
            EngineHealth::Degraded("told to".into())
        }
    }

    async fn register(&self, stream: StreamSpec) -> Result<(), EngineError> {
        self.answer().await?;
        let slot_id = stream.slot_id;
        let old = self.state().streams.insert(slot_id, stream);
        let Some(old) = old else { return Ok(()) };
        let new = self.keys(slot_id);
        let (publish, play) = (
            old.publish_key.expose_secret(),
            old.play_key.expose_secret(),
        );
        let passphrase = |stream: &StreamSpec| {
            let secret = stream.passphrase.as_ref();
            secret.map(|secret| secret.expose_secret().to_owned())
        };
        if self.state().streams.get(&slot_id).map(passphrase) != Some(passphrase(&old)) {
            self.cut(slot_id, Target::Everyone);
        }
        if new.as_ref().is_some_and(|new| new.0 != publish) {
            self.cut(slot_id, Target::Publisher);
        }
        if new.is_some_and(|new| new.1 != play) {
            self.cut(slot_id, Target::Players);
        }
        Ok(())
    }

    async fn drop_stream(&self, slot_id: SlotId) -> Result<(), EngineError> {
        self.answer().await?;
        self.state().streams.remove(&slot_id);
        self.cut(slot_id, Target::Everyone);
        Ok(())
    }

    async fn disconnect(&self, slot_id: SlotId, target: Target) -> Result<usize, EngineError> {
        self.answer().await?;
        Ok(self.cut(slot_id, target))
    }

    async fn admitted(&self) -> Result<Option<Vec<SlotId>>, EngineError> {
        self.answer().await?;
        Ok(Some(self.state().streams.keys().copied().collect()))
    }

    async fn stats(&self) -> Result<Vec<StreamStats>, EngineError> {
        self.answer().await?;
        Ok(self.state().figures.clone())
    }

    async fn counters(&self) -> Result<EngineCounters, EngineError> {
        self.answer().await.map(|()| Vec::new())
    }
}

impl Inside for FakeEngine {
    fn admits(&self, caller: &Caller) -> bool {
        let state = self.state();
        let mut streams = state.streams.values();
        streams.any(|stream| {
            let key = if caller.is_player {
                &stream.play_key
            } else {
                &stream.publish_key
            };
            key.expose_secret() == caller.key
        })
    }

    fn note_gone(&self, _: &Caller) {
        self.gone.fetch_add(1, Ordering::Relaxed);
    }

    fn lingering(&self) -> Lingering {
        *self.lingering.lock().unwrap()
    }
}
