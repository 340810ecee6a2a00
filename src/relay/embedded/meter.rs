//! Rates over sliding windows that fall to zero when nothing comes any more.
//!
//! Invariant: a rate counts whole buckets of 100 ms that ended before now; so it never freezes.

use super::time::Micros;

const BUCKET: Micros = Micros::from_millis(100);
/// The longest window of 5 s and the bucket that is being filled.
const BUCKETS: usize = 51;
const NEVER: i64 = i64::MIN;

/// Counts bytes by the time they came.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    bytes: [u64; BUCKETS],
    /// The number of the newest bucket since the epoch.
    newest: i64,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            bytes: [0; BUCKETS],
            newest: NEVER,
        }
    }
}

impl Meter {
    /// Counts bytes that came now.
    pub(crate) fn add(&mut self, now: Micros, bytes: usize) {
        let number = bucket_number(now);
        self.advance(number);
        self.bytes[place(number)] += u64::try_from(bytes).unwrap_or(u64::MAX);
    }

    fn advance(&mut self, number: i64) {
        if number <= self.newest {
            return;
        }
        let first = self.newest.max(number - bucket_count()).saturating_add(1);
        for stale in first..=number {
            self.bytes[place(stale)] = 0;
        }
        self.newest = number;
    }

    /// The bytes of the last `window`, at most 5 s.
    pub(crate) fn bytes_within(&self, now: Micros, window: Micros) -> u64 {
        let current = bucket_number(now);
        let span = (window.get() / BUCKET.get()).clamp(1, bucket_count() - 1);
        (current - span..current)
            .filter(|number| *number <= self.newest && *number > self.newest - bucket_count())
            .map(|number| self.bytes[place(number)])
            .sum()
    }

    /// The rate over the last `window`, at most 5 s, in kbit/s.
    pub(crate) fn kbps(&self, now: Micros, window: Micros) -> u32 {
        let window_ms = u64::try_from(window.get() / 1000).unwrap_or(0).max(1);
        let kbps = self.bytes_within(now, window).saturating_mul(8) / window_ms;
        u32::try_from(kbps).unwrap_or(u32::MAX)
    }
}

fn bucket_number(now: Micros) -> i64 {
    now.get().div_euclid(BUCKET.get())
}

fn bucket_count() -> i64 {
    i64::try_from(BUCKETS).expect("a small constant")
}

fn place(number: i64) -> usize {
    usize::try_from(number.rem_euclid(bucket_count())).expect("a remainder is not negative")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = Micros::from_secs(1);

    fn steady(meter: &mut Meter, from_ms: i64, to_ms: i64) {
        for ms in from_ms..to_ms {
            meter.add(Micros::from_millis(ms), 125);
        }
    }

    #[test]
    fn a_steady_stream_has_its_rate_in_both_windows() {
        let mut meter = Meter::default();
        steady(&mut meter, 0, 6_000);
        let now = Micros::from_millis(6_000);
        assert_eq!(meter.kbps(now, SECOND), 1000);
        assert_eq!(meter.kbps(now, SECOND * 5), 1000);
    }

    #[test]
    fn a_rate_falls_to_zero_after_the_media_stop() {
        let mut meter = Meter::default();
        steady(&mut meter, 0, 6_000);
        assert_eq!(meter.kbps(Micros::from_millis(6_500), SECOND), 500);
        assert_eq!(meter.kbps(Micros::from_millis(7_100), SECOND), 0);
        assert_eq!(meter.kbps(Micros::from_millis(8_500), SECOND * 5), 500);
        assert_eq!(meter.kbps(Micros::from_millis(11_100), SECOND * 5), 0);
        assert_eq!(meter.kbps(Micros::from_secs(100_000), SECOND * 5), 0);
    }

    #[test]
    fn a_pause_longer_than_the_ring_leaves_nothing_behind() {
        let mut meter = Meter::default();
        steady(&mut meter, 0, 6_000);
        meter.add(Micros::from_millis(60_000), 1);
        assert_eq!(
            meter.bytes_within(Micros::from_millis(60_100), SECOND * 5),
            1
        );
    }
}
