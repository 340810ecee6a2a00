//! How often a container may be started: a pause that grows, and an end to it.
//!
//! Invariant: time is a parameter; nothing here waits.

use std::collections::VecDeque;
use std::time::Duration;

/// The pause after the first attempt that failed.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LAST_PAUSE: Duration = Duration::from_secs(60);
/// How long a container that keeps crashing is left alone before it gets another chance.
const REST: Duration = Duration::from_secs(600);
/// How long it must run for its past to be forgotten.
const STEADY: Duration = Duration::from_secs(60);

/// Whether a container may be started now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may.
    Go,
    /// Not before that moment.
    Wait(Duration),
    /// It crashed too often: not before it has rested, or an operator says so.
    Tripped,
}

/// The starts and crashes of one container.
#[derive(Debug, Clone)]
pub(super) struct Breaker {
    crashes_max: usize,
    window: Duration,
    crashes: VecDeque<Duration>,
    failures: u32,
    not_before: Duration,
    tripped_at: Option<Duration>,
}

impl Breaker {
    /// One that trips at `crashes_max` crashes within `window`.
    pub(super) fn new(crashes_max: usize, window: Duration) -> Self {
        Self {
            crashes_max,
            window,
            crashes: VecDeque::new(),
            failures: 0,
            not_before: Duration::ZERO,
            tripped_at: None,
        }
    }

    /// `count` crashes were seen at `now`. Answers whether this tripped it.
    pub(super) fn note_crashes(&mut self, now: Duration, count: u64) -> bool {
        let room = u64::try_from(self.crashes_max).unwrap_or(u64::MAX);
        for _ in 0..count.min(room) {
            self.crashes.push_back(now);
        }
        while let Some(first) = self.crashes.front()
            && now.saturating_sub(*first) > self.window
        {
            self.crashes.pop_front();
        }
        let trips = self.tripped_at.is_none() && self.crashes.len() >= self.crashes_max;
        if trips {
            self.tripped_at = Some(now);
        }
        trips
    }

    /// We are about to start it.
    pub(super) fn note_attempt(&mut self, now: Duration) {
        let pause = FIRST_PAUSE * 2_u32.saturating_pow(self.failures.min(6));
        self.failures = self.failures.saturating_add(1);
        self.not_before = now + pause.min(LAST_PAUSE);
    }

    /// It has been running for `uptime`.
    pub(super) fn note_running(&mut self, uptime: Duration) {
        if uptime >= STEADY {
            self.failures = 0;
            self.not_before = Duration::ZERO;
        }
    }

    /// An operator, or another specification, gives it a new beginning.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.crashes_max, self.window);
    }

    /// Whether it may be started at `now`.
    pub(super) fn verdict(&mut self, now: Duration) -> Verdict {
        if let Some(tripped_at) = self.tripped_at {
            if now.saturating_sub(tripped_at) < REST {
                return Verdict::Tripped;
            }
            self.reset();
        }
        if now < self.not_before {
            Verdict::Wait(self.not_before)
        } else {
            Verdict::Go
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn breaker() -> Breaker {
        Breaker::new(5, at(300))
    }

    #[test]
    fn five_crashes_in_five_minutes_trip_it_and_a_rest_mends_it() {
        let mut it = breaker();
        for second in 0..4 {
            assert!(!it.note_crashes(at(second), 1));
        }
        assert!(it.note_crashes(at(4), 1));
        assert!(!it.note_crashes(at(5), 3), "it trips once");
        assert_eq!(it.verdict(at(5)), Verdict::Tripped);
        assert_eq!(it.verdict(at(603)), Verdict::Tripped);
        assert_eq!(it.verdict(at(604)), Verdict::Go);
    }

    #[test]
    fn crashes_far_apart_do_not_trip_it() {
        let mut it = breaker();
        for round in 0..20 {
            assert!(!it.note_crashes(at(round * 80), 1));
        }
    }

    #[test]
    fn an_operator_mends_it_at_once() {
        let mut it = breaker();
        assert!(it.note_crashes(at(1), 99));
        it.reset();
        assert_eq!(it.verdict(at(1)), Verdict::Go);
    }

    #[test]
    fn the_pause_grows_from_one_to_sixty_seconds_and_ends_with_a_steady_run() {
        let mut it = breaker();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            it.note_attempt(at(0));
            pauses.push(match it.verdict(at(0)) {
                Verdict::Wait(until) => until.as_secs(),
                Verdict::Go | Verdict::Tripped => 0,
            });
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        it.note_running(at(59));
        assert_ne!(it.verdict(at(0)), Verdict::Go);
        it.note_running(at(60));
        assert_eq!(it.verdict(at(0)), Verdict::Go);
    }

    proptest! {
        #[test]
        fn a_wait_is_never_longer_than_a_minute(steps in prop::collection::vec((0..90_u64, 0..3_u64), 0..60)) {
            let (mut it, mut now) = (Breaker::new(5, at(300)), at(0));
            for (pass, crashes) in steps {
                now += at(pass);
                it.note_crashes(now, crashes);
                if it.verdict(now) == Verdict::Go {
                    it.note_attempt(now);
                }
                if let Verdict::Wait(until) = it.verdict(now) {
                    prop_assert!(until > now && until <= now + LAST_PAUSE);
                }
            }
        }
    }
}
