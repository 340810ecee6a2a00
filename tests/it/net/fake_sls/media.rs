//! An encoder's stream as SLS's figures show it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long a publisher is listed after his line broke.
const PEER_IDLE: Duration = Duration::from_secs(5);

/// A connected encoder.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Encoder {
    since: Instant,
    kbps: u64,
    latency: Duration,
    broken_at: Option<Instant>,
}

impl Encoder {
    pub(super) const fn new(since: Instant, kbps: u64, latency: Duration) -> Self {
        Self {
            since,
            kbps,
            latency,
            broken_at: None,
        }
    }

    pub(super) fn break_line(&mut self, now: Instant) {
        self.broken_at = Some(now);
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.broken_at.is_some_and(|at| now - at >= PEER_IDLE)
    }

    /// `publisher` of an answer of today's shape.
    pub(super) fn figures(&self, now: Instant) -> Value {
        let uptime = now - self.since;
        let sent_until = self.broken_at.unwrap_or(now);
        // The buffer has what came within the latency.
        let from = now.checked_sub(self.latency).unwrap_or(self.since);
        let buffer = sent_until.saturating_duration_since(from.max(self.since));
        // Computed once a second from what leaves the buffer, and never again when nothing does.
        let handed_out = (sent_until - self.since).min(uptime.saturating_sub(self.latency));
        let seconds = handed_out.as_secs();
        let is_sending = self.kbps > 0;
        let bitrate = if seconds == 0 {
            0
        } else {
            self.kbps + seconds % 7
        };
        json!({
            "bitrate": if is_sending { bitrate } else { 0 },
            "buffer": if is_sending { millis(buffer) } else { 0 },
            "dropped_pkts": 0,
            "latency": millis(self.latency),
            "rtt": 0.09,
            "uptime": uptime.as_secs(),
        })
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).expect("no test runs that long")
}
