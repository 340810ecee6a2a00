//! The truth about one stream, from what SLS says of it.
//!
//! SLS's figures mislead in trouble: the bitrate is zero for the latency and about a second after each
//! connect, then follows what is handed out, and stays at its last value when nothing comes any more; after a
//! broken line the publisher is listed for five seconds, and a silent one for fifteen. What does not lie is
//! the receive buffer: it holds the media of the last `latency`, so it fills while media come and drains when
//! they stop. A falling uptime is a new connection between two readings.
//!
//! Invariant: media are only reported as fresh on evidence in this reading; a frozen figure never renews them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::figures::{Figures, Reading};
use crate::relay::engine::{Ended, PublisherStats, Traffic};

/// SLS's own window for the bitrate; before it was full once, the bitrate means nothing.
const RATE_WINDOW: Duration = Duration::from_secs(1);
/// After this without media the bitrate is a frozen one.
const FROZEN_AFTER: Duration = Duration::from_secs(2);
/// A stream whose last media are no older than this when it ends was ended by its encoder.
const CLEAN_WITHIN: Duration = Duration::from_millis(1500);
/// How far the uptime, in whole seconds, may lag behind the time between two readings.
const UPTIME_SLACK: Duration = Duration::from_secs(2);
/// What one media packet carries; SLS counts neither packets nor bytes.
const PACKET_BYTES: u64 = 1316;
/// What [`PublisherStats::bitrate_5s_kbps`] is the mean of.
const MEAN_OVER: Duration = Duration::from_secs(5);
/// A longer gap between two readings is not credited with media.
const GAP_MAX: Duration = Duration::from_secs(60);
/// So long a reading stands for the present: the next one waits its turn, perhaps for a rate limit to pass.
pub(super) const STANDS_FOR: Duration = Duration::from_secs(15);

/// What a reading shows to have happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Happened {
    /// The first media of a connection.
    MediaStarted,
    /// The publisher is gone.
    Gone(Ended),
}

/// One stream id under watch.
#[derive(Debug, Default)]
pub(super) struct Watch {
    connection: Option<Connection>,
    received: Traffic,
}

#[derive(Debug)]
struct Connection {
    figures: Figures,
    read_at: Instant,
    last_media: Option<Instant>,
    rates: VecDeque<(Instant, u32)>,
    received: Traffic,
    dropped_packets: u64,
    dropped_bytes: u64,
    /// SLS failed to answer since: what ended meanwhile may have ended with it.
    is_interrupted: bool,
}

impl Watch {
    /// Whether somebody is connected as its publisher.
    pub(super) fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Media since this watch began, estimated from the bitrate.
    pub(super) fn received(&self) -> Traffic {
        self.received
    }

    /// Takes a reading. [`Reading::Unknown`] counts as offline here.
    pub(super) fn take(&mut self, reading: &Reading, now: Instant) -> Vec<Happened> {
        let Reading::Live(figures) = reading else {
            return self.end(now).into_iter().collect();
        };
        let mut happened = Vec::new();
        if let Some(connection) = &self.connection
            && connection.was_replaced_by(figures, now)
        {
            self.connection = None;
            happened.push(Happened::Gone(Ended::Error));
        }
        let connection = self
            .connection
            .get_or_insert_with(|| Connection::new(figures, now));
        let had_media = connection.last_media.is_some();
        let grown = connection.take(figures, now);
        self.received = self.received + grown;
        if !had_media && connection.last_media.is_some() {
            happened.push(Happened::MediaStarted);
        }
        happened
    }

    /// SLS did not answer.
    pub(super) fn interrupt(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.is_interrupted = true;
        }
    }

    /// The publisher is gone: nobody tells us why, but a broken line drains the buffer first.
    fn end(&mut self, now: Instant) -> Option<Happened> {
        let connection = self.connection.take()?;
        let silent = connection.silent_for(now);
        let is_fresh = silent.is_some_and(|silent| silent < CLEAN_WITHIN);
        let is_clean = is_fresh && !connection.is_interrupted;
        let ended = if is_clean { Ended::Clean } else { Ended::Error };
        Some(Happened::Gone(ended))
    }

    /// The figures of the publisher, corrected; `None` when nobody is connected.
    pub(super) fn publisher(&self, now: Instant) -> Option<PublisherStats> {
        self.connection
            .as_ref()
            .map(|connection| connection.publisher(now))
    }
}

impl Connection {
    fn new(figures: &Figures, now: Instant) -> Self {
        Self {
            figures: Figures {
                // What it dropped before we looked is its own count already.
                dropped_packets: 0,
                dropped_bytes: 0,
                buffer: None,
                bitrate_kbps: 0,
                ..figures.clone()
            },
            read_at: now,
            last_media: None,
            rates: VecDeque::new(),
            received: Traffic::default(),
            dropped_packets: 0,
            dropped_bytes: 0,
            is_interrupted: false,
        }
    }

