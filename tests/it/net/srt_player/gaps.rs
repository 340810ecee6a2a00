//! Which packets of a stream have come and which are missing.
//!
//! Invariant: offsets count from the first packet of the connection and never wrap; a
//! packet is awaited, has come, or was given up, and changes from the first only.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::net::srt_wire;

/// A jump farther than this is not a loss; the packet is taken as one that came before.
const JUMP_MAX: i32 = 65_536;
/// The least pause between two requests for one packet.
const ASK_PAUSE: Duration = Duration::from_millis(20);

/// Where a packet belongs.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It is new. `lost` are the sequence numbers it shows to be missing, ends included.
    New {
        offset: u64,
        lost: Option<(u32, u32)>,
    },
    /// It came before, or was given up, or is from nowhere.
    Repeated,
}

#[derive(Debug)]
struct Awaited {
    since: Instant,
    asked_at: Instant,
}

#[derive(Debug)]
pub(super) struct Gaps {
    first_sequence: u32,
    patience: Duration,
    /// The offset after the highest that came.
    next: u64,
    awaited: BTreeMap<u64, Awaited>,
    /// Packets that will not come any more.
    pub(super) given_up: u64,
}

impl Gaps {
    pub(super) fn new(first_sequence: u32, patience: Duration) -> Self {
        Self {
            first_sequence,
            patience,
            next: 0,
            awaited: BTreeMap::new(),
            given_up: 0,
        }
    }

    /// Takes a packet in.
    pub(super) fn take(&mut self, now: Instant, sequence: u32) -> Place {
        let ahead = srt_wire::distance(self.sequence(self.next), sequence);
        let Some(offset) = self.next.checked_add_signed(ahead.into()) else {
            return Place::Repeated;
        };
        if ahead > JUMP_MAX {
            return Place::Repeated;
        }
        if ahead < 0 {
            let was_awaited = self.awaited.remove(&offset).is_some();
            let new = Place::New { offset, lost: None };
            return if was_awaited { new } else { Place::Repeated };
        }
        let lost =
            (offset > self.next).then(|| (self.sequence(self.next), self.sequence(offset - 1)));
        for missing in self.next..offset {
            self.awaited.insert(
                missing,
                Awaited {
                    since: now,
                    asked_at: now,
                },
            );
        }
        self.next = offset + 1;
        Place::New { offset, lost }
    }

    /// Gives up packets the sender has called off, ends included.
    pub(super) fn call_off(&mut self, first: u32, last: u32) {
        let base = self.sequence(self.next);
        let offset = |sequence| {
            let ahead = srt_wire::distance(base, sequence);
            self.next.checked_add_signed(ahead.into())
        };
        let (Some(first), Some(last)) = (offset(first), offset(last)) else {
            return;
        };
        if last < first || last > self.next + u64::from(JUMP_MAX.unsigned_abs()) {
            return;
        }
        let before = self.awaited.len();
        self.awaited
            .retain(|offset, _| !(first..=last).contains(offset));
        self.given_up += count(before - self.awaited.len());
        if last >= self.next {
            // Those before the range that never came are lost with it.
            self.given_up += last + 1 - self.next;
            self.next = last + 1;
        }
    }

