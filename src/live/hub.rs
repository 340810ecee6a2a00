//! What is known of every slot now: one writer (the poller), many readers.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::broadcast;

use super::model::{Change, Machine, State};
use crate::kernel::UnixMillis;
use crate::kernel::ids::{EventId, SlotId};
use crate::relay::engine::{Ended, LinkStats, StreamStats};

/// Seconds of bitrate kept for the sparkline.
pub const HISTORY_SECONDS: usize = 300;
/// Changed slots that a slow reader may fall behind by before it must look at everything again.
const BACKLOG: usize = 256;

/// A slot as a reader sees it.
#[derive(Debug, Clone)]
pub struct SlotStatus {
    /// The state.
    pub state: State,
    /// Since when; `None` for a slot that waits for its first media.
    pub since: Option<UnixMillis>,
    /// When the broadcast that is going on began.
    pub broadcast_started_at: Option<UnixMillis>,
    /// The newest figures; `None` when nobody is connected.
    pub stats: Option<Arc<StreamStats>>,
    /// How old they are.
    pub stats_age: Duration,
    /// Media rate of each of the last seconds, oldest first; `None` where there was none.
    pub history_kbps: Vec<Option<u32>>,
}

/// Which figures of a slot are the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Revision {
    /// Grows with every change.
    pub number: u64,
    /// When they were taken; 0 for a slot of which nothing was ever heard.
    pub at: UnixMillis,
}

/// A broadcast that began or ended, to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) slot_id: SlotId,
    pub(super) change: Change,
    pub(super) broadcast: Option<EventId>,
}

#[derive(Debug)]
struct Entry {
    machine: Machine,
    since: Option<UnixMillis>,
    broadcast: Option<(EventId, UnixMillis)>,
    stats: Option<Arc<StreamStats>>,
    stats_at: Duration,
    history: VecDeque<Option<u32>>,
    revision: Revision,
}

impl Entry {
    fn at_rest(was_live_before: bool, since: Option<UnixMillis>) -> Self {
        Self {
            machine: Machine::at_rest(was_live_before),
            since,
            broadcast: None,
            stats: None,
            stats_at: Duration::ZERO,
            history: VecDeque::new(),
            revision: Revision::default(),
        }
    }

    fn changed(&mut self, at: UnixMillis) {
        self.revision.number += 1;
        self.revision.at = at;
    }
}

/// The hub. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Hub {
    entries: Arc<Mutex<HashMap<SlotId, Entry>>>,
    changed: broadcast::Sender<SlotId>,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            entries: Arc::default(),
            changed: broadcast::Sender::new(BACKLOG),
        }
    }
}

/// What was going on with a slot when the server stopped.
#[derive(Debug, Clone, Copy)]
pub(super) enum Past {
    /// Its broadcast ended.
    Ended(UnixMillis),
    /// Its broadcast was interrupted by our stop, too short a time ago to be over.
    Interrupted(EventId, UnixMillis),
}

