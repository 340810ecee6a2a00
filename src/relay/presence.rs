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

    /// Media of a slot arrive.
    pub(super) fn set_live(&self, slot_id: SlotId) {
        self.inner().live.insert(slot_id);
    }

    /// Media of a slot are gone; answers whether they arrived before.
    pub(super) fn set_offline(&self, slot_id: SlotId) -> bool {
        self.inner().live.remove(&slot_id)
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

    /// Ingest of a session was lost now.
    pub(super) fn begin_grace(&self, session_id: RelaySessionId) {
        let now = self.clock.monotonic();
        self.inner().grace_since.insert(session_id, now);
    }

    /// How long a session in grace has waited.
    pub(super) fn in_grace_for(&self, session_id: RelaySessionId) -> Duration {
        let since = self.inner().grace_since.get(&session_id).copied();
        self.clock
            .monotonic()
            .saturating_sub(since.unwrap_or(self.started))
    }

    /// Ingest came back, or the grace is over.
    pub(super) fn end_grace(&self, session_id: RelaySessionId) {
        self.inner().grace_since.remove(&session_id);
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
    }
}
