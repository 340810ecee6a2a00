//! The packets that are missing and worth waiting for, as ranges of indexes.
//!
//! Invariant: ranges do not overlap and none is empty; every operation is logarithmic but [`LossList::due`]
//! and those that touch many ranges anyway.

use std::collections::BTreeMap;

use crate::relay::embedded::time::Micros;

/// The most ranges in one loss report, so that it fits in one datagram.
const REPORT_RANGES_MAX: usize = 160;

#[derive(Debug, Clone, Copy)]
struct Loss {
    last: u64,
    found: Micros,
    next_report: Micros,
}

/// How often a missing packet is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReportPacing {
    /// Time between two reports of one packet.
    pub(super) interval: Micros,
    /// Shorter time when the end is near.
    pub(super) final_interval: Micros,
    /// How long before the end "near" begins.
    pub(super) final_span: Micros,
    /// How long a missing packet is of use.
    pub(super) latency: Micros,
}

/// What is missing.
#[derive(Debug, Default)]
pub(super) struct LossList {
    ranges: BTreeMap<u64, Loss>,
    /// No report is due before this; may be too early, never too late.
    earliest: Option<Micros>,
}

impl LossList {
    /// Notes that `first..=last` are missing; they are reported after `hold`.
    pub(super) fn add(&mut self, first: u64, last: u64, now: Micros, hold: Micros) {
        let next_report = now + hold;
        self.ranges.insert(
            first,
            Loss {
                last,
                found: now,
                next_report,
            },
        );
        self.earliest = Some(
            self.earliest
                .map_or(next_report, |time| time.min(next_report)),
        );
    }

    /// Takes a packet out that has come; answers when it was found missing.
    pub(super) fn remove(&mut self, index: u64) -> Option<Micros> {
        let (&first, &loss) = self.ranges.range(..=index).next_back()?;
        if loss.last < index {
            return None;
        }
        self.cut(first, loss, index, index);
        Some(loss.found)
    }

    /// Takes `first..=last` out; answers how many of them were missing.
    pub(super) fn remove_range(&mut self, first: u64, last: u64) -> u64 {
        let mut removed = 0;
        while let Some((&start, &loss)) = self.ranges.range(..=last).next_back() {
            if loss.last < first {
                break;
            }
            let (from, to) = (first.max(start), last.min(loss.last));
            removed += to - from + 1;
            self.cut(start, loss, from, to);
        }
        removed
    }

    fn cut(&mut self, start: u64, loss: Loss, from: u64, to: u64) {
        self.ranges.remove(&start);
        if start < from {
            self.ranges.insert(
                start,
                Loss {
                    last: from - 1,
                    ..loss
                },
            );
        }
        if to < loss.last {
            self.ranges.insert(to + 1, loss);
        }
    }

    /// The first packet that is missing.
    pub(super) fn first(&self) -> Option<u64> {
        self.ranges.keys().next().copied()
    }

    /// When the oldest gap was found.
    pub(super) fn first_found(&self) -> Option<Micros> {
        self.ranges.values().next().map(|loss| loss.found)
    }

    /// When [`LossList::due`] should be asked again.
    pub(super) fn next_deadline(&self) -> Micros {
        match self.earliest {
            Some(time) if !self.ranges.is_empty() => time,
            _ => Micros::MAX,
        }
    }

    /// The ranges to report now; as many as fit in one report.
    pub(super) fn due(&mut self, now: Micros, pacing: ReportPacing) -> Vec<(u64, u64)> {
        if self.next_deadline() > now {
            return Vec::new();
        }
        let mut report = Vec::new();
        let mut earliest = Micros::MAX;
        for (&first, loss) in &mut self.ranges {
            if loss.next_report <= now && report.len() < REPORT_RANGES_MAX {
                report.push((first, loss.last));
                let left = loss.found + pacing.latency - now;
                let is_final = left < pacing.final_span;
                let interval = if is_final {
                    pacing.final_interval
                } else {
                    pacing.interval
                };
                loss.next_report = now + interval;
            }
            earliest = earliest.min(loss.next_report);
        }
        self.earliest = Some(earliest);
        report
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const PACING: ReportPacing = ReportPacing {
        interval: Micros::from_millis(40),
        final_interval: Micros::from_millis(20),
        final_span: Micros::from_millis(100),
        latency: Micros::from_millis(1000),
    };

    #[test]
    fn a_gap_is_reported_after_its_hold_and_again_after_the_interval() {
        let mut losses = LossList::default();
        losses.add(5, 9, Micros::ZERO, Micros::from_millis(10));
        assert!(losses.due(Micros::from_millis(9), PACING).is_empty());
        assert_eq!(losses.due(Micros::from_millis(10), PACING), [(5, 9)]);
        assert!(losses.due(Micros::from_millis(49), PACING).is_empty());
        assert!(losses.remove(7).is_some());
        assert_eq!(
            losses.due(Micros::from_millis(50), PACING),
            [(5, 6), (8, 9)]
        );
    }

    #[test]
    fn what_does_not_fit_in_one_report_is_due_at_once() {
        let mut losses = LossList::default();
        for gap in 0..200 {
            losses.add(gap * 2, gap * 2, Micros::ZERO, Micros::ZERO);
        }
        assert_eq!(losses.due(Micros::ZERO, PACING).len(), REPORT_RANGES_MAX);
        assert_eq!(
            losses.due(Micros::ZERO, PACING).len(),
            200 - REPORT_RANGES_MAX
        );
        assert_eq!(losses.next_deadline(), Micros::from_millis(40));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Remove(u64),
        RemoveRange(u64, u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0u64..120).prop_map(Step::Remove),
            (0u64..120, 0u64..30).prop_map(|(first, span)| Step::RemoveRange(first, first + span)),
        ]
    }

    proptest! {
        #[test]
        fn the_list_is_the_set_of_what_is_missing(steps in proptest::collection::vec(step(), 0..60)) {
            let mut losses = LossList::default();
            let mut model = BTreeSet::new();
            for first in [10, 40, 41, 80] {
                let last = if first == 40 { 40 } else { first + 19 };
                losses.add(first, last, Micros::ZERO, Micros::ZERO);
                model.extend(first..=last);
            }
            for step in steps {
                match step {
                    Step::Remove(index) => {
                        prop_assert_eq!(losses.remove(index).is_some(), model.remove(&index));
                    }
                    Step::RemoveRange(first, last) => {
                        let before = model.len();
                        model.retain(|index| *index < first || *index > last);
                        prop_assert_eq!(losses.remove_range(first, last), (before - model.len()) as u64);
                    }
                }
                prop_assert_eq!(losses.first(), model.first().copied());
            }
            let listed: BTreeSet<u64> =
                losses.due(Micros::ZERO, PACING).into_iter().flat_map(|(first, last)| first..=last).collect();
            prop_assert_eq!(listed, model);
        }
    }
}
