//! One link of the sender: whether it has joined, what is in flight on it, how wide its
//! window is.
//!
//! The window follows the public senders: it is counted in thousandths of a packet, an
//! acknowledgement of a link that was busy widens it, a reported loss narrows it.
//!
//! Invariant: no sockets; the list of packets in flight is bounded.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::net::srtla_wire::LinkReport;

/// One packet, in the window's unit.
const WINDOW_UNIT: u32 = 1_000;
const WINDOW_MIN: u32 = WINDOW_UNIT;
const WINDOW_START: u32 = 20 * WINDOW_UNIT;
const WINDOW_MAX: u32 = 60 * WINDOW_UNIT;
/// Per acknowledged packet of a link whose window was full.
const WINDOW_GROWTH: u32 = 29;
/// Per packet reported lost.
const WINDOW_CUT: u32 = 100;
/// More than that in flight are forgotten, oldest first.
const IN_FLIGHT_MAX: usize = 1_024;
/// A link not heard for so long carries no media and joins again.
pub(super) const SILENCE: Duration = Duration::from_secs(4);

/// What one link did, from the sender's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct LinkCounters {
    /// True while it takes part: joined, heard lately and not switched off.
    pub(crate) is_registered: bool,
    /// Media and control packets of SRT sent.
    pub(crate) sent_packets: u64,
    /// Bytes of these.
    pub(crate) sent_bytes: u64,
    /// Packets of SRT that came back on it.
    pub(crate) received_packets: u64,
    /// Packets the receiver acknowledged for it.
    pub(crate) acknowledged_packets: u64,
    /// Packets sent on it that SRT reported lost.
    pub(crate) lost_packets: u64,
    /// How often it joined.
    pub(crate) registrations: u64,
    /// Round trip of the last keepalive.
    pub(crate) round_trip_ms: u64,
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) counters: LinkCounters,
    pub(super) is_enabled: bool,
    has_joined: bool,
    heard_at: Option<Instant>,
    asked_at: Option<Instant>,
    window: u32,
    in_flight: VecDeque<u32>,
    sent_bytes_reported: u64,
}

impl Link {
    pub(super) fn new() -> Self {
        Self {
            counters: LinkCounters::default(),
            is_enabled: true,
            has_joined: false,
            heard_at: None,
            asked_at: None,
            window: WINDOW_START,
            in_flight: VecDeque::new(),
            sent_bytes_reported: 0,
        }
    }

    /// True when it may carry media.
    pub(super) fn is_usable(&self, now: Instant) -> bool {
        let is_heard = self
            .heard_at
            .is_some_and(|heard_at| now - heard_at < SILENCE);
        self.has_joined && is_heard
    }

    /// True when it wants to ask (again) to join, at most once in `pause`.
    pub(super) fn wants_to_ask(&mut self, now: Instant, pause: Duration) -> bool {
        if self.is_usable(now) || self.asked_at.is_some_and(|asked_at| now - asked_at < pause) {
            return false;
        }
        self.has_joined = false;
        self.asked_at = Some(now);
        true
    }

    /// Notes that anything came from the receiver.
    pub(super) fn hear(&mut self, now: Instant) {
        self.heard_at = Some(now);
    }

    /// Notes that it has joined.
    pub(super) fn join(&mut self) {
        if !self.has_joined {
            self.has_joined = true;
            self.counters.registrations += 1;
            self.window = WINDOW_START;
            self.in_flight.clear();
        }
    }

    /// Notes that its group is unknown to the receiver.
    pub(super) fn leave(&mut self) {
        self.has_joined = false;
    }

    /// How willing it is to carry the next packet; higher is better.
    pub(super) fn score(&self) -> u32 {
        self.window / (self.in_flight_count() + 1)
    }

    /// Notes a packet of SRT that leaves on it, with its sequence number if it has one.
    pub(super) fn carry(&mut self, length: usize, sequence: Option<u32>) {
        self.counters.sent_packets += 1;
        self.counters.sent_bytes += u64::try_from(length).expect("a length has at most 64 bits");
        let Some(sequence) = sequence else { return };
        if self.in_flight.len() == IN_FLIGHT_MAX {
            self.in_flight.pop_front();
        }
        self.in_flight.push_back(sequence);
    }

