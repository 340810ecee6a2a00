//! Spans in which media may have flowed while nobody counted: we were down, or a node told no figures.
//!
//! Invariant: a span is here only when we saw media of its slot on both sides of it, and nothing of it was counted.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use super::model::{HealthEvent, HealthReport};
use crate::kernel::ids::{RelaySessionId, SlotId};
use crate::kernel::{Clock, UnixMillis};

/// How soon after our start media must be seen to have gone on meanwhile.
const GOES_ON_WITHIN: Duration = Duration::from_mins(1);
/// Until then the first heartbeat after a span has come.
const HEARTBEATS_COME_WITHIN: Duration = Duration::from_mins(3);
/// Spans kept at most; more are forgotten, to the user's advantage.
const SPANS_MAX: usize = 10_000;

/// A span that was not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) slot_id: SlotId,
    pub(super) from: UnixMillis,
    pub(super) until: UnixMillis,
    /// Whether we were down; then an engine inside our process was down too.
    pub(super) were_we_down: bool,
}

/// What memory knows of such spans, and of heartbeats that are not written yet.
#[derive(Debug)]
pub(super) struct Outages {
    clock: Clock,
    started: Duration,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Until when the seconds of slots were written before we started, as long as no media of them came since.
    before_start: HashMap<SlotId, UnixMillis>,
    spans: Vec<Span>,
    heartbeats: HashMap<RelaySessionId, HealthEvent>,
}

impl Outages {
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
            .expect("nothing panics while it holds the outages")
    }

    /// Until when the seconds of open sessions' slots were written before we started.
    pub(super) fn recall(&self, written: impl Iterator<Item = (SlotId, UnixMillis)>) {
        self.inner().before_start = written.collect();
    }

    /// Media of a slot was seen from `from` on, and whether its broadcast had begun before.
    pub(super) fn media_seen(&self, slot_id: SlotId, from: UnixMillis, was_live: bool) {
        let mut inner = self.inner();
        let Some(written_until) = inner.before_start.remove(&slot_id) else {
            return;
        };
        let is_soon = self.clock.monotonic().saturating_sub(self.started) <= GOES_ON_WITHIN;
        if is_soon && was_live {
            inner.add(Span {
                slot_id,
                from: written_until,
                until: from,
                were_we_down: true,
            });
        }
    }

    /// A node told no figures in a span, and media of the slot had flowed when it told them again.
    pub(super) fn unseen(&self, slot_id: SlotId, from: UnixMillis, until: UnixMillis) {
        self.inner().add(Span {
            slot_id,
            from,
            until,
            were_we_down: false,
        });
    }

    /// The spans about which all heartbeats have come.
    pub(super) fn take_ripe(&self, now: UnixMillis) -> Vec<Span> {
        let ripe = |span: &mut Span| now.since(span.until) >= HEARTBEATS_COME_WITHIN;
        self.inner().spans.extract_if(.., ripe).collect()
    }

    /// Spans that could not be reconciled now.
    pub(super) fn put_back(&self, spans: &[Span]) {
        let mut inner = self.inner();
        for span in spans {
            inner.add(*span);
        }
    }

    /// A heartbeat; the newest of a session counts.
    pub(super) fn note_health(&self, session_id: RelaySessionId, report: HealthReport) {
        let now = self.clock.now();
        let event = HealthEvent {
            received_at: now,
            report,
        };
        self.inner().heartbeats.insert(session_id, event);
    }

    /// The heartbeats since the last call.
    pub(super) fn take_heartbeats(&self) -> Vec<(RelaySessionId, HealthEvent)> {
        self.inner().heartbeats.drain().collect()
    }

    /// Heartbeats that could not be written; newer ones win.
    pub(super) fn put_heartbeats_back(&self, heartbeats: Vec<(RelaySessionId, HealthEvent)>) {
        let mut inner = self.inner();
        for (id, event) in heartbeats {
            inner.heartbeats.entry(id).or_insert(event);
        }
    }
}

impl Inner {
    fn add(&mut self, span: Span) {
        if span.from < span.until && self.spans.len() < SPANS_MAX {
            self.spans.push(span);
        }
    }
}

