//! Every stream under watch: whom to ask about next, and what the answers come to.
//!
//! A pair that is removed leaves its publisher connected, and SLS still answers for the publish key while it
//! is: so a publisher is followed to his end, also when his keys are no longer good.
//!
//! Invariant: a slot's publisher is told gone only when nobody publishes on any key that it had.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::broadcast;

use super::figures::Reading;
use super::links::{Candidate, LinkBook};
use super::pairs::Pair;
use super::watch::{Happened, Watch};
use crate::kernel::ids::SlotId;
use crate::relay::engine::{EngineEvent, StreamStats, Traffic};

/// Nobody is asked about more often: SLS renews its figures once a second.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// The part of the budget that live streams may take.
const LIVE_PART: f64 = 0.8;
/// Links are looked for among streams whose media are no older.
const FRESH: Duration = Duration::from_secs(5);

/// A question for SLS.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Question {
    slot_id: SlotId,
    publisher: String,
    /// The play key, or the publish key of somebody whose pair is gone.
    pub(super) id: String,
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question")
            .field("slot_id", &self.slot_id)
            .finish_non_exhaustive()
    }
}

/// The streams.
#[derive(Debug)]
pub(super) struct Board {
    slots: Mutex<HashMap<SlotId, Tracked>>,
    events: broadcast::Sender<EngineEvent>,
}

#[derive(Debug, Default)]
struct Tracked {
    /// With the slot's present keys.
    current: Option<Followed>,
    /// With keys that it had.
    lingering: Vec<Followed>,
    /// Media of those who are gone.
    ended: Traffic,
}

#[derive(Debug)]
struct Followed {
    pair: Pair,
    watch: Watch,
    asked_at: Option<Instant>,
    is_unlisted: bool,
}

impl Board {
    pub(super) fn new(events: broadcast::Sender<EngineEvent>) -> Self {
        Self {
            slots: Mutex::default(),
            events,
        }
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<SlotId, Tracked>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pair that SLS has for a slot from now on.
    pub(super) fn follow(&self, slot_id: SlotId, pair: Option<&Pair>) {
        let mut slots = self.slots();
        let tracked = slots.entry(slot_id).or_default();
        tracked.follow(pair);
        if tracked.is_over() {
            slots.remove(&slot_id);
        }
    }

    /// Whom to ask about now when `per_second` questions can be kept up, longest waiting first.
    pub(super) fn due(&self, per_second: f64, now: Instant) -> Vec<Question> {
        let mut slots = self.slots();
        let all = || slots.values().flat_map(Tracked::everyone);
        let live = all()
            .filter(|followed| followed.watch.is_connected())
            .count();
        let (live_pause, idle_pause) = pauses(live, all().count() - live, per_second);
        let mut due = Vec::new();
        for (slot_id, tracked) in slots.iter_mut() {
            for followed in tracked.everyone_mut() {
                let pause = if followed.watch.is_connected() {
                    live_pause
                } else {
                    idle_pause
                };
                let waited = followed
                    .asked_at
                    .map(|at| now.saturating_duration_since(at));
                if waited.is_none_or(|waited| waited >= pause) {
                    followed.asked_at = Some(now);
                    due.push((waited, followed.question(*slot_id)));
                }
            }
        }
        due.sort_by_key(|(waited, _)| std::cmp::Reverse(waited.unwrap_or(Duration::MAX)));
        due.into_iter().map(|(_, question)| question).collect()
    }

    /// Takes an answer. Answers whether SLS lost a pair that it should have.
    pub(super) fn take(&self, question: &Question, reading: &Reading, now: Instant) -> bool {
        let mut slots = self.slots();
        let Some(tracked) = slots.get_mut(&question.slot_id) else {
            return false;
        };
        let Some(followed) = tracked.followed(&question.publisher) else {
            return false;
        };
        let is_lost = *reading == Reading::Unknown && !followed.is_unlisted;
        if is_lost && followed.watch.is_connected() {
            // He may well publish on: only his publish key tells.
            followed.is_unlisted = true;
            followed.asked_at = None;
            return true;
        }
        let happened = followed.watch.take(reading, now);
        if !followed.watch.is_connected() {
            followed.is_unlisted = false;
        }
        let is_replaced = followed.watch.is_connected();
        let is_somebody_else_left = tracked.publishing().is_some() && !is_replaced;
        tracked.leave_ended();
        if tracked.is_over() {
            slots.remove(&question.slot_id);
        }
        drop(slots);
        for happened in happened {
            let event = match happened {
                Happened::MediaStarted => EngineEvent::MediaStarted(question.slot_id),
                Happened::Gone(_) if is_somebody_else_left => continue,
                Happened::Gone(ended) => EngineEvent::PublisherGone(question.slot_id, ended),
            };
            // Nobody may be listening.
            drop(self.events.send(event));
        }
        is_lost
    }

    /// SLS did not answer: perhaps its process ended, and everybody's connection with it.
    pub(super) fn interrupt(&self) {
        for tracked in self.slots().values_mut() {
            for followed in tracked.everyone_mut() {
                followed.watch.interrupt();
            }
        }
    }

    /// How many publish with keys that are no longer good, and whether anybody does with one that is.
    pub(super) fn lingering(&self) -> (usize, bool) {
        let slots = self.slots();
        let is_there = |followed: &&Followed| followed.watch.is_connected();
        let lingering = |tracked: &Tracked| tracked.lingering.iter().filter(is_there).count();
        let is_live = |tracked: &Tracked| tracked.current.as_ref().is_some_and(|it| is_there(&it));
        (
            slots.values().map(lingering).sum(),
            slots.values().any(is_live),
        )
    }

    /// Finds out whose links are whose.
    pub(super) fn join(&self, book: &mut LinkBook, now: Instant) {
        let slots = self.slots();
        let live: Vec<_> = slots
            .iter()
            .filter_map(|(slot_id, tracked)| {
                let followed = tracked.publishing()?;
                let publisher = followed.watch.publisher(now)?;
                let is_fresh = publisher.since_last_media? < FRESH;
                is_fresh.then(|| Candidate {
                    slot_id: *slot_id,
                    publish_key: followed.pair.publisher(),
                    bitrate_kbps: publisher.bitrate_1s_kbps,
                })
            })
            .collect();
        book.join(&live);
    }

    /// Figures of every stream that has a publisher.
    pub(super) fn stats(&self, book: &LinkBook, now: Instant) -> Vec<StreamStats> {
        let slots = self.slots();
        let stream = |(slot_id, tracked): (&SlotId, &Tracked)| {
            let mut publisher = tracked.publishing()?.watch.publisher(now)?;
            publisher.links = book.links(*slot_id, now);
            publisher.is_bonded |= !publisher.links.is_empty();
            Some(StreamStats {
                slot_id: *slot_id,
                publisher: Some(publisher),
                players: Vec::new(),
                received: tracked.received(),
                sent: Traffic::default(),
            })
        };
        slots.iter().filter_map(stream).collect()
    }
}

/// How often live and idle streams are asked about, so that both together keep within the budget.
fn pauses(live: usize, idle: usize, per_second: f64) -> (Duration, Duration) {
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let pause = |count: f64, per_second: f64| {
        let seconds = Duration::try_from_secs_f64(count / per_second).unwrap_or(Duration::MAX);
        seconds.max(ASK_EVERY)
    };
    let per_second = per_second.max(0.01);
    let live_pause = pause(number(live), per_second * LIVE_PART);
    let left = per_second - number(live) / live_pause.as_secs_f64();
    (live_pause, pause(number(idle), left.max(0.01)))
}

impl Tracked {
    fn follow(&mut self, pair: Option<&Pair>) {
        let Some(pair) = pair else {
            if let Some(old) = self.current.take() {
                self.linger(old);
            }
            return;
        };
        match &mut self.current {
            Some(current) if current.pair.publisher() == pair.publisher() => {
                current.pair = pair.clone();
            }
            current => {
                let new = Followed::new(pair);
                if let Some(old) = current.replace(new) {
                    self.linger(old);
                }
            }
        }
    }

