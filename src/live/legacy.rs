//! Figures in the shapes that plugins and scene switchers parse.
//!
//! The legacy shape is that of the SRT Live Server: `publishers` with one entry named `live`, in camelCase.
//! Its documentation says `snake_case`, so both are given. Every field is always there, because some
//! readers take a missing one for "offline".

use serde_json::{Value, json};

use super::hub::SlotStatus;
use super::model::State;
use crate::relay::engine::PublisherStats;

/// The legacy shape (`?legacy=1`).
#[must_use]
pub fn legacy(status: &SlotStatus) -> Value {
    match on_air(status) {
        Some(publisher) => {
            json!({ "publishers": { "live": legacy_publisher(publisher) }, "status": "ok" })
        }
        None => json!({ "message": OFFLINE, "publishers": {}, "status": "ok" }),
    }
}

/// The flat shape (without `?legacy=1`).
#[must_use]
pub fn flat(status: &SlotStatus) -> Value {
    let Some(publisher) = on_air(status) else {
        return json!({ "message": OFFLINE, "status": "ok" });
    };
    json!({
        "publisher": {
            "bitrate": publisher.bitrate_1s_kbps,
            "bitrate_5s": publisher.bitrate_5s_kbps,
            "buffer": millis(publisher.buffer),
            "dropped_pkts": publisher.dropped_packets,
            "latency": millis(publisher.latency),
            "retransmitted_pkts": publisher.retransmitted_packets,
            "rtt": rtt_ms(publisher),
            "uptime": publisher.uptime.as_secs(),
        },
        "status": "ok",
    })
}

const OFFLINE: &str = "Publisher is currently not streaming";

/// A publisher whose media flows or stopped a moment ago: its true bitrate tells which.
fn on_air(status: &SlotStatus) -> Option<&PublisherStats> {
    let is_on_air = match status.state {
        State::Live | State::Reconnecting => true,
        State::Waiting | State::Offline => false,
    };
    status
        .stats
        .as_ref()
        .filter(|_| is_on_air)?
        .publisher
        .as_ref()
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn rtt_ms(publisher: &PublisherStats) -> f64 {
    (publisher.rtt.as_secs_f64() * 1e6).round() / 1e3
}

fn legacy_publisher(publisher: &PublisherStats) -> Value {
    let mean_packet_bytes = publisher.bytes.checked_div(publisher.packets).unwrap_or(0);
    let lost_bytes = publisher.lost_packets * mean_packet_bytes;
    let megabits = |kbps: u32| f64::from(kbps) / 1000.0;
    let pairs = [
        (
            "bytesRcvDrop",
            "bytes_rcv_drop",
            json!(publisher.dropped_bytes),
        ),
        ("bytesRcvLoss", "bytes_rcv_loss", json!(lost_bytes)),
        (
            "mbpsBandwidth",
            "mbps_bandwidth",
            json!(megabits(publisher.bandwidth_kbps)),
        ),
        (
            "mbpsRecvRate",
            "mbps_recv_rate",
            json!(megabits(publisher.bitrate_1s_kbps)),
        ),
        ("msRcvBuf", "ms_rcv_buf", json!(millis(publisher.buffer))),
        (
            "pktRcvDrop",
            "pkt_rcv_drop",
            json!(publisher.dropped_packets),
        ),
        ("pktRcvLoss", "pkt_rcv_loss", json!(publisher.lost_packets)),
        ("pktRecv", "pkt_recv", json!(publisher.packets)),
    ];
    let mut fields = json!({
        "bitrate": publisher.bitrate_1s_kbps,
        "latency": millis(publisher.latency),
        "rtt": rtt_ms(publisher),
        "uptime": publisher.uptime.as_secs(),
    });
    for (camel, snake, value) in pairs {
        fields[camel] = value.clone();
        fields[snake] = value;
    }
    fields
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::kernel::ids::SlotId;
    use crate::relay::engine::{StreamStats, Traffic};

    fn slot_in(state: State) -> SlotStatus {
        let publisher = PublisherStats {
            bitrate_1s_kbps: 6000,
            bitrate_5s_kbps: 5900,
            rtt: Duration::from_micros(41_500),
            latency: Duration::from_secs(2),
            buffer: Duration::from_millis(1900),
            uptime: Duration::from_secs(5),
            packets: 100,
            bytes: 131_600,
            lost_packets: 2,
            retransmitted_packets: 2,
            dropped_packets: 1,
            dropped_bytes: 1316,
            ..PublisherStats::default()
        };
        let figures = StreamStats {
            slot_id: SlotId::generate(),
            publisher: Some(publisher),
            players: Vec::new(),
            received: Traffic {
                packets: 100,
                bytes: 131_600,
            },
            sent: Traffic::default(),
        };
        SlotStatus {
            state,
            since: None,
            broadcast_started_at: None,
            stats: Some(Arc::new(figures)),
            stats_age: Duration::ZERO,
            history_kbps: Vec::new(),
        }
    }

    #[test]
    fn the_legacy_shape_has_every_field_in_both_spellings() {
        let live = &legacy(&slot_in(State::Live))["publishers"]["live"];
        let expected = json!({
            "bitrate": 6000, "latency": 2000, "rtt": 41.5, "uptime": 5,
            "bytesRcvDrop": 1316, "bytes_rcv_drop": 1316,
            "bytesRcvLoss": 2632, "bytes_rcv_loss": 2632,
            "mbpsBandwidth": 0.0, "mbps_bandwidth": 0.0,
            "mbpsRecvRate": 6.0, "mbps_recv_rate": 6.0,
            "msRcvBuf": 1900, "ms_rcv_buf": 1900,
            "pktRcvDrop": 1, "pkt_rcv_drop": 1,
            "pktRcvLoss": 2, "pkt_rcv_loss": 2,
            "pktRecv": 100, "pkt_recv": 100,
        });
        assert_eq!(*live, expected);
    }

    #[test]
    fn offline_is_an_answer_and_no_error() {
        let offline = slot_in(State::Offline);
        assert_eq!(legacy(&offline)["publishers"], json!({}));
        assert_eq!(legacy(&offline)["status"], "ok");
        assert!(flat(&offline).get("publisher").is_none());
        let flat = flat(&slot_in(State::Live))["publisher"].clone();
        assert_eq!(flat["buffer"], 1900);
        assert_eq!(
            (&flat["bitrate_5s"], &flat["retransmitted_pkts"]),
            (&json!(5900), &json!(2))
        );
    }
}
