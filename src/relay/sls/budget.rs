//! How often we may call: a share of what SLS allows per minute and address, handed out one by one.
//!
//! SLS counts in windows of 60 s that begin with a caller's first call, and says nothing of when a window
//! ends. A bucket whose size and minute's refill are the limit together never has more calls in any 60 s.
//!
//! Invariant: no span of 60 s holds more calls than the limit, whenever they are asked for.

use std::time::{Duration, Instant};

/// What a refused call waits at first; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_secs(5);
/// SLS's windows are no longer than a minute.
const PAUSE_MAX: Duration = Duration::from_secs(40);
/// The least and the most calls that may follow one another at once.
const BURST_MIN: u32 = 10;
const BURST_PART: u32 = 10;

/// The calls that are left of one class.
#[derive(Debug)]
pub(super) struct Budget {
    tokens: f64,
    burst: f64,
    per_second: f64,
    refilled_at: Instant,
    paused_until: Option<Instant>,
    pause: Duration,
}

impl Budget {
    /// A class with `per_minute` calls, at least one.
    pub(super) fn new(per_minute: u32, now: Instant) -> Self {
        let per_minute = per_minute.max(1);
        let burst = (per_minute / BURST_PART)
            .max(BURST_MIN)
            .min(per_minute.div_ceil(2));
        Self {
            tokens: f64::from(burst),
            burst: f64::from(burst),
            per_second: f64::from((per_minute - burst).max(1)) / 60.0,
            refilled_at: now,
            paused_until: None,
            pause: PAUSE_MIN,
        }
    }

    /// Calls per second that can be kept up.
    pub(super) fn per_second(&self) -> f64 {
        self.per_second
    }

    /// Takes a call, or says how long to wait before asking again.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        if let Some(left) = self
            .paused_until
            .and_then(|until| until.checked_duration_since(now))
            .filter(|left| !left.is_zero())
        {
            return Err(left);
        }
        let elapsed = now.saturating_duration_since(self.refilled_at);
        self.refilled_at = self.refilled_at.max(now);
        self.tokens = (self.tokens + elapsed.as_secs_f64() * self.per_second).min(self.burst);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64(
            (1.0 - self.tokens) / self.per_second,
        ))
    }

    /// SLS refused a call: somebody else calls from our address, or the limit is lower than we were told.
    pub(super) fn refused(&mut self, now: Instant) {
        if self.paused_until.is_some_and(|until| until > now) {
            return;
        }
        self.paused_until = Some(now + self.pause);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        self.tokens = self.tokens.min(1.0);
    }

    /// SLS took a call.
    pub(super) fn granted(&mut self) {
        self.pause = PAUSE_MIN;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_refused_call_is_waited_out_longer_each_time_until_one_is_granted() {
        let now = Instant::now();
        let mut budget = Budget::new(30, now);
        let mut waits = Vec::new();
        let mut at = now;
        for _ in 0..5 {
            budget.refused(at);
            // Those that were under way at the same time add nothing.
            budget.refused(at);
            let wait = budget.take(at).unwrap_err();
            waits.push(wait.as_secs());
            at += wait;
            assert!(budget.take(at).is_ok());
        }
        assert_eq!(waits, [5, 10, 20, 40, 40]);
        budget.granted();
        budget.refused(at);
        assert_eq!(budget.take(at), Err(PAUSE_MIN));
    }

    proptest! {
        #[test]
        fn no_minute_has_more_calls_than_the_limit(
            per_minute in 1..1200_u32,
            gaps_ms in proptest::collection::vec(0..4000_u64, 1..200),
        ) {
            let start = Instant::now();
            let mut budget = Budget::new(per_minute, start);
            let (mut now, mut taken) = (start, Vec::new());
            for gap_ms in gaps_ms {
                now += Duration::from_millis(gap_ms);
                while budget.take(now).is_ok() {
                    taken.push(now);
                }
                if gap_ms % 7 == 0 && let Err(wait) = budget.take(now) {
                    now += wait;
                }
            }
            // The call that comes `per_minute` calls later is in another minute.
            for (first, later) in taken.iter().zip(taken.iter().skip(per_minute as usize)) {
                prop_assert!(*later - *first >= Duration::from_mins(1));
            }
        }
    }
}
