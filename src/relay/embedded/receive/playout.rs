//! When a packet is to be handed on: its timestamp, unwrapped, on our clock, plus the latency.
//!
//! Source: draft-sharabayko-srt-01, section 4.5 (timestamp-based packet delivery, drift).
//!
//! Invariant: a playout time is at most latency and one second ahead of now, whatever a timestamp says.

use crate::relay::embedded::time::Micros;

/// Packets whose quickest one tells how far the sender's clock has drifted.
const DRIFT_SAMPLE: u32 = 1000;
const DRIFT_STEP_MAX: Micros = Micros::from_millis(5);
const AHEAD_MAX: Micros = Micros::from_secs(1);
/// After so long without one packet in time the sender's clock has jumped, as that of a phone that slept, or
/// its path has become slower than the latency makes up for. The drift would take an hour to follow, in which
/// nothing that is lost could be repeated in time.
const STEP_AFTER: Micros = Micros::from_secs(1);
const WRAP: i64 = 1 << 32;

/// The sender's clock as we know it.
#[derive(Debug)]
pub(super) struct PlayoutClock {
    latency: Micros,
    /// Our time when the sender's timestamp was 0. It follows the drift without a bound: two good crystals
    /// are a second apart after some hours, and a stream may last for days.
    base: Micros,
    newest_timestamp: u32,
    /// What full turns of the timestamp add.
    turns: i64,
    quickest: Micros,
    sampled: u32,
    /// Since when no packet was in time, and the quickest of them.
    astray: Option<(Micros, Micros)>,
}

impl PlayoutClock {
    /// A clock that read `timestamp` when it was `now`.
    pub(super) fn new(now: Micros, timestamp: u32, latency: Micros) -> Self {
        Self {
            latency,
            base: now - Micros::new(i64::from(timestamp)),
            newest_timestamp: timestamp,
            turns: 0,
            quickest: Micros::MAX,
            sampled: 0,
            astray: None,
        }
    }

    /// The playout time of a packet that came now. Repetitions say nothing about the clock.
    pub(super) fn playout_time(
        &mut self,
        now: Micros,
        timestamp: u32,
        is_repeated: bool,
    ) -> Micros {
        let sent = self.unwrap(timestamp);
        if !is_repeated {
            let transit = now - self.base - sent;
            self.follow_drift(transit);
            self.follow_step(now, transit);
        }
        let due = self.base + sent + self.latency;
        due.min(now + self.latency + AHEAD_MAX)
    }

    fn unwrap(&mut self, timestamp: u32) -> Micros {
        let value = i64::from(timestamp);
        let step = timestamp.wrapping_sub(self.newest_timestamp).cast_signed();
        if step >= 0 {
            if timestamp < self.newest_timestamp {
                self.turns += WRAP;
            }
            self.newest_timestamp = timestamp;
            return Micros::new(self.turns + value);
        }
        let is_before_the_wrap = timestamp > self.newest_timestamp;
        Micros::new(self.turns + value - if is_before_the_wrap { WRAP } else { 0 })
    }

    fn follow_drift(&mut self, transit: Micros) {
        self.quickest = self.quickest.min(transit);
        self.sampled += 1;
        if self.sampled < DRIFT_SAMPLE {
            return;
        }
        self.base += self
            .quickest
            .clamp(Micros::ZERO - DRIFT_STEP_MAX, DRIFT_STEP_MAX);
        self.quickest = Micros::MAX;
        self.sampled = 0;
    }