    fn was_replaced_by(&self, figures: &Figures, now: Instant) -> bool {
        let gap = now.saturating_duration_since(self.read_at);
        figures.uptime < self.figures.uptime
            || figures.uptime + UPTIME_SLACK < self.figures.uptime + gap
    }

    fn take(&mut self, figures: &Figures, now: Instant) -> Traffic {
        if let Some(at) = self.media_seen(figures, now) {
            self.last_media = Some(self.last_media.map_or(at, |last| last.max(at)));
        }
        let gap = now.saturating_duration_since(self.read_at).min(GAP_MAX);
        let growth = |now: u64, before| now.checked_sub(before).unwrap_or(now);
        self.dropped_packets += growth(figures.dropped_packets, self.figures.dropped_packets);
        self.dropped_bytes += growth(figures.dropped_bytes, self.figures.dropped_bytes);
        self.figures = figures.clone();
        let had_media = self
            .last_media
            .is_some_and(|at| at >= self.read_at || at == now);
        self.read_at = now;
        self.is_interrupted = false;
        let rate = self.rate(now);
        self.rates.push_back((now, rate));
        while let Some((at, _)) = self.rates.front()
            && now.saturating_duration_since(*at) >= MEAN_OVER
        {
            self.rates.pop_front();
        }
        if !had_media {
            return Traffic::default();
        }
        let grown = carried(rate, gap);
        self.received = self.received + grown;
        grown
    }

    /// When the newest media came that this reading gives evidence of.
    fn media_seen(&self, figures: &Figures, now: Instant) -> Option<Instant> {
        let before = |span: Duration| now.checked_sub(span).unwrap_or(now);
        let Some(buffer) = figures.buffer else {
            // Without it, only a bitrate that moves shows anything.
            let has_moved = figures.bitrate_kbps != self.figures.bitrate_kbps;
            return has_moved.then_some(now);
        };
        if buffer.is_zero() {
            // Handed out just now, so it came a latency ago; or nothing is left.
            let has_moved = self.figures.buffer.is_some()
                && figures.bitrate_kbps != self.figures.bitrate_kbps
                && figures.bitrate_kbps > 0;
            return has_moved.then(|| before(figures.latency));
        }
        let is_filling = figures.uptime < figures.latency + RATE_WINDOW
            || self.figures.buffer.is_some_and(|before| buffer > before);
        if is_filling {
            return Some(now);
        }
        Some(before(figures.latency.saturating_sub(buffer)))
    }

    /// How long media were away at the newest reading, which stands for the present for a while.
    fn silent_for(&self, now: Instant) -> Option<Duration> {
        let age = now.saturating_duration_since(self.read_at);
        let silent = self.read_at.saturating_duration_since(self.last_media?);
        Some(silent + age.saturating_sub(STANDS_FOR))
    }

    /// The bitrate if it can be believed: not before SLS's window was full, and not when it is frozen.
    fn rate(&self, now: Instant) -> u32 {
        let figures = &self.figures;
        if self
            .silent_for(now)
            .is_none_or(|silent| silent >= FROZEN_AFTER)
        {
            return 0;
        }
        if figures.uptime >= figures.latency + RATE_WINDOW {
            return figures.bitrate_kbps;
        }
        figures.throughput_kbps.unwrap_or(0)
    }

    fn publisher(&self, now: Instant) -> PublisherStats {
        let figures = &self.figures;
        let age = now.saturating_duration_since(self.read_at);
        let bitrate_1s_kbps = self.rate(now);
        let rates = u64::try_from(self.rates.len()).unwrap_or(u64::MAX).max(1);
        let sum: u64 = self.rates.iter().map(|(_, rate)| u64::from(*rate)).sum();
        let buffer = figures.buffer.unwrap_or_default();
        let last_drop = if self.dropped_packets > 0 {
            "they came too late".to_owned()
        } else {
            String::new()
        };
        PublisherStats {
            is_bonded: figures.peers > 0,
            uptime: figures.uptime + age,
            since_last_media: self.silent_for(now),
            bitrate_1s_kbps,
            bitrate_5s_kbps: u32::try_from(sum / rates).unwrap_or(u32::MAX),
            rtt: figures.rtt,
            latency: figures.latency,
            buffer,
            buffer_packets: u32::try_from(carried(bitrate_1s_kbps, buffer).packets)
                .unwrap_or(u32::MAX),
            packets: self.received.packets,
            bytes: self.received.bytes,
            dropped_packets: self.dropped_packets,
            dropped_bytes: self
                .dropped_bytes
                .max(self.dropped_packets.saturating_mul(PACKET_BYTES)),
            bandwidth_kbps: figures.bandwidth_kbps,
            last_drop,
            ..PublisherStats::default()
        }
    }
}

/// What a rate comes to over a span; one packet at least, because some came.
fn carried(kbps: u32, span: Duration) -> Traffic {
    let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let bytes = (u64::from(kbps).saturating_mul(millis) / 8).max(PACKET_BYTES);
    Traffic {
        packets: bytes / PACKET_BYTES,
        bytes,
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
