//! Smoothed round-trip time.
//!
//! Source: draft-sharabayko-srt-01, section 4.10.
//!
//! Invariant: mean and variation stay between 0 and [`RTT_MAX`], whatever a peer reports.

use super::time::Micros;

const RTT_MAX: Micros = Micros::from_secs(10);

/// The mean and the variation of the round-trip time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RoundTrip {
    mean: Micros,
    variation: Micros,
    is_guess: bool,
}

impl Default for RoundTrip {
    /// The protocol's first guess: 100 ms and 50 ms.
    fn default() -> Self {
        Self {
            mean: Micros::from_millis(100),
            variation: Micros::from_millis(50),
            is_guess: true,
        }
    }
}

impl RoundTrip {
    /// Takes a measurement of our own.
    pub(crate) fn measure(&mut self, sample: Micros) {
        let sample = sample.clamp(Micros::ZERO, RTT_MAX);
        if self.is_guess {
            *self = Self {
                mean: sample,
                variation: sample / 2,
                is_guess: false,
            };
            return;
        }
        self.variation = (self.variation * 3 + (sample - self.mean).abs()) / 4;
        self.mean = (self.mean * 7 + sample) / 8;
    }

    /// Takes over what the peer has measured.
    pub(crate) fn report(&mut self, mean: Micros, variation: Micros) {
        if mean <= RTT_MAX {
            self.mean = mean;
            self.variation = variation.min(RTT_MAX / 2);
            self.is_guess = false;
        }
    }

    /// The mean.
    pub(crate) fn mean(&self) -> Micros {
        self.mean
    }

    /// The variation.
    pub(crate) fn variation(&self) -> Micros {
        self.variation
    }

    /// Within this time nearly every answer has come.
    pub(crate) fn patience(&self) -> Micros {
        self.mean + self.variation * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_measurement_replaces_the_guess_and_later_ones_smooth_it() {
        let mut rtt = RoundTrip::default();
        rtt.measure(Micros::from_millis(20));
        assert_eq!(rtt.mean(), Micros::from_millis(20));
        rtt.measure(Micros::from_millis(100));
        assert_eq!(rtt.mean(), Micros::from_millis(30));
    }

    #[test]
    fn an_absurd_report_changes_nothing() {
        let mut rtt = RoundTrip::default();
        rtt.report(Micros::from_secs(4000), Micros::ZERO);
        assert_eq!(rtt.mean(), Micros::from_millis(100));
    }
}
