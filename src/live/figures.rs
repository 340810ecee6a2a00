//! Figures as a person reads them.
//!
//! Invariant: a number is rounded once, here, and always stands with its unit.

use std::time::Duration;

/// A bit rate: `5.9 Mbit/s`, or `812 kbit/s` below one Mbit/s.
#[must_use]
pub fn bitrate(kbps: u32) -> String {
    let (number, unit) = bitrate_parts(kbps);
    format!("{number} {unit}")
}

/// A bit rate as number and unit, for places that set them in two sizes.
#[must_use]
pub fn bitrate_parts(kbps: u32) -> (String, &'static str) {
    if kbps < 1000 {
        return (kbps.to_string(), "kbit/s");
    }
    // Tenths are rounded as integers, so 9,999 kbit/s reads 10.0 and never 9.10.
    let tenths = (u64::from(kbps) + 50) / 100;
    (format!("{}.{}", tenths / 10, tenths % 10), "Mbit/s")
}

/// A duration with its two largest units: `3 h 12 min`, `4 min 5 s`, `9 s`.
#[must_use]
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        (_, _, _) => format!("{days} d {} h", hours % 24),
    }
}

/// A share of packets in parts per million as a percentage: `0 %`, `< 0.01 %`, `0.42 %`.
#[must_use]
pub fn percent_of_ppm(ppm: u32) -> String {
    match ppm {
        0 => "0 %".to_owned(),
        1..100 => "< 0.01 %".to_owned(),
        _ => format!("{}.{:02} %", ppm / 10_000, ppm % 10_000 / 100),
    }
}

/// A round-trip time or a buffer in milliseconds: `48 ms`.
#[must_use]
pub fn milliseconds(milliseconds: u32) -> String {
    format!("{milliseconds} ms")
}

/// How long ago something came: `40 ms ago`, `12 s ago`.
#[must_use]
pub fn ago(elapsed: Duration) -> String {
    if elapsed < Duration::from_secs(1) {
        return format!("{} ms ago", elapsed.as_millis());
    }
    format!("{} ago", duration(elapsed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_rate_has_the_unit_that_fits() {
        assert_eq!(bitrate(0), "0 kbit/s");
        assert_eq!(bitrate(999), "999 kbit/s");
        assert_eq!(bitrate(1000), "1.0 Mbit/s");
        assert_eq!(bitrate(5949), "5.9 Mbit/s");
        assert_eq!(bitrate(9999), "10.0 Mbit/s");
        assert_eq!(bitrate(u32::MAX), "4294967.3 Mbit/s");
    }

    #[test]
    fn a_duration_shows_two_units() {
        assert_eq!(duration(Duration::from_millis(900)), "0 s");
        assert_eq!(duration(Duration::from_secs(245)), "4 min 5 s");
        assert_eq!(duration(Duration::from_mins(192)), "3 h 12 min");
        assert_eq!(duration(Duration::from_secs(200_000)), "2 d 7 h");
    }

    #[test]
    fn a_small_loss_is_not_shown_as_none() {
        assert_eq!(percent_of_ppm(0), "0 %");
        assert_eq!(percent_of_ppm(3), "< 0.01 %");
        assert_eq!(percent_of_ppm(4_200), "0.42 %");
        assert_eq!(percent_of_ppm(1_000_000), "100.00 %");
    }

    #[test]
    fn an_age_below_a_second_is_in_milliseconds() {
        assert_eq!(ago(Duration::from_millis(40)), "40 ms ago");
        assert_eq!(ago(Duration::from_secs(12)), "12 s ago");
    }
}
