//! What memory alone knows of sessions: which slots are live, when leases were renewed, since when grace runs.
//!
//! All durations are of the monotonic clock, so that setting the machine's clock ends no session. What this
//! memory has not heard of counts from the start of the server: after a restart every lease is fresh.
//!
//! Invariant: nothing here is needed to answer correctly after a restart.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::kernel::Clock;
use crate::kernel::ids::{RelaySessionId, SlotId};

/// The memory of one service.
#[derive(Debug)]
pub(super) struct Presence {
    clock: Clock,
    started: Duration,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    live: HashSet<SlotId>,
    renewed: HashMap<RelaySessionId, Duration>,
    /// Renewed since the last time leases were written.
    unwritten: HashSet<RelaySessionId>,
    grace_since: HashMap<RelaySessionId, Duration>,
    draining_since: HashMap<RelaySessionId, Duration>,
    /// What the newest change of a slot's media was, until its session's row says so too.
    unstored: HashMap<SlotId, MediaChange>,
}

/// Media of a slot came or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MediaChange {
    /// Whether they came.
    pub(super) is_live: bool,
    /// When, by the monotonic clock.
    pub(super) at: Duration,
}

impl Presence {
    pub(super) fn new(clock: Clock) -> Self {
        let started = clock.monotonic();
        Self {
            clock,
            started,
            inner: Mutex::default(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner
            .lock()
            .expect("nothing panics while it holds the presence")
    }

    /// Media of a slot came or went; the change waits to be stored.
    pub(super) fn note_media(&self, slot_id: SlotId, is_live: bool) {
        let at = self.clock.monotonic();
        let mut inner = self.inner();
        if is_live {
            inner.live.insert(slot_id);
        } else {
            inner.live.remove(&slot_id);
        }
        inner.unstored.insert(slot_id, MediaChange { is_live, at });
    }

    /// The change of a slot's media that waits to be stored.
    pub(super) fn unstored_media(&self, slot_id: SlotId) -> Option<MediaChange> {
        self.inner().unstored.get(&slot_id).copied()
    }

    /// The slots whose media changed and for which that is not stored.
    pub(super) fn unstored_slots(&self) -> Vec<SlotId> {
        self.inner().unstored.keys().copied().collect()
    }

    /// `change` is stored; a newer one still waits.
    pub(super) fn media_stored(&self, slot_id: SlotId, change: MediaChange) {
        let mut inner = self.inner();
        if inner.unstored.get(&slot_id) == Some(&change) {
            inner.unstored.remove(&slot_id);
        }
    }

    /// Whether media of a slot arrive.
    pub(super) fn is_live(&self, slot_id: SlotId) -> bool {
        self.inner().live.contains(&slot_id)
    }

    /// Renews a lease.
    pub(super) fn renew(&self, session_id: RelaySessionId) {
        let now = self.clock.monotonic();
        let mut inner = self.inner();
        inner.renewed.insert(session_id, now);
        inner.unwritten.insert(session_id);
    }

    /// How long ago a lease was renewed.
    pub(super) fn since_renewal(&self, session_id: RelaySessionId) -> Duration {
        let renewed = self.inner().renewed.get(&session_id).copied();
        self.clock
            .monotonic()
            .saturating_sub(renewed.unwrap_or(self.started))
    }

    /// The leases renewed since the last call.
    pub(super) fn take_unwritten(&self) -> Vec<RelaySessionId> {
        self.inner().unwritten.drain().collect()
    }

    /// Ingest of a session was lost at `at`.
    pub(super) fn begin_grace(&self, session_id: RelaySessionId, at: Duration) {
        self.inner().grace_since.insert(session_id, at);
    }

    /// How long a session in grace has waited.
    pub(super) fn in_grace_for(&self, session_id: RelaySessionId) -> Duration {
        self.in_grace_until(session_id, self.clock.monotonic())
    }

    /// How long a session in grace had waited at `at`.
    pub(super) fn in_grace_until(&self, session_id: RelaySessionId, at: Duration) -> Duration {
        let since = self.inner().grace_since.get(&session_id).copied();
        at.saturating_sub(since.unwrap_or(self.started))
    }

    /// Ingest came back, or the grace is over.
    pub(super) fn end_grace(&self, session_id: RelaySessionId) {
        self.inner().grace_since.remove(&session_id);
    }

    /// The grace of `from` goes on as that of `to`.
    pub(super) fn pass_grace_on(&self, from: RelaySessionId, to: RelaySessionId) {
        let mut inner = self.inner();
        let since = inner.grace_since.remove(&from).unwrap_or(self.started);
        inner.grace_since.insert(to, since);
    }

    /// A migration replaced a session, whose media may go on for a while.
    pub(super) fn begin_drain(&self, session_id: RelaySessionId) {
        let now = self.clock.monotonic();
        self.inner().draining_since.insert(session_id, now);
    }

    /// How long a session that was replaced has been draining.
    pub(super) fn draining_for(&self, session_id: RelaySessionId) -> Duration {
        let since = self.inner().draining_since.get(&session_id).copied();
        let since = since.unwrap_or(self.started);
        self.clock.monotonic().saturating_sub(since)
    }

    /// Forgets what is neither open nor was heard of within `recently`, and answers it. A request that
    /// raced with the end of its session leaves such traces.
    pub(super) fn prune(
        &self,
        open: &HashSet<RelaySessionId>,
        recently: Duration,
    ) -> Vec<RelaySessionId> {
        let now = self.clock.monotonic();
        let inner = self.inner();
        let stale = inner
            .renewed
            .iter()
            .filter(|(id, renewed)| !open.contains(id) && now.saturating_sub(**renewed) > recently);
        let stale: Vec<_> = stale.map(|(id, _)| *id).collect();
        drop(inner);
        for id in &stale {
            self.forget(*id);
        }
        stale
    }

    /// Forgets a session that is over.
    pub(super) fn forget(&self, session_id: RelaySessionId) {
        let mut inner = self.inner();
        inner.renewed.remove(&session_id);
        inner.unwritten.remove(&session_id);
        inner.grace_since.remove(&session_id);
        inner.draining_since.remove(&session_id);
    }
}