/// The seconds of a span in which a sender says that media flowed: never more than the span, less what the sender
/// says it was not up between its last report before and its first one after.
///
/// `None` without a report on either side that says so: then nothing is made good.
pub(super) fn reported_seconds(
    span: &Span,
    before: Option<&HealthEvent>,
    after: Option<&HealthEvent>,
) -> Option<u64> {
    let (before, after) = (before?, after?);
    if !before.report.ingest_active || !after.report.ingest_active {
        return None;
    }
    let told = after
        .report
        .observed_at
        .since(before.report.observed_at)
        .as_secs();
    let up = after
        .report
        .session_uptime_seconds
        .checked_sub(before.report.session_uptime_seconds)?;
    let missing = told.saturating_sub(up);
    let length = span.until.since(span.from).as_secs();
    Some(length.saturating_sub(missing).min(up))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernel::clock::ManualClock;

    const NOON: UnixMillis = UnixMillis(1_774_300_000_000);

    fn event(at_seconds: u64, uptime: u64, ingest_active: bool) -> HealthEvent {
        let observed_at = NOON + Duration::from_secs(at_seconds);
        HealthEvent {
            received_at: observed_at,
            report: HealthReport {
                observed_at,
                ingest_active,
                egress_active: false,
                session_uptime_seconds: uptime,
            },
        }
    }

    fn span(from_seconds: u64, until_seconds: u64) -> Span {
        Span {
            slot_id: SlotId::generate(),
            from: NOON + Duration::from_secs(from_seconds),
            until: NOON + Duration::from_secs(until_seconds),
            were_we_down: true,
        }
    }

    /// G-63
    #[test]
    fn a_report_makes_good_what_we_missed_and_never_more() {
        let seconds = |before: HealthEvent, after: HealthEvent| {
            reported_seconds(&span(100, 160), Some(&before), Some(&after))
        };
        assert_eq!(
            seconds(event(90, 500, true), event(170, 580, true)),
            Some(60)
        );
        assert_eq!(
            seconds(event(90, 500, true), event(170, 560, true)),
            Some(40)
        );
        assert_eq!(
            seconds(event(90, 500, true), event(170, 600_000, true)),
            Some(60)
        );
        assert_eq!(seconds(event(90, 500, true), event(170, 580, false)), None);
        assert_eq!(
            seconds(event(90, 500, true), event(170, 20, true)),
            None,
            "it began anew"
        );
        assert_eq!(
            reported_seconds(&span(100, 160), None, Some(&event(170, 580, true))),
            None
        );
    }

    proptest! {
        #[test]
        fn no_report_raises_a_bill_beyond_our_own_view(
            length in 1_u64..1_000_000, times in prop::array::uniform2(0_u64..2_000_000),
            uptimes in prop::array::uniform2(0_u64..604_800),
        ) {
            let (before, after) = (event(times[0], uptimes[0], true), event(times[1], uptimes[1], true));
            let seconds = reported_seconds(&span(0, length), Some(&before), Some(&after));
            prop_assert!(seconds.unwrap_or(0) <= length);
        }
    }

    #[test]
    fn only_media_that_went_on_over_a_restart_leave_a_span() {
        let clock = ManualClock::starting_at(NOON);
        let slots = [(); 3].map(|()| SlotId::generate());
        let outages = Outages::new(Clock::from_source(clock.clone() as _));
        let written = NOON - Duration::from_secs(40);
        outages.recall(slots.iter().map(|id| (*id, written)));
        outages.media_seen(slots[0], NOON, true);
        outages.media_seen(slots[0], NOON + Duration::from_secs(1), true);
        outages.media_seen(slots[1], NOON, false);
        clock.advance(Duration::from_secs(61));
        outages.media_seen(slots[2], NOON, true);
        assert_eq!(outages.take_ripe(NOON), []);
        let ripe = outages.take_ripe(NOON + HEARTBEATS_COME_WITHIN);
        let spans: Vec<_> = ripe
            .iter()
            .map(|it| (it.slot_id, it.from, it.until))
            .collect();
        assert_eq!(spans, [(slots[0], written, NOON)]);
    }
}
