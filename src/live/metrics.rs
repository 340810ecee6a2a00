//! Figures of the relay as a whole; never by user or session.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::relay::engine::Traffic;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Direction {
    direction: &'static str,
}

/// Media carried and slots on air. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct RelayMetrics {
    packets: Family<Direction, Counter>,
    bytes: Family<Direction, Counter>,
    /// Slots on air now.
    pub slots_on_air: Gauge,
}

impl RelayMetrics {
    /// Shows the figures under `relay_`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "relay_packets",
            "Media packets received and sent",
            self.packets.clone(),
        );
        registry.register(
            "relay_bytes",
            "Media bytes received and sent",
            self.bytes.clone(),
        );
        registry.register(
            "relay_slots_on_air",
            "Slots on air",
            self.slots_on_air.clone(),
        );
        self.count(Traffic::default(), Traffic::default());
    }

    pub(super) fn count(&self, received: Traffic, sent: Traffic) {
        for (direction, traffic) in [("in", received), ("out", sent)] {
            let direction = Direction { direction };
            self.packets
                .get_or_create(&direction)
                .inc_by(traffic.packets);
            self.bytes.get_or_create(&direction).inc_by(traffic.bytes);
        }
    }
}
