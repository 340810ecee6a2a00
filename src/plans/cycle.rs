//! Billing cycles: calendar months counted from an anchor.
//!
//! A cycle is computed, never stored as "current": a roll-over that was missed or ran twice bills nothing twice.
//!
//! Invariant: cycles of one anchor touch, never overlap, and never drift (31 January is followed by
//! 28 February and then 31 March).

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use crate::kernel::UnixMillis;

/// One billing cycle, `start` included and `end` not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cycle {
    /// Its first moment.
    pub start: UnixMillis,
    /// The first moment of the next.
    pub end: UnixMillis,
}

impl Cycle {
    /// The cycle of `anchor` that holds `at`, which may lie before the anchor (a clock set back).
    #[must_use]
    pub fn containing(anchor: UnixMillis, at: UnixMillis) -> Self {
        let (anchor, at) = (civil(anchor), civil(at));
        let mut months = months_between(anchor, at);
        if nth(anchor, months) > at {
            months -= 1;
        }
        Self {
            start: millis(nth(anchor, months)),
            end: millis(nth(anchor, months + 1)),
        }
    }
}

/// Splits the `seconds` that ended at `ended_at` where cycles of `anchor` end. A second that lies across a
/// boundary belongs to the earlier cycle; the parts add up to `seconds`.
pub fn split(
    anchor: UnixMillis,
    ended_at: UnixMillis,
    seconds: u64,
) -> impl Iterator<Item = (Cycle, u64)> {
    let mut from = ended_at - Duration::from_secs(seconds);
    let mut left = seconds;
    std::iter::from_fn(move || {
        if left == 0 {
            return None;
        }
        let cycle = Cycle::containing(anchor, from);
        let until_boundary = u64::try_from(cycle.end.since(from).as_millis()).unwrap_or(u64::MAX);
        let part = left.min(until_boundary.div_ceil(1000)).max(1);
        from = from + Duration::from_secs(part);
        left -= part;
        Some((cycle, part))
    })
}

fn civil(at: UnixMillis) -> DateTime {
    let timestamp = Timestamp::from_millisecond(at.0).unwrap_or_default();
    TimeZone::UTC.to_datetime(timestamp)
}

fn millis(at: DateTime) -> UnixMillis {
    let timestamp = TimeZone::UTC.to_timestamp(at).unwrap_or_default();
    UnixMillis(timestamp.as_millisecond())
}

fn months_between(from: DateTime, to: DateTime) -> i32 {
    let years = i32::from(to.year()) - i32::from(from.year());
    years * 12 + i32::from(to.month()) - i32::from(from.month())
}

fn nth(anchor: DateTime, months: i32) -> DateTime {
    // Out of the calendar (year 9999) only by a damaged row; the anchor itself is then as good as any.
    Span::new()
        .try_months(months)
        .and_then(|span| anchor.checked_add(span))
        .unwrap_or(anchor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> UnixMillis {
        UnixMillis(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn the_day_of_the_anchor_is_kept_where_the_month_has_it() {
        let anchor = at("2026-01-31T10:00:00Z");
        let february = Cycle::containing(anchor, at("2026-03-01T00:00:00Z"));
        assert_eq!(february.start, at("2026-02-28T10:00:00Z"));
        assert_eq!(february.end, at("2026-03-31T10:00:00Z"));
    }

    #[test]
    fn a_moment_before_the_anchor_has_a_cycle_too() {
        let cycle = Cycle::containing(at("2026-05-10T00:00:00Z"), at("2026-05-09T23:59:59Z"));
        assert_eq!(cycle.start, at("2026-04-10T00:00:00Z"));
    }

    #[test]
    fn an_anchor_on_a_leap_day_comes_back_to_it() {
        let anchor = at("2024-02-29T12:00:00Z");
        let starts = [
            "2025-02-28T12:00:00Z",
            "2025-03-29T12:00:00Z",
            "2028-02-29T12:00:00Z",
        ];
        for start in starts.map(at) {
            assert_eq!(Cycle::containing(anchor, start).start, start);
            let before = Cycle::containing(anchor, UnixMillis(start.0 - 1));
            assert_eq!(before.end, start);
        }
    }

    #[test]
    fn seconds_are_split_at_the_end_of_a_month_and_the_one_across_it_is_the_earlier_ones() {
        let anchor = at("2026-01-31T00:00:00Z");
        let ended_at = UnixMillis(at("2026-02-28T00:00:03Z").0 + 400);
        let parts: Vec<_> = split(anchor, ended_at, 10).collect();
        let february = Cycle::containing(anchor, at("2026-02-28T00:00:00Z"));
        assert_eq!(parts.len(), 2);
        assert_eq!((parts[0].0.end, parts[0].1), (february.start, 7));
        assert_eq!(parts[1], (february, 3));
    }

    proptest! {
        #[test]
        fn no_second_is_lost_or_counted_twice_wherever_the_clock_jumps(
            anchor in 0_i64..4_000_000_000_000,
            stretches in prop::collection::vec((0_i64..4_000_000_000_000, 0_u64..100_000), 0..20),
        ) {
            let anchor = UnixMillis(anchor);
            for (ended_at, seconds) in stretches {
                let ended_at = UnixMillis(ended_at);
                let mut from = ended_at - Duration::from_secs(seconds);
                let mut total = 0;
                for (cycle, part) in split(anchor, ended_at, seconds) {
                    // Each part begins in its cycle, and its last second began before the cycle's end.
                    prop_assert!(part > 0 && cycle.start <= from && from < cycle.end);
                    let last = from + Duration::from_secs(part - 1);
                    prop_assert!(last < cycle.end);
                    from = from + Duration::from_secs(part);
                    total += part;
                }
                prop_assert_eq!(total, seconds);
            }
        }

        #[test]
        fn every_moment_is_in_its_cycle_and_the_next_begins_at_its_end(
            anchor in 0_i64..4_000_000_000_000, moment in 0_i64..4_000_000_000_000,
        ) {
            let (anchor, moment) = (UnixMillis(anchor), UnixMillis(moment));
            let cycle = Cycle::containing(anchor, moment);
            prop_assert!(cycle.start <= moment && moment < cycle.end);
            prop_assert_eq!(Cycle::containing(anchor, cycle.end).start, cycle.end);
            prop_assert_eq!(Cycle::containing(anchor, cycle.start), cycle);
        }
    }
}
