//! Billing cycles: calendar months counted from an anchor.
//!
//! A cycle is computed, never stored as "current", so no job has to roll it forward and no missed run can
//! bill twice.
//!
//! Invariant: cycles of one anchor touch, never overlap, and never drift (31 January is followed by
//! 28 February and then 31 March).

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

    proptest! {
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