    /// Gives up what is too late and gives the ranges to ask for again.
    pub(super) fn overdue(&mut self, now: Instant, round_trip: Duration) -> Vec<(u32, u32)> {
        let before = self.awaited.len();
        let patience = self.patience;
        self.awaited
            .retain(|_, awaited| now - awaited.since <= patience);
        self.given_up += count(before - self.awaited.len());
        let pause = round_trip + ASK_PAUSE;
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for (offset, awaited) in &mut self.awaited {
            if now - awaited.asked_at < pause {
                continue;
            }
            awaited.asked_at = now;
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == *offset => *last = *offset,
                _ => ranges.push((*offset, *offset)),
            }
        }
        let sequences = |(first, last)| (self.sequence(first), self.sequence(last));
        ranges.into_iter().map(sequences).collect()
    }

    /// The offset of the first packet that is still awaited.
    pub(super) fn complete(&self) -> u64 {
        self.awaited.keys().next().copied().unwrap_or(self.next)
    }

    /// How many packets are awaited.
    pub(super) fn awaited(&self) -> u64 {
        count(self.awaited.len())
    }

    /// The sequence number at an offset.
    pub(super) fn sequence(&self, offset: u64) -> u32 {
        let steps = u32::try_from(offset & 0x7FFF_FFFF).expect("31 bits are left");
        srt_wire::after(self.first_sequence, steps)
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).expect("a length has at most 64 bits")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(200);
    /// Near the end of the circle, so that every test crosses it.
    const FIRST: u32 = 0x7FFF_FFFE;

    fn sequence(offset: u32) -> u32 {
        srt_wire::after(FIRST, offset)
    }

    #[test]
    fn a_gap_is_reported_filled_and_complete() {
        let (mut gaps, now) = (Gaps::new(FIRST, PATIENCE), Instant::now());
        assert_eq!(
            gaps.take(now, sequence(0)),
            Place::New {
                offset: 0,
                lost: None
            }
        );
        let lost = Some((sequence(1), sequence(3)));
        assert_eq!(gaps.take(now, sequence(4)), Place::New { offset: 4, lost });
        assert_eq!((gaps.complete(), gaps.awaited()), (1, 3));
        assert_eq!(
            gaps.take(now, sequence(2)),
            Place::New {
                offset: 2,
                lost: None
            }
        );
        assert_eq!(gaps.take(now, sequence(2)), Place::Repeated);
        let later = now + Duration::from_millis(100);
        let overdue = gaps.overdue(later, Duration::from_millis(10));
        assert_eq!(
            overdue,
            vec![(sequence(1), sequence(1)), (sequence(3), sequence(3))]
        );
        gaps.take(later, sequence(1));
        gaps.take(later, sequence(3));
        assert_eq!((gaps.complete(), gaps.given_up), (5, 0));
    }

    #[test]
    fn what_is_too_late_is_given_up_once() {
        let (mut gaps, now) = (Gaps::new(FIRST, PATIENCE), Instant::now());
        gaps.take(now, sequence(2));
        let late = now + PATIENCE + Duration::from_millis(1);
        assert!(gaps.overdue(late, Duration::ZERO).is_empty());
        assert_eq!((gaps.given_up, gaps.complete()), (2, 3));
        assert_eq!(gaps.take(late, sequence(1)), Place::Repeated);
    }

    #[test]
    fn packets_called_off_are_given_up_at_once() {
        let (mut gaps, now) = (Gaps::new(FIRST, PATIENCE), Instant::now());
        gaps.take(now, sequence(0));
        gaps.take(now, sequence(3));
        gaps.call_off(sequence(1), sequence(5));
        assert_eq!((gaps.given_up, gaps.awaited(), gaps.complete()), (4, 0, 6));
    }

    proptest! {
        #[test]
        fn every_packet_is_taken_exactly_once_in_any_order(
            offsets in proptest::collection::vec(0_u32..60, 1..200),
        ) {
            let (mut gaps, now) = (Gaps::new(FIRST, PATIENCE), Instant::now());
            let mut taken = BTreeSet::new();
            for offset in offsets {
                let is_new = gaps.take(now, sequence(offset)) != Place::Repeated;
                prop_assert_eq!(is_new, taken.insert(offset));
            }
            let highest = taken.last().map_or(0, |last| last + 1);
            prop_assert_eq!(gaps.awaited() + count(taken.len()), u64::from(highest));
        }

        #[test]
        fn no_sequence_of_packets_makes_it_panic(
            steps in proptest::collection::vec((any::<u32>(), any::<u32>(), any::<bool>()), 0..50),
        ) {
            let (mut gaps, now) = (Gaps::new(FIRST, PATIENCE), Instant::now());
            for (first, last, is_data) in steps {
                if is_data {
                    gaps.take(now, first & 0x7FFF_FFFF);
                } else {
                    gaps.call_off(first & 0x7FFF_FFFF, last & 0x7FFF_FFFF);
                }
            }
            prop_assert!(gaps.complete() <= gaps.next);
        }
    }
}