impl Hub {
    fn entries(&self) -> MutexGuard<'_, HashMap<SlotId, Entry>> {
        self.entries
            .lock()
            .expect("nothing panics while it holds the hub")
    }

    /// Tells readers to look at a slot again.
    pub(super) fn touch(&self, slot_id: SlotId) {
        let mut entries = self.entries();
        let entry = entries
            .entry(slot_id)
            .or_insert_with(|| Entry::at_rest(false, None));
        // Its figures are as old as before; only what is shown with them is new.
        entry.revision.number += 1;
        drop(entries);
        // Nobody may be looking.
        drop(self.changed.send(slot_id));
    }

    /// Ids of slots as they change: once a second while figures flow, and at once on a change of state.
    #[must_use]
    pub(super) fn subscribe(&self) -> broadcast::Receiver<SlotId> {
        self.changed.subscribe()
    }

    /// A slot's status at the monotonic time `now`.
    #[must_use]
    pub(super) fn status(&self, slot_id: SlotId, now: Duration) -> SlotStatus {
        let entries = self.entries();
        let Some(entry) = entries.get(&slot_id) else {
            return SlotStatus {
                state: State::Waiting,
                since: None,
                broadcast_started_at: None,
                stats: None,
                stats_age: Duration::ZERO,
                history_kbps: Vec::new(),
            };
        };
        SlotStatus {
            state: entry.machine.state(),
            since: entry.since,
            broadcast_started_at: entry.broadcast.map(|(_, at)| at),
            stats: entry.stats.clone(),
            stats_age: now.saturating_sub(entry.stats_at),
            history_kbps: entry.history.iter().copied().collect(),
        }
    }

    /// A slot's state and which figures of it are the newest: much cheaper than the whole status.
    #[must_use]
    pub(super) fn state(&self, slot_id: SlotId) -> (State, Revision) {
        let entries = self.entries();
        let entry = entries.get(&slot_id);
        entry.map_or((State::Waiting, Revision::default()), |entry| {
            (entry.machine.state(), entry.revision)
        })
    }

    /// The links of a slot's publisher and the age of that knowledge; empty while the slot is not on air,
    /// also when somebody is connected who sends nothing.
    #[must_use]
    pub(super) fn links(&self, slot_id: SlotId, now: Duration) -> (Vec<LinkStats>, Duration) {
        let entries = self.entries();
        let entry = entries.get(&slot_id);
        let Some(entry) = entry.filter(|entry| entry.machine.state().is_on_air()) else {
            return (Vec::new(), Duration::ZERO);
        };
        let publisher = entry
            .stats
            .as_ref()
            .and_then(|stats| stats.publisher.as_ref());
        let links = publisher
            .map(|publisher| publisher.links.clone())
            .unwrap_or_default();
        (links, now.saturating_sub(entry.stats_at))
    }

    /// At most `limit` slots that are on air.
    #[must_use]
    pub(super) fn slots_on_air(&self, limit: usize) -> Vec<SlotId> {
        let entries = self.entries();
        let on_air = entries
            .iter()
            .filter(|(_, it)| it.machine.state().is_on_air());
        on_air.map(|(id, _)| *id).take(limit).collect()
    }

    /// How many slots are on air.
    #[must_use]
    pub(super) fn on_air(&self) -> usize {
        self.entries()
            .values()
            .filter(|entry| entry.machine.state().is_on_air())
            .count()
    }

    pub(super) fn remember(&self, slot_id: SlotId, past: Past, now: Duration) {
        let entry = match past {
            Past::Ended(at) => Entry::at_rest(true, Some(at)),
            Past::Interrupted(id, started_at) => Entry {
                machine: Machine::interrupted(now),
                broadcast: Some((id, started_at)),
                ..Entry::at_rest(true, Some(started_at))
            },
        };
        self.entries().insert(slot_id, entry);
    }

    /// Fills a slot's history from stored samples, oldest first, so that a restart leaves no hole.
    pub(super) fn recall(&self, slot_id: SlotId, history: impl Iterator<Item = Option<u32>>) {
        if let Some(entry) = self.entries().get_mut(&slot_id) {
            entry.history = history.collect();
        }
    }

    pub(super) fn media(&self, slot_id: SlotId, now: Duration, wall: UnixMillis) -> Step {
        self.step(slot_id, wall, |machine| machine.media(now))
    }

    pub(super) fn gone(
        &self,
        slot_id: SlotId,
        ended: Ended,
        now: Duration,
        wall: UnixMillis,
    ) -> Step {
        self.step(slot_id, wall, |machine| machine.gone(ended, now))
    }

    fn step(
        &self,
        slot_id: SlotId,
        wall: UnixMillis,
        advance: impl FnOnce(&mut Machine) -> Change,
    ) -> Step {
        let mut entries = self.entries();
        let entry = entries
            .entry(slot_id)
            .or_insert_with(|| Entry::at_rest(false, None));
        let change = advance(&mut entry.machine);
        let step = entry.note(slot_id, change, wall);
        if change != Change::None {
            entry.changed(wall);
            // Nobody may be listening.
            drop(self.changed.send(slot_id));
        }
        step
    }

    /// Takes one second's figures of all streams, and answers what they changed.
    pub(super) fn figures(
        &self,
        streams: Vec<StreamStats>,
        now: Duration,
        wall: UnixMillis,
    ) -> Vec<Step> {
        let mut streams: HashMap<_, _> = streams
            .into_iter()
            .map(|stream| (stream.slot_id, stream))
            .collect();
        let mut entries = self.entries();
        for slot_id in streams.keys() {
            entries
                .entry(*slot_id)
                .or_insert_with(|| Entry::at_rest(false, None));
        }
        let mut steps = Vec::new();
        for (slot_id, entry) in entries.iter_mut() {
            let change = entry.take(streams.remove(slot_id), now);
            if change != Change::None {
                steps.push(entry.note(*slot_id, change, wall));
            }
            if change != Change::None || entry.machine.state().is_on_air() || entry.stats.is_some()
            {
                entry.changed(wall);
                drop(self.changed.send(*slot_id));
            }
        }
        steps
    }
}

impl Entry {
    fn take(&mut self, stats: Option<StreamStats>, now: Duration) -> Change {
        let publisher = stats.as_ref().and_then(|stats| stats.publisher.as_ref());
        let silent = publisher.and_then(|publisher| publisher.since_last_media);
        let bitrate = publisher.map(|publisher| publisher.bitrate_1s_kbps);
        let change = self
            .machine
            .tick(silent.map(|silent| now.saturating_sub(silent)), now);
        if self.history.len() >= HISTORY_SECONDS {
            self.history.pop_front();
        }
        self.history
            .push_back(bitrate.filter(|_| self.machine.state() == State::Live));
        self.stats = stats.map(Arc::new);
        self.stats_at = now;
        change
    }

    fn note(&mut self, slot_id: SlotId, change: Change, wall: UnixMillis) -> Step {
        let broadcast = match change {
            Change::None => self.broadcast.map(|(id, _)| id),
            Change::Began => {
                let id = EventId::generate();
                self.broadcast = Some((id, wall));
                self.since = Some(wall);
                Some(id)
            }
            Change::Returned | Change::Stalled => {
                self.since = Some(wall);
                self.broadcast.map(|(id, _)| id)
            }
            Change::Ended => {
                self.since = Some(wall);
                self.broadcast.take().map(|(id, _)| id)
            }
        };
        Step {
            slot_id,
            change,
            broadcast,
        }
    }
}