    fn linger(&mut self, mut old: Followed) {
        if old.watch.is_connected() {
            old.is_unlisted = true;
            old.asked_at = None;
            self.lingering.push(old);
        } else {
            self.ended = self.ended + old.watch.received();
        }
    }

    fn leave_ended(&mut self) {
        let (still, ended): (Vec<_>, Vec<_>) = self
            .lingering
            .drain(..)
            .partition(|followed| followed.watch.is_connected());
        self.lingering = still;
        for followed in ended {
            self.ended = self.ended + followed.watch.received();
        }
    }

    fn is_over(&self) -> bool {
        self.current.is_none() && self.lingering.is_empty()
    }

    fn everyone(&self) -> impl Iterator<Item = &Followed> {
        self.current.iter().chain(&self.lingering)
    }

    fn everyone_mut(&mut self) -> impl Iterator<Item = &mut Followed> {
        self.current.iter_mut().chain(&mut self.lingering)
    }

    fn followed(&mut self, publisher: &str) -> Option<&mut Followed> {
        self.everyone_mut()
            .find(|followed| followed.pair.publisher() == publisher)
    }

    /// Who publishes, if anybody does.
    fn publishing(&self) -> Option<&Followed> {
        self.everyone()
            .find(|followed| followed.watch.is_connected())
    }

    fn received(&self) -> Traffic {
        self.everyone()
            .fold(self.ended, |sum, followed| sum + followed.watch.received())
    }
}

impl Followed {
    fn new(pair: &Pair) -> Self {
        Self {
            pair: pair.clone(),
            watch: Watch::default(),
            asked_at: None,
            is_unlisted: false,
        }
    }

    fn question(&self, slot_id: SlotId) -> Question {
        let id = if self.is_unlisted {
            self.pair.publisher()
        } else {
            self.pair.player()
        };
        Question {
            slot_id,
            publisher: self.pair.publisher().to_owned(),
            id: id.to_owned(),
        }
    }
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
