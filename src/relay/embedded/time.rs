//! Time inside the relay: microseconds on one monotonic clock.
//!
//! Every state machine is told the time, none reads a clock; so tests run hours in milliseconds.
//!
//! Invariant: arithmetic saturates, so no peer's timestamp can make it overflow.

use std::ops::{Add, AddAssign, Div, Mul, Sub, SubAssign};
use std::time::{Duration, Instant};

/// A moment since the clock's epoch, or a span between two moments, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Micros(i64);

impl Micros {
    /// No time at all, and the epoch.
    pub(crate) const ZERO: Self = Self(0);
    /// Later than everything: "no deadline".
    pub(crate) const MAX: Self = Self(i64::MAX);

    /// A number of microseconds.
    pub(crate) const fn new(micros: i64) -> Self {
        Self(micros)
    }

    /// A number of milliseconds.
    pub(crate) const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// A number of seconds.
    pub(crate) const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// The number of microseconds.
    pub(crate) const fn get(self) -> i64 {
        self.0
    }

    /// The low 32 bits, as SRT timestamps carry time; they wrap every 71.6 minutes.
    pub(crate) fn timestamp(self) -> u32 {
        u32::try_from(self.0.rem_euclid(1 << 32)).expect("a remainder of 2^32 fits in 32 bits")
    }

    /// The value as 32 bits on the wire, at most `u32::MAX`; a negative one is 0.
    pub(crate) fn saturating_u32(self) -> u32 {
        u32::try_from(self.0.max(0)).unwrap_or(u32::MAX)
    }

    /// As a span for callers outside; a negative one is zero.
    pub(crate) fn duration(self) -> Duration {
        Duration::from_micros(u64::try_from(self.0).unwrap_or(0))
    }

    /// The distance to zero.
    pub(crate) fn abs(self) -> Self {
        Self(self.0.saturating_abs())
    }
}

impl From<Duration> for Micros {
    fn from(span: Duration) -> Self {
        Self(i64::try_from(span.as_micros()).unwrap_or(i64::MAX))
    }
}

impl Add for Micros {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Micros {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Micros {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl SubAssign for Micros {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Mul<i64> for Micros {
    type Output = Self;
    fn mul(self, factor: i64) -> Self {
        Self(self.0.saturating_mul(factor))
    }
}

impl Div<i64> for Micros {
    type Output = Self;
    fn div(self, divisor: i64) -> Self {
        Self(self.0 / divisor)
    }
}

/// The one clock of a running relay.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    epoch: Instant,
}

impl Clock {
    /// Starts a clock; its epoch is now.
    pub(crate) fn start() -> Self {
        Self {
            epoch: Instant::now(),
        }
    }

    /// The time since the epoch.
    pub(crate) fn now(self) -> Micros {
        Micros::from(self.epoch.elapsed())
    }

    /// The moment of `at` on the operating system's monotonic clock.
    pub(crate) fn instant(self, at: Micros) -> Instant {
        self.epoch + at.duration()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_the_low_32_bits() {
        assert_eq!(Micros::new((1 << 32) + 7).timestamp(), 7);
        assert_eq!(Micros::new(-1).timestamp(), u32::MAX);
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Micros::MAX + Micros::new(1), Micros::MAX);
        assert_eq!(Micros::MAX * 2, Micros::MAX);
        assert_eq!(Micros::new(-5).duration(), Duration::ZERO);
    }
}
