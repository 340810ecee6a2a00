//! One slot: its publisher, its players, and what an ended publisher has left.
//!
//! When an encoder says goodbye, up to its latency of media is still in the buffer. Players get it at the
//! pace it was made, not at once: a burst of two seconds would overflow a home line.
//!
//! Invariant: media of two publishers are never mixed, and the times players see never run backwards.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::relay::embedded::listener::ConnectionId;
use crate::relay::embedded::time::Micros;
use crate::relay::engine::Traffic;

/// One slot's media.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// Who publishes.
    pub(super) publisher: Option<ConnectionId>,
    /// Who plays.
    pub(super) players: Vec<ConnectionId>,
    /// Media of publishers that are gone.
    pub(super) finished_received: Traffic,
    /// Media to players that are gone.
    pub(super) finished_sent: Traffic,
    newest_origin: Micros,
    tail: VecDeque<(Micros, Bytes)>,
    tail_of: Option<ConnectionId>,
}

impl Slot {
    /// The slot with its totals and the time players were told, and without anyone.
    pub(super) fn renewed(self) -> Self {
        Self {
            finished_received: self.finished_received,
            finished_sent: self.finished_sent,
            newest_origin: self.newest_origin,
            ..Self::default()
        }
    }

    /// Takes media in; gives them back when they are to be handed out at once.
    pub(super) fn take_in(
        &mut self,
        now: Micros,
        id: ConnectionId,
        origin: Micros,
        payload: Bytes,
    ) -> Option<(Micros, Bytes)> {
        if self.tail_of != Some(id) {
            // Another publisher's media are there: what the one before left has no place any more.
            self.clear_tail();
        }
        if origin <= now && self.tail.is_empty() {
            return Some((origin, payload));
        }
        self.tail_of = Some(id);
        self.tail.push_back((origin, payload));
        None
    }

    /// The next media of the tail whose time has come.
    pub(super) fn next_of_tail(&mut self, now: Micros) -> Option<(Micros, Bytes)> {
        if self.tail_deadline() > now {
            return None;
        }
        self.tail.pop_front()
    }

    /// When [`Slot::next_of_tail`] has something to give.
    pub(super) fn tail_deadline(&self) -> Micros {
        self.tail.front().map_or(Micros::MAX, |(origin, _)| *origin)
    }

    /// Media bytes that an ended publisher has left.
    pub(super) fn tail_bytes(&self) -> usize {
        self.tail.iter().map(|(_, payload)| payload.len()).sum()
    }

    /// Forgets what an ended publisher has left.
    pub(super) fn clear_tail(&mut self) {
        self.tail.clear();
        self.tail_of = None;
    }

    /// The time that players are told: `origin`, but never earlier than what they were told before.
    pub(super) fn monotonic(&mut self, origin: Micros) -> Micros {
        self.newest_origin = self.newest_origin.max(origin);
        self.newest_origin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = Micros::from_secs(1);

    #[test]
    fn what_lies_ahead_is_handed_out_at_its_time() {
        let mut slot = Slot::default();
        let now = SECOND * 10;
        let media = Bytes::from_static(b"m");
        assert!(slot.take_in(now, 1, now, media.clone()).is_some());
        assert!(slot.take_in(now, 1, now + SECOND, media.clone()).is_none());
        assert!(slot.take_in(now, 1, now + SECOND * 2, media).is_none());
        assert!(slot.next_of_tail(now).is_none());
        assert_eq!(slot.tail_deadline(), now + SECOND);
        assert!(slot.next_of_tail(now + SECOND).is_some());
        assert!(slot.next_of_tail(now + SECOND).is_none());
    }

    #[test]
    fn the_next_publisher_ends_the_tail_of_the_one_before() {
        let mut slot = Slot::default();
        let now = SECOND * 10;
        assert!(
            slot.take_in(now, 1, now + SECOND, Bytes::from_static(b"old"))
                .is_none()
        );
        let given = slot.take_in(now, 2, now, Bytes::from_static(b"new"));
        assert_eq!(given, Some((now, Bytes::from_static(b"new"))));
        assert_eq!(slot.tail_deadline(), Micros::MAX);
    }

    #[test]
    fn times_never_run_backwards() {
        let mut slot = Slot::default();
        assert_eq!(slot.monotonic(SECOND * 3), SECOND * 3);
        assert_eq!(slot.monotonic(SECOND), SECOND * 3);
        assert_eq!(slot.monotonic(SECOND * 4), SECOND * 4);
    }
}
