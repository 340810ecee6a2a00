//! When to acknowledge, and the round-trip time that comes of it.
//!
//! A full ACK every 10 ms while there is news, a light one every 64 packets, and a full one again while the
//! last was never answered. Source: draft-sharabayko-srt-01, sections 3.2.4 and 4.8.1.
//!
//! Invariant: at most [`UNANSWERED_MAX`] unanswered ACKs are remembered.

use std::collections::VecDeque;

use crate::relay::embedded::rtt::RoundTrip;
use crate::relay::embedded::time::Micros;

const FULL_INTERVAL: Micros = Micros::from_millis(10);
const REPEAT_AFTER: Micros = Micros::from_millis(100);
const LIGHT_EVERY_PACKETS: u32 = 64;
const UNANSWERED_MAX: usize = 128;

/// An acknowledgement to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Only the position.
    Light,
    /// Position and measurements, with its number.
    Full(u32),
}

/// What was acknowledged.
#[derive(Debug)]
pub(super) struct Acknowledger {
    /// The round-trip time.
    pub(super) rtt: RoundTrip,
    acknowledged: u64,
    last_full: Micros,
    next_number: u32,
    unanswered: VecDeque<(u32, Micros)>,
    packets_since: u32,
}

impl Acknowledger {
    /// Nothing yet acknowledged before `index`.
    pub(super) fn new(now: Micros, index: u64) -> Self {
        Self {
            rtt: RoundTrip::default(),
            acknowledged: index,
            last_full: now,
            next_number: 1,
            unanswered: VecDeque::new(),
            packets_since: 0,
        }
    }

    /// A packet has come.
    pub(super) fn count_packet(&mut self) {
        self.packets_since = self.packets_since.saturating_add(1);
    }

    /// What to send now that everything before `position` is here.
    pub(super) fn due(&mut self, now: Micros, position: u64) -> Option<Due> {
        let has_news = position != self.acknowledged;
        if now >= self.full_deadline(has_news) {
            self.last_full = now;
            self.acknowledged = position;
            self.packets_since = 0;
            return Some(Due::Full(self.number(now)));
        }
        if has_news && self.packets_since >= LIGHT_EVERY_PACKETS {
            self.acknowledged = position;
            self.packets_since = 0;
            return Some(Due::Light);
        }
        None
    }

    fn number(&mut self, now: Micros) -> u32 {
        let number = self.next_number;
        self.next_number = number.wrapping_add(1).max(1);
        if self.unanswered.len() >= UNANSWERED_MAX {
            self.unanswered.pop_front();
        }
        self.unanswered.push_back((number, now));
        number
    }

    fn full_deadline(&self, has_news: bool) -> Micros {
        if has_news {
            self.last_full + FULL_INTERVAL
        } else if self.unanswered.is_empty() {
            Micros::MAX
        } else {
            self.last_full + self.rtt.patience().max(REPEAT_AFTER)
        }
    }

    /// When [`Acknowledger::due`] has something to say.
    pub(super) fn next_deadline(&self, position: u64) -> Micros {
        self.full_deadline(position != self.acknowledged)
    }

    /// The peer answered the ACK of this number.
    pub(super) fn answered(&mut self, now: Micros, number: u32) {
        let Some(at) = self.unanswered.iter().position(|(sent, _)| *sent == number) else {
            return;
        };
        let (_, sent_at) = self.unanswered[at];
        self.unanswered.drain(..=at);
        self.rtt.measure(now - sent_at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_is_told_every_ten_milliseconds_and_nothing_else_is() {
        let mut acks = Acknowledger::new(Micros::ZERO, 100);
        assert_eq!(acks.due(Micros::from_millis(50), 100), None);
        assert_eq!(acks.due(Micros::from_millis(50), 101), Some(Due::Full(1)));
        assert_eq!(acks.due(Micros::from_millis(55), 102), None);
        assert_eq!(acks.due(Micros::from_millis(60), 102), Some(Due::Full(2)));
    }

    #[test]
    fn an_unanswered_ack_is_repeated_until_it_is_answered() {
        let mut acks = Acknowledger::new(Micros::ZERO, 100);
        assert_eq!(acks.due(Micros::from_millis(50), 101), Some(Due::Full(1)));
        assert_eq!(acks.due(Micros::from_millis(150), 101), None);
        assert_eq!(acks.due(Micros::from_millis(350), 101), Some(Due::Full(2)));
        acks.answered(Micros::from_millis(370), 2);
        assert_eq!(acks.rtt.mean(), Micros::from_millis(20));
        assert_eq!(acks.due(Micros::from_millis(9_000), 101), None);
    }

    #[test]
    fn many_packets_within_ten_milliseconds_get_a_light_ack() {
        let mut acks = Acknowledger::new(Micros::ZERO, 100);
        for _ in 0..LIGHT_EVERY_PACKETS {
            acks.count_packet();
        }
        assert_eq!(acks.due(Micros::from_millis(2), 164), Some(Due::Light));
        assert_eq!(acks.due(Micros::from_millis(3), 164), None);
    }
}
