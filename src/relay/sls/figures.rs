//! What SLS says of a stream, in every shape that its versions use.
//!
//! * `{"publisher": {...}}`: today's; with `peers` inside for the links of a bonded publisher;
//! * `{"publishers": {"live": {...}}}`: the older one, other names for some figures, and the key may be
//!   the stream's own where one answer has several streams;
//! * `{"message": ...}`, or no publishers: known, but nobody sends.
//!
//! Source: answers of OpenIRL srt-live-server 1.5.1 and of its branch with per-link figures (November 2026).
//!
//! Invariant: any bytes give a reading or an error, never a panic; figures that make no sense count as absent.

use std::time::Duration;

use serde_json::{Map, Value};

/// An answer that is not SLS's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Garbage(pub(super) &'static str);

/// What is known of one stream id.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reading {
    /// Somebody is connected as its publisher.
    Live(Figures),
    /// The id is registered and nobody publishes.
    Offline,
    /// No such id.
    Unknown,
}

/// Figures of a publisher as SLS tells them. Some of them lie, see [`super::watch`].
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Figures {
    /// Media handed out, recomputed about once a second while there is any; frozen otherwise.
    pub(super) bitrate_kbps: u32,
    /// What arrives on the wire, where the version tells it.
    pub(super) throughput_kbps: Option<u32>,
    /// Media in the receive buffer, where the version tells it.
    pub(super) buffer: Option<Duration>,
    /// Negotiated.
    pub(super) latency: Duration,
    /// Smoothed round trip.
    pub(super) rtt: Duration,
    /// Since the publisher was accepted; whole seconds.
    pub(super) uptime: Duration,
    /// Packets given up, since the start or since anybody last reset them.
    pub(super) dropped_packets: u64,
    /// Their bytes, in the older shape only.
    pub(super) dropped_bytes: u64,
    /// Estimated capacity, in the older shape only.
    pub(super) bandwidth_kbps: u32,
    /// Links of a bonded publisher, where the version tells them.
    pub(super) peers: usize,
}

/// Reads the answer to a question for the stream `id`.
pub(super) fn parse(status: u16, body: &[u8], id: &str) -> Result<Reading, Garbage> {
    let answer: Value =
        serde_json::from_slice(body).map_err(|_| Garbage("its figures are not JSON"))?;
    let answer = answer
        .as_object()
        .ok_or(Garbage("its figures are no JSON object"))?;
    match status {
        200 => {}
        404 if answer.contains_key("message") => return Ok(Reading::Unknown),
        _ => return Err(Garbage("its figures came with an unexpected status")),
    }
    if let Some(Value::Object(publisher)) = answer.get("publisher") {
        return Ok(Reading::Live(read(publisher)));
    }
    match answer.get("publishers") {
        Some(Value::Object(publishers)) => Ok(pick(publishers, id)
            .map_or(Reading::Offline, |publisher| Reading::Live(read(publisher)))),
        Some(_) => Err(Garbage("its publishers are no JSON object")),
        None if answer.contains_key("message") => Ok(Reading::Offline),
        None => Err(Garbage("its figures name no publisher")),
    }
}

/// The publisher that was asked for. A stranger's figures are never taken for it.
fn pick<'a>(publishers: &'a Map<String, Value>, id: &str) -> Option<&'a Map<String, Value>> {
    let named = publishers.get(id).or_else(|| publishers.get("live"));
    named?.as_object()
}

fn read(publisher: &Map<String, Value>) -> Figures {
    let number = |names: &[&str]| {
        let found = names.iter().find_map(|name| publisher.get(*name)?.as_f64());
        found.filter(|number| number.is_finite() && *number >= 0.0)
    };
    let millis = |names: &[&str]| number(names).map(|ms| seconds(ms / 1000.0));
    let bandwidth = number(&["mbpsBandwidth"]).map_or(0.0, |mbps| mbps * 1000.0);
    let peers = publisher.get("peers").and_then(Value::as_array);
    Figures {
        bitrate_kbps: kbps(number(&["bitrate"]).unwrap_or(0.0)),
        throughput_kbps: number(&["throughput"]).map(kbps),
        buffer: millis(&["buffer", "msRcvBuf"]),
        latency: millis(&["latency"]).unwrap_or_default(),
        rtt: millis(&["rtt"]).unwrap_or_default(),
        uptime: number(&["uptime"]).map(seconds).unwrap_or_default(),
        dropped_packets: count(number(&["dropped_pkts", "pktRcvDrop"])),
        dropped_bytes: count(number(&["bytesRcvDrop"])),
        bandwidth_kbps: kbps(bandwidth),
        peers: peers.map_or(0, Vec::len),
    }
}

/// A span of at most a year, so that sums of it cannot overflow.
fn seconds(number: f64) -> Duration {
    const YEAR: f64 = 365.0 * 24.0 * 3600.0;
    Duration::try_from_secs_f64(number.clamp(0.0, YEAR)).unwrap_or_default()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast of a float saturates, and it is finite and not negative"
)]
fn kbps(number: f64) -> u32 {
    number.round() as u32
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast of a float saturates, and it is finite and not negative"
)]
fn count(number: Option<f64>) -> u64 {
    number.unwrap_or(0.0) as u64
}

#[cfg(test)]
#[path = "figures_tests.rs"]
mod tests;
