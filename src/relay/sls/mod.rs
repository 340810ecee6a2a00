//! A relay node that runs OpenIRL's SLS, perhaps with a bonding receiver before it, managed over HTTP.
//!
//! ```text
//!  register, drop ─► roster ─► pairs (what must change) ─► client ─► SLS /api, within budget
//!  stats, events ◄── board ◄─ watch (what is true) ◄─ figures ◄──── SLS /stats/<id>, asked in turn
//!                      ▲
//!                      └── links ◄───────────────────────────────── receiver's statistics page
//! ```
//!
//! SLS cannot cut anybody off: when a pair is removed nobody new gets in, and whoever is connected stays until
//! he leaves. It cannot encrypt, and it tells nothing of players.
//!
//! Invariant: figures are answered from memory; what SLS has is mended in the background until it is right.

mod board;
mod budget;
mod client;
mod contact;
mod figures;
mod inside;
mod links;
mod pairs;
mod poller;
mod roster;
mod watch;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::{Notify, broadcast};
use tokio::task::JoinSet;
use url::Url;

use self::board::Board;
use self::client::Client;
use self::inside::Players;
use self::pairs::{Mark, Pair};
use self::poller::Shared;
use self::roster::Roster;
use super::engine::{
    Capabilities, Engine, EngineCounters, EngineError, EngineEvent, EngineHealth, StreamSpec,
    StreamStats, Target,
};
use crate::kernel::ids::SlotId;
use crate::kernel::secret::SecretString;

/// Events that a slow receiver may lag behind.
const EVENTS_WAITING_MAX: usize = 1024;

/// Where an SLS is and how to speak to it.
#[derive(Debug, Clone)]
pub struct SlsConfig {
    /// The base of its management API, such as `http://127.0.0.1:18080`.
    pub api_url: Url,
    /// Its API key with admin permissions.
    pub key: SecretString,
    /// The statistics page of the bonding receiver before it, such as `http://127.0.0.1:15080/stats`.
    pub link_stats_url: Option<Url>,
    /// Whose entries we add: a name of letters and digits that stays the same for this appliance. Several
    /// appliances may share an SLS when theirs differ.
    pub owner: String,
    /// Calls of the management API that it takes per minute (`rate_limit_api`).
    pub api_per_minute: u32,
    /// Questions for figures that it takes per minute (`rate_limit_stats`).
    pub stats_per_minute: u32,
    /// How long an answer may take.
    pub answer_within: Duration,
}

impl SlsConfig {
    /// With the rate limits that SLS has when its own configuration says nothing.
    #[must_use]
    pub fn new(api_url: Url, key: SecretString, owner: impl Into<String>) -> Self {
        Self {
            api_url,
            key,
            link_stats_url: None,
            owner: owner.into(),
            api_per_minute: 30,
            stats_per_minute: 300,
            answer_within: Duration::from_secs(2),
        }
    }
}

/// An engine that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make an HTTP client for the relay node")]
pub struct SlsStartError(#[from] reqwest::Error);

/// The engine of an SLS. When it is dropped, it falls silent and leaves the SLS as it is.
#[derive(Debug)]
pub struct SlsEngine {
    shared: Arc<Shared>,
    events: broadcast::Sender<EngineEvent>,
    has_links: bool,
    players: Players,
    _loops: Mutex<JoinSet<()>>,
}

impl SlsEngine {
    /// Makes it and starts looking at the SLS, which need not answer yet. No slot is registered.
    ///
    /// # Errors
    /// When the system gives no HTTP client.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(config: &SlsConfig) -> Result<Self, SlsStartError> {
        let client = Arc::new(Client::new(config, Instant::now())?);
        let (events, _) = broadcast::channel(EVENTS_WAITING_MAX);
        let board = Arc::new(Board::new(events.clone()));
        let mark = Mark::new(&config.owner);
        let shared = Arc::new(Shared {
            roster: Roster::new(Arc::clone(&client), Arc::clone(&board), mark),
            client,
            board,
            book: Mutex::default(),
            doubt: Notify::new(),
        });
        let has_links = config.link_stats_url.is_some();
        Ok(Self {
            _loops: Mutex::new(shared.start(has_links)),
            shared,
            events,
            has_links,
            players: Players::default(),
        })
    }

    /// Every slot that it shall have was registered once: entries of ours beyond them are removed from now on,
    /// and calls wait out the rate limit. Until then a registration that would have to wait fails at once,
    /// and is made good in the background.
    pub fn open(&self) {
        self.shared.roster.complete();
        self.shared.doubt.notify_one();
    }
}

#[async_trait]
impl Engine for SlsEngine {
    fn name(&self) -> &'static str {
        "sls"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            can_disconnect: false,
            has_links: self.has_links,
            has_passphrase: false,
            keeps_streams: true,
        }
    }

    fn events(&self) -> broadcast::Receiver<EngineEvent> {
        self.events.subscribe()
    }

    async fn health(&self) -> EngineHealth {
        self.shared.client.contact.health().await
    }

    async fn register(&self, stream: StreamSpec) -> Result<(), EngineError> {
        let rejected = |reason: &str| EngineError::Rejected {
            reason: reason.to_owned(),
        };
        if stream.passphrase.is_some() {
            let reason = "it cannot encrypt, and the slot has a passphrase: remove that";
            return Err(rejected(reason));
        }
        let pair = Pair::new(&stream.publish_key, &stream.play_key)
            .ok_or_else(|| rejected("it cannot carry keys with such characters"))?;
        let registered = self.shared.roster.register(stream.slot_id, pair).await;
        if matches!(registered, Err(EngineError::Unavailable)) {
            self.shared.doubt.notify_one();
        }
        registered
    }

    async fn drop_stream(&self, slot_id: SlotId) -> Result<(), EngineError> {
        let forgotten = self.shared.roster.forget(slot_id).await;
        if matches!(forgotten, Err(EngineError::Unavailable)) {
            self.shared.doubt.notify_one();
        }
        forgotten
    }

    /// Lets nobody new in until the slot is registered again; closes nothing.
    async fn disconnect(&self, slot_id: SlotId, _target: Target) -> Result<usize, EngineError> {
        self.drop_stream(slot_id).await.map(|()| 0)
    }

    async fn admitted(&self) -> Result<Option<Vec<SlotId>>, EngineError> {
        self.shared.roster.admitted().await.map(Some)
    }

    fn all_registered(&self) {
        self.open();
    }

    async fn stats(&self) -> Result<Vec<StreamStats>, EngineError> {
        let now = Instant::now();
        if self.shared.client.contact.is_lost(now) {
            return Err(EngineError::Unavailable);
        }
        Ok(self.shared.board.stats(&self.shared.book(), now))
    }

    async fn counters(&self) -> Result<EngineCounters, EngineError> {
        let calls = &self.shared.client.calls;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Ok(vec![
            ("node_calls", count(&calls.sent)),
            ("node_calls_failed", count(&calls.failed)),
            ("node_calls_limited", count(&calls.limited)),
        ])
    }
}
