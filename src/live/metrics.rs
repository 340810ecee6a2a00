//! Figures of the relay as a whole; never by user or session.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Direction {
    direction: &'static str,
}

/// Bytes carried and slots on air. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct RelayMetrics {
    bytes: Family<Direction, Counter>,
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
            "relay_slots_on_air",
            "Slots on air",
            self.slots_on_air.clone(),
        );
        self.count_bytes(0, 0);
    }

    pub(super) fn count_bytes(&self, received: u64, sent: u64) {
        for (direction, bytes) in [("in", received), ("out", sent)] {
            self.bytes
                .get_or_create(&Direction { direction })
                .inc_by(bytes);
        }
    }
}