    fn follow_step(&mut self, now: Micros, transit: Micros) {
        let in_time = Micros::ZERO - AHEAD_MAX..=self.latency;
        if in_time.contains(&transit) {
            self.astray = None;
            return;
        }
        let (since, quickest) = self.astray.unwrap_or((now, transit));
        let quickest = quickest.min(transit);
        self.astray = Some((since, quickest));
        if now - since >= STEP_AFTER {
            self.base += quickest;
            self.astray = None;
            self.quickest = Micros::MAX;
            self.sampled = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATENCY: Micros = Micros::from_millis(200);

    #[test]
    fn playout_time_goes_on_across_the_wrap_of_timestamps() {
        let now = Micros::from_secs(100);
        let mut clock = PlayoutClock::new(now, u32::MAX - 999, LATENCY);
        let before = clock.playout_time(now, u32::MAX - 999, false);
        let after = clock.playout_time(now + Micros::new(2000), 1000, false);
        let late = clock.playout_time(now + Micros::new(2000), u32::MAX - 499, true);
        assert_eq!(before, now + LATENCY);
        assert_eq!(after - before, Micros::new(2000));
        assert_eq!(late - before, Micros::new(500));
    }

    #[test]
    fn a_timestamp_far_ahead_is_played_a_second_late_at_most() {
        let now = Micros::from_secs(100);
        let mut clock = PlayoutClock::new(now, 0, LATENCY);
        let due = clock.playout_time(now, 1_000_000_000, false);
        assert_eq!(due, now + LATENCY + AHEAD_MAX);
    }

    #[test]
    fn the_clock_follows_a_sender_that_is_slow() {
        let start = Micros::from_secs(100);
        let mut clock = PlayoutClock::new(start, 0, LATENCY);
        let mut delay = Micros::ZERO;
        // 1000 ppm: after 60 s the sender is 60 ms behind.
        for packet in 0..60_000i64 {
            let now = start + Micros::new(packet * 1001);
            let timestamp = u32::try_from(packet * 1000).unwrap();
            delay = clock.playout_time(now, timestamp, false) - now;
        }
        assert!(
            (delay - LATENCY).abs() < Micros::from_millis(5),
            "{delay:?}"
        );
    }

    /// The delay of the last packet when the sender's clock jumps after 10 s, and of one that was repeated
    /// meanwhile.
    fn delay_after_jump(jump: Micros) -> Micros {
        let start = Micros::from_secs(100);
        let mut clock = PlayoutClock::new(start, 0, LATENCY);
        let mut delay = Micros::ZERO;
        for packet in 0..1_500i64 {
            let now = start + Micros::from_millis(packet * 10);
            let jumped = if packet < 1_000 { Micros::ZERO } else { jump };
            let timestamp = (now - start + jumped).timestamp();
            delay = clock.playout_time(now, timestamp, false) - now;
        }
        delay
    }

    #[test]
    fn a_clock_that_jumps_is_followed_after_a_second() {
        for jump_ms in [-20_000, -1_200, -300, 1_200, 20_000, 3_600_000] {
            let error = (delay_after_jump(Micros::from_millis(jump_ms)) - LATENCY).abs();
            assert!(error <= Micros::from_millis(10), "{jump_ms} ms: {error:?}");
        }
    }

    #[test]
    fn one_packet_in_time_tells_that_the_others_were_held_up() {
        let start = Micros::from_secs(100);
        let mut clock = PlayoutClock::new(start, 0, LATENCY);
        for packet in 0..500i64 {
            let now = start + Micros::from_millis(packet * 10);
            let held_up = if packet % 50 == 0 { 0 } else { 400 };
            let sent = now - start - Micros::from_millis(held_up);
            clock.playout_time(now, sent.timestamp(), false);
        }
        let now = start + Micros::from_secs(5);
        assert_eq!(clock.playout_time(now, 5_000_000, false), now + LATENCY);
    }

    /// How far the delay is from the latency after a day with a sender whose clock is off by so much.
    fn error_after_a_day(parts_per_million: i64) -> Micros {
        const PACKETS_PER_SECOND: i64 = 20;
        let start = Micros::from_secs(100);
        let mut clock = PlayoutClock::new(start, 0, LATENCY);
        let mut delay = Micros::ZERO;
        for packet in 0..86_400 * PACKETS_PER_SECOND {
            let sent = Micros::new(packet * (1_000_000 / PACKETS_PER_SECOND));
            let now = start + sent + sent * parts_per_million / 1_000_000;
            delay = clock.playout_time(now, sent.timestamp(), false) - now;
        }
        (delay - LATENCY).abs()
    }

    #[test]
    fn a_day_with_a_clock_that_is_slow_or_fast_costs_no_recovery_time() {
        for parts_per_million in [-100, 100] {
            let error = error_after_a_day(parts_per_million);
            assert!(
                error < Micros::from_millis(15),
                "{parts_per_million} ppm: {error:?}"
            );
        }
    }
}
