//! Figures of the relay as a whole; never by user or session.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::readings::{PACKET_KINDS, Packets};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Direction {
    direction: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PacketKind {
    direction: &'static str,
    kind: &'static str,
}

/// Bytes and packets carried, and slots on air. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct RelayMetrics {
    bytes: Family<Direction, Counter>,
    packets: Family<PacketKind, Counter>,
    /// Slots on air now.
    pub slots_on_air: Gauge,
}

impl RelayMetrics {
    /// Shows the figures under `relay_`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "relay_bytes",
            "Media bytes received and sent",
            self.bytes.clone(),
        );
        registry.register(
            "relay_packets",
            "Media packets of publishers (in) and players (out) by what became of them",
            self.packets.clone(),
        );
        registry.register(
            "relay_slots_on_air",
            "Slots on air",
            self.slots_on_air.clone(),
        );
        self.count_bytes(0, 0);
        self.count_packets(Packets::default());
    }

    pub(super) fn count_packets(&self, packets: Packets) {
        for ((direction, kind), count) in PACKET_KINDS.into_iter().zip(packets) {
            self.packets
                .get_or_create(&PacketKind { direction, kind })
                .inc_by(count);
        }
    }

    pub(super) fn count_bytes(&self, received: u64, sent: u64) {
        for (direction, bytes) in [("in", received), ("out", sent)] {
            self.bytes
                .get_or_create(&Direction { direction })
                .inc_by(bytes);
        }
    }
}
