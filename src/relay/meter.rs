//! Seconds of ingest that are counted but not written yet.
//!
//! A second is *waiting*, then *in flight* while a transaction writes it, then gone; when the transaction
//! comes to nothing it waits again. So none is lost or written twice, whoever else settles meanwhile.
//!
//! Invariant: what [`Meter::shown`] answers for a session never decreases; what [`Meter::waiting_since`] answers
//! is neither in the store nor on its way there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::kernel::UnixMillis;
use crate::kernel::ids::{RelaySessionId, SlotId};

/// A pause between two seconds that begins a new stretch, so that usage is split at the right boundary.
const PAUSE: Duration = Duration::from_secs(2);

/// Seconds without a pause between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    /// When the last second ended.
    pub(super) ended_at: UnixMillis,
    /// How many.
    pub(super) seconds: u64,
}

/// The counted seconds of all slots. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Meter(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    waiting: HashMap<SlotId, Vec<Stretch>>,
    /// How many transactions write seconds of a slot now.
    in_flight: HashMap<SlotId, u32>,
    /// How often seconds were taken or landed.
    moves: u64,
    shown: HashMap<RelaySessionId, u64>,
}

impl Meter {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0
            .lock()
            .expect("nothing panics while it holds the meter")
    }

    /// Counts `seconds` that ended at `ended_at`.
    pub(super) fn add(&self, slot_id: SlotId, seconds: u64, ended_at: UnixMillis) {
        let mut inner = self.inner();
        let stretches = inner.waiting.entry(slot_id).or_default();
        if let Some(last) = stretches.last_mut() {
            let began_at = ended_at - Duration::from_secs(seconds);
            let is_set_back = ended_at < last.ended_at;
            if !is_set_back && began_at.since(last.ended_at) <= PAUSE {
                last.seconds += seconds;
                last.ended_at = ended_at;
                return;
            }
        }
        stretches.push(Stretch { ended_at, seconds });
    }

    /// The slots that have seconds waiting.
    pub(super) fn slots(&self) -> Vec<SlotId> {
        self.inner().waiting.keys().copied().collect()
    }

    /// Takes the waiting seconds of a slot to write them.
    pub(super) fn take(&self, slot_id: SlotId) -> Option<InFlight> {
        let mut inner = self.inner();
        let stretches = inner.waiting.remove(&slot_id)?;
        *inner.in_flight.entry(slot_id).or_default() += 1;
        inner.moves += 1;
        drop(inner);
        Some(InFlight {
            meter: self.clone(),
            slot_id,
            stretches,
        })
    }

    /// A mark of what is in the store now, for [`Self::waiting_since`]; take it before the store is read.
    pub(super) fn mark(&self) -> Mark {
        Mark(self.inner().moves)
    }

    /// The waiting seconds of `slots`, when the store has not got any since `mark` and none are on their way;
    /// else what was read of the store may have them too.
    pub(super) fn waiting_since(
        &self,
        mark: Mark,
        slots: impl Iterator<Item = SlotId>,
    ) -> Option<Vec<Stretch>> {
        let inner = self.inner();
        if inner.moves != mark.0 {
            return None;
        }
        let mut stretches = Vec::new();
        for slot_id in slots {
            if inner.in_flight.contains_key(&slot_id) {
                return None;
            }
            stretches.extend(inner.waiting.get(&slot_id).into_iter().flatten().copied());
        }
        Some(stretches)
    }

    /// What to show for a session of which `written` seconds are in the store.
    pub(super) fn shown(&self, session_id: RelaySessionId, slot_id: SlotId, written: u64) -> u64 {
        let mut inner = self.inner();
        let waiting: u64 = inner
            .waiting
            .get(&slot_id)
            .map_or(0, |stretches| stretches.iter().map(|s| s.seconds).sum());
        // A second in flight is in neither; it was shown before.
        let before = inner.shown.get(&session_id).copied().unwrap_or(0);
        let shown = before.max(written + waiting);
        if shown > before {
            inner.shown.insert(session_id, shown);
        }
        shown
    }

    /// Forgets a session that is over.
    pub(super) fn forget(&self, session_id: RelaySessionId) {
        self.inner().shown.remove(&session_id);
    }
}

/// See [`Meter::mark`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark(u64);

/// Seconds that a transaction writes. Dropped without [`InFlight::written`], they wait again.
#[derive(Debug)]
pub(super) struct InFlight {
    meter: Meter,
    slot_id: SlotId,
    stretches: Vec<Stretch>,
}

impl InFlight {
    pub(super) fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// The transaction committed.
    pub(super) fn written(mut self) {
        self.stretches.clear();
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut inner = self.meter.inner();
        if let Some(flights) = inner.in_flight.get_mut(&self.slot_id) {
            *flights -= 1;
            if *flights == 0 {
                inner.in_flight.remove(&self.slot_id);
            }
        }
        inner.moves += 1;
        if self.stretches.is_empty() {
            return;
        }
        let waiting = inner.waiting.entry(self.slot_id).or_default();
        let newer = std::mem::replace(waiting, std::mem::take(&mut self.stretches));
        waiting.extend(newer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(in_flight: &InFlight) -> u64 {
        in_flight.stretches().iter().map(|s| s.seconds).sum()
    }

    #[test]
    fn seconds_that_were_not_written_wait_again_and_are_taken_once() {
        let (meter, slot) = (Meter::default(), SlotId::generate());
        meter.add(slot, 1, UnixMillis(1_000));
        let first = meter.take(slot).unwrap();
        assert!(meter.take(slot).is_none());
        meter.add(slot, 1, UnixMillis(2_000));
        drop(first);
        let second = meter.take(slot).unwrap();
        assert_eq!(total(&second), 2);
        second.written();
        assert!(meter.take(slot).is_none());
    }

    #[test]
    fn what_waits_is_told_only_while_the_store_stands_still() {
        let (meter, slot) = (Meter::default(), SlotId::generate());
        meter.add(slot, 2, UnixMillis(2_000));
        let waiting = |mark| {
            let stretches = meter.waiting_since(mark, [slot].into_iter())?;
            Some(stretches.iter().map(|it| it.seconds).sum::<u64>())
        };
        let before = meter.mark();
        assert_eq!(waiting(before), Some(2));
        let in_flight = meter.take(slot).unwrap();
        assert_eq!(waiting(before), None);
        assert_eq!(waiting(meter.mark()), None, "on their way");
        let during = meter.mark();
        in_flight.written();
        assert_eq!(waiting(during), None, "landed meanwhile");
        assert_eq!(waiting(meter.mark()), Some(0));
    }

    #[test]
    fn a_pause_or_a_clock_set_back_begins_a_new_stretch() {
        let (meter, slot) = (Meter::default(), SlotId::generate());
        for end in [1_000, 2_000, 60_000, 5_000] {
            meter.add(slot, 1, UnixMillis(end));
        }
        let taken = meter.take(slot).unwrap();
        let seconds: Vec<_> = taken.stretches().iter().map(|s| s.seconds).collect();
        assert_eq!(seconds, [2, 1, 1]);
    }

    #[test]
    fn what_is_shown_does_not_dip_while_seconds_are_in_flight() {
        let (meter, slot) = (Meter::default(), SlotId::generate());
        let session = RelaySessionId::generate();
        meter.add(slot, 3, UnixMillis(3_000));
        assert_eq!(meter.shown(session, slot, 0), 3);
        let in_flight = meter.take(slot).unwrap();
        assert_eq!(meter.shown(session, slot, 0), 3);
        in_flight.written();
        assert_eq!(meter.shown(session, slot, 3), 3);
    }
}
