//! `per_link` of `relay/active`: the links of a publisher, in the plugin's words.
//!
//! Invariant: the publish key is in the answer, never in `Debug`.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use crate::relay::engine::{LinkStats, SenderLinkFigures};

/// The links of a slot's publisher. `connections` is empty, never missing, when nobody publishes: the
/// plugin keeps its old links for a key that vanished.
#[derive(Clone, Serialize, PartialEq, ToSchema)]
pub struct PerLink {
    /// The publish key, as in `sender_url`.
    #[schema(example = "live_3f9c21ab7d5e4c108f6a2b9d0e1c7a54")]
    pub stream_id: String,
    /// The links.
    pub connections: Vec<Link>,
}

impl fmt::Debug for PerLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerLink")
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

/// One link.
#[derive(Debug, Clone, Serialize, PartialEq, ToSchema)]
pub struct Link {
    /// Address and port that its packets come from.
    #[schema(example = "203.0.113.9:50100")]
    pub addr: String,
    /// The carrier's name; empty while unknown.
    #[schema(example = "Example Mobile")]
    pub asn_org: String,
    /// Bytes since it joined.
    pub bytes: u64,
    /// Packets since it joined.
    pub pkts: u64,
    /// Its current share, 0 to 100, with one decimal.
    #[schema(example = 80.5)]
    pub share_pct: f64,
    /// Milliseconds since its last packet. The plugin shows "live" below 5,000.
    pub last_ms_ago: u64,
    /// Seconds since it joined.
    pub uptime_s: u64,
    /// What the sender says of it; left out when it says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub sender: Option<LinkSender>,
}

/// What a bonded sender says of its link.
#[derive(Debug, Clone, Copy, Serialize, PartialEq, Eq, ToSchema)]
pub struct LinkSender {
    /// Round-trip time in milliseconds.
    pub rtt_ms: u64,
    /// Packets that it lets be in flight.
    pub window: u32,
    /// Packets in flight.
    pub in_flight: u32,
    /// Packets that were reported lost.
    pub naks: u64,
    /// What it sends, in kbit/s.
    pub bitrate: u32,
}

impl From<SenderLinkFigures> for LinkSender {
    fn from(figures: SenderLinkFigures) -> Self {
        Self {
            rtt_ms: u64::try_from(figures.rtt.as_millis()).unwrap_or(u64::MAX),
            window: figures.window_packets,
            in_flight: figures.in_flight_packets,
            naks: figures.lost_packets,
            bitrate: figures.bitrate_kbps,
        }
    }
}

impl Link {
    /// From figures that are `age` old.
    #[must_use]
    pub fn new(link: &LinkStats, age: Duration) -> Self {
        let silent = link.since_last_packet + age;
        Self {
            addr: link.address.to_string(),
            asn_org: link.carrier.clone().unwrap_or_default(),
            bytes: link.bytes,
            pkts: link.packets,
            share_pct: (link.share_percent * 10.0).round() / 10.0,
            last_ms_ago: u64::try_from(silent.as_millis()).unwrap_or(u64::MAX),
            uptime_s: (link.uptime + age).as_secs(),
            sender: link.sender.map(LinkSender::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_publish_key_is_not_printed() {
        let links = PerLink {
            stream_id: "publish_secret".to_owned(),
            connections: Vec::new(),
        };
        assert!(!format!("{links:?}").contains("secret"));
    }
}
