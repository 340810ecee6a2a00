//! One line of the proxy, as a pure function of time and chance.
//!
//! Invariant: no sockets and no clock in here; the queue of a direction is bounded.

use std::time::{Duration, Instant};

use crate::net::random::Random;

/// How bad a line is; the same in both directions, which have nothing else in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LineProfile {
    /// Share of datagrams that vanish, each on its own chance; 0.0 to 100.0.
    pub(crate) loss_percent: f64,
    /// Travel time of every datagram.
    pub(crate) delay: Duration,
    /// Up to this much is added to the travel time, by chance: datagrams overtake others.
    pub(crate) jitter: Duration,
    /// What the line carries at most; `None` for no limit.
    pub(crate) rate_kbps: Option<u32>,
    /// How long a datagram may wait for a line with a limit before it is thrown away.
    pub(crate) queue: Duration,
}

impl Default for LineProfile {
    /// A perfect line.
    fn default() -> Self {
        Self {
            loss_percent: 0.0,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            rate_kbps: None,
            queue: Duration::from_millis(400),
        }
    }
}

/// What became of the datagrams of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct DirectionCounters {
    /// Datagrams that came in.
    pub(crate) received: u64,
    /// Datagrams sent on, or on their way.
    pub(crate) passed: u64,
    /// Bytes of these.
    pub(crate) passed_bytes: u64,
    /// Datagrams lost by chance.
    pub(crate) lost: u64,
    /// Datagrams for which the queue had no room.
    pub(crate) overflowed: u64,
    /// Datagrams that found the line down.
    pub(crate) cut: u64,
}

impl DirectionCounters {
    /// Adds another direction's counters.
    pub(crate) fn add(&mut self, other: Self) {
        self.received += other.received;
        self.passed += other.passed;
        self.passed_bytes += other.passed_bytes;
        self.lost += other.lost;
        self.overflowed += other.overflowed;
        self.cut += other.cut;
    }
}

/// One direction of a line.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Direction {
    /// What became of its datagrams.
    pub(crate) counters: DirectionCounters,
    /// When the line has sent all that waits for it.
    free_at: Option<Instant>,
}

impl Direction {
    /// Takes a datagram in; gives when it comes out, or `None` when it never does.
    pub(crate) fn admit(
        &mut self,
        profile: &LineProfile,
        is_down: bool,
        length: usize,
        now: Instant,
        random: &mut Random,
    ) -> Option<Instant> {
        let length = u32::try_from(length).expect("a datagram has at most 65,535 bytes");
        self.counters.received += 1;
        if is_down {
            self.counters.cut += 1;
            return None;
        }
        if random.unit() * 100.0 < profile.loss_percent {
            self.counters.lost += 1;
            return None;
        }
        let Some(sent_at) = self.queue(profile, length, now) else {
            self.counters.overflowed += 1;
            return None;
        };
        self.counters.passed += 1;
        self.counters.passed_bytes += u64::from(length);
        Some(sent_at + profile.delay + profile.jitter.mul_f64(random.unit()))
    }

    /// When a line with a limit has sent the datagram; `None` when it would wait too long.
    fn queue(&mut self, profile: &LineProfile, length: u32, now: Instant) -> Option<Instant> {
        let Some(rate_kbps) = profile.rate_kbps else {
            return Some(now);
        };
        let starts_at = self.free_at.map_or(now, |free_at| free_at.max(now));
        if starts_at - now > profile.queue {
            return None;
        }
        let seconds = f64::from(length) * 8.0 / (f64::from(rate_kbps) * 1e3);
        let sent_at = starts_at + Duration::from_secs_f64(seconds);
        self.free_at = Some(sent_at);
        Some(sent_at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_loss_is_what_the_profile_says() {
        let profile = LineProfile {
            loss_percent: 5.0,
            ..LineProfile::default()
        };
        let mut direction = Direction::default();
        let mut random = Random::seeded(3);
        let now = Instant::now();
        for _ in 0..20_000 {
            direction.admit(&profile, false, 1_316, now, &mut random);
        }
        let lost = direction.counters.lost;
        assert!((850..1_150).contains(&lost), "{lost} of 20000 at 5%");
        assert_eq!(direction.counters.passed + lost, 20_000);
    }

    #[test]
    fn a_limited_line_delays_and_then_refuses() {
        let profile = LineProfile {
            rate_kbps: Some(1_000),
            queue: Duration::from_millis(100),
            ..LineProfile::default()
        };
        let mut direction = Direction::default();
        let mut random = Random::seeded(3);
        let now = Instant::now();
        // 1,250 bytes take 10 ms at 1 Mbit/s: ten wait up to 100 ms and one is being sent.
        let dues: Vec<Option<Instant>> = (0..20)
            .map(|_| direction.admit(&profile, false, 1_250, now, &mut random))
            .collect();
        assert_eq!(dues[0], Some(now + Duration::from_millis(10)));
        assert_eq!(dues[10], Some(now + Duration::from_millis(110)));
        assert_eq!(dues[11], None);
        assert_eq!(direction.counters.overflowed, 9);
    }

    #[test]
    fn a_line_that_is_down_passes_nothing() {
        let mut direction = Direction::default();
        let now = Instant::now();
        let due = direction.admit(
            &LineProfile::default(),
            true,
            100,
            now,
            &mut Random::seeded(1),
        );
        assert_eq!(due, None);
        assert_eq!(direction.counters.cut, 1);
    }

    proptest! {
        #[test]
        fn the_travel_time_stays_within_delay_and_jitter(seed: u64, delay_ms in 0_u64..200) {
            let profile = LineProfile {
                delay: Duration::from_millis(delay_ms),
                jitter: Duration::from_millis(30),
                ..LineProfile::default()
            };
            let now = Instant::now();
            let due = Direction::default()
                .admit(&profile, false, 1_316, now, &mut Random::seeded(seed))
                .expect("nothing is lost");
            prop_assert!(due - now >= profile.delay);
            prop_assert!(due - now <= profile.delay + profile.jitter);
        }
    }
}
