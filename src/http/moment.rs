//! A moment in time as a page shows it.
//!
//! Invariant: the text is in UTC and says so; a script may show the reader's own zone instead.

use crate::kernel::UnixMillis;

/// A moment in time. The page shows it in the reader's zone where it can.
#[derive(Debug, Clone)]
pub struct Moment {
    /// RFC 3339 in UTC, such as `2026-11-21T14:02:09Z`.
    pub rfc3339: String,
    /// The same for a reader without scripts, such as `14:02 UTC`.
    pub text: String,
}

impl From<UnixMillis> for Moment {
    fn from(at: UnixMillis) -> Self {
        let rfc3339 = at.to_string();
        let text = match (rfc3339.get(..10), rfc3339.get(11..16)) {
            (Some(day), Some(minute)) => format!("{day} {minute} UTC"),
            _ => rfc3339.clone(),
        };
        Self { rfc3339, text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_shown_to_the_minute_in_utc() {
        let moment = Moment::from(UnixMillis(1_774_300_000_123));
        assert_eq!(moment.rfc3339, "2026-03-23T21:06:40Z");
        assert_eq!(moment.text, "2026-03-23 21:06 UTC");
    }
}