    /// Takes an acknowledgement of the receiver; false when the packet was not its own.
    pub(super) fn acknowledge(&mut self, sequence: u32) -> bool {
        let was_full = self.in_flight_count() * WINDOW_UNIT > self.window;
        if !self.forget(sequence) {
            return false;
        }
        self.counters.acknowledged_packets += 1;
        if was_full {
            self.window = (self.window + WINDOW_GROWTH).min(WINDOW_MAX);
        }
        true
    }

    /// Widens the window a little, for every packet acknowledged on any link.
    pub(super) fn recover(&mut self) {
        self.window = (self.window + 1).min(WINDOW_MAX);
    }

    /// Takes a loss reported by SRT; false when the packet was not its own.
    pub(super) fn lose(&mut self, sequence: u32) -> bool {
        let was_own = self.forget(sequence);
        if was_own {
            self.counters.lost_packets += 1;
            self.window = self.window.saturating_sub(WINDOW_CUT).max(WINDOW_MIN);
        }
        was_own
    }

    /// Forgets the packets that SRT has acknowledged: those `is_done` tells.
    pub(super) fn settle(&mut self, is_done: impl Fn(u32) -> bool) {
        self.in_flight.retain(|sequence| !is_done(*sequence));
    }

    /// What it tells about itself; `since_last` is the time since the last report.
    pub(super) fn report(&mut self, link: usize, since_last: Duration) -> LinkReport {
        let bytes = self.counters.sent_bytes - self.sent_bytes_reported;
        self.sent_bytes_reported = self.counters.sent_bytes;
        let span_ms = since_last.as_millis().max(1);
        LinkReport {
            link: narrow(link),
            window: self.window,
            in_flight: self.in_flight_count(),
            round_trip_ms: narrow(self.counters.round_trip_ms),
            losses: narrow(self.counters.lost_packets),
            rate_bytes: narrow(u128::from(bytes) * 1_000 / span_ms),
        }
    }

    fn forget(&mut self, sequence: u32) -> bool {
        // The latest copy first: a packet sent again has the number of the lost one.
        let place = self.in_flight.iter().rposition(|other| *other == sequence);
        place
            .and_then(|place| self.in_flight.remove(place))
            .is_some()
    }

    fn in_flight_count(&self) -> u32 {
        u32::try_from(self.in_flight.len()).expect("it is bounded by IN_FLIGHT_MAX")
    }
}

/// A figure for a field of 32 bits; what does not fit is shown as the most it can hold.
fn narrow(figure: impl TryInto<u32>) -> u32 {
    figure.try_into().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_in_flight_lower_the_score_and_acknowledged_ones_raise_it() {
        let mut link = Link::new();
        let idle = link.score();
        link.carry(1_316, Some(5));
        assert!(link.score() < idle);
        assert!(link.acknowledge(5));
        assert_eq!(link.score(), idle);
        assert!(!link.acknowledge(5), "a second acknowledgement is nobody's");
    }

    #[test]
    fn losses_narrow_the_window_down_to_one_packet() {
        let mut link = Link::new();
        for sequence in 0..500 {
            link.carry(1_316, Some(sequence));
            assert!(link.lose(sequence));
        }
        assert_eq!(link.window, WINDOW_MIN);
        assert_eq!(link.counters.lost_packets, 500);
    }

    #[test]
    fn a_busy_link_widens_its_window_faster_than_an_idle_one() {
        let mut link = Link::new();
        for sequence in 0..30 {
            link.carry(1_316, Some(sequence));
        }
        link.acknowledge(0);
        assert_eq!(link.window, WINDOW_START + WINDOW_GROWTH);
    }

    #[test]
    fn silence_makes_it_ask_again_and_only_once_a_pause() {
        let (mut link, start) = (Link::new(), Instant::now());
        link.join();
        link.hear(start);
        let pause = Duration::from_secs(1);
        assert!(!link.wants_to_ask(start, pause));
        let later = start + SILENCE;
        assert!(!link.is_usable(later));
        assert!(link.wants_to_ask(later, pause));
        assert!(!link.wants_to_ask(later, pause));
        assert!(link.wants_to_ask(later + pause, pause));
    }

    #[test]
    fn the_report_carries_the_rate_since_the_last_one() {
        let mut link = Link::new();
        link.carry(1_000, Some(1));
        assert_eq!(link.report(2, Duration::from_secs(2)).rate_bytes, 500);
        let second = link.report(2, Duration::from_secs(2));
        assert_eq!(
            (second.rate_bytes, second.in_flight, second.link),
            (0, 1, 2)
        );
    }
}
