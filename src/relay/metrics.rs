//! Figures of bringing streams up at nodes and of dropping them there.
//!
//! Invariant: labels are engines, regions and outcomes; never a user, a slot or a session.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::nodes::Node;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    provider: &'static str,
    region: String,
    status: &'static str,
}

/// Upper bounds in milliseconds, as the contract lists them.
const BUCKETS_MS: [f64; 12] = [
    25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10_000.0, 30_000.0, 60_000.0,
    120_000.0,
];

/// How often and how long something was done at nodes.
#[derive(Debug, Clone)]
struct Deeds {
    count: Family<Labels, Counter>,
    latency_ms: Family<Labels, Histogram>,
}

impl Default for Deeds {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(BUCKETS_MS);
        Self {
            count: Family::default(),
            latency_ms: Family::new_with_constructor(histogram),
        }
    }
}

impl Deeds {
    fn observe(&self, node: &Node, is_ok: bool, elapsed: Duration) {
        let labels = labels(node, is_ok);
        self.count.get_or_create(&labels).inc();
        let latency_ms = elapsed.as_secs_f64() * 1000.0;
        self.latency_ms.get_or_create(&labels).observe(latency_ms);
    }

    fn announce(&self, node: &Node) {
        for is_ok in [true, false] {
            let labels = labels(node, is_ok);
            drop(self.count.get_or_create(&labels));
            drop(self.latency_ms.get_or_create(&labels));
        }
    }
}

fn labels(node: &Node, is_ok: bool) -> Labels {
    Labels {
        provider: node.engine.name(),
        region: node.facts.region.clone(),
        status: if is_ok { "ok" } else { "error" },
    }
}

/// Sessions brought up and streams dropped, by engine, region and outcome. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct ProvisionMetrics {
    provision: Deeds,
    deprovision: Deeds,
}

impl ProvisionMetrics {
    /// Shows the figures under `relay_`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "relay_provision",
            "Sessions brought up at a node, by outcome",
            self.provision.count.clone(),
        );
        registry.register(
            "relay_provision_latency_ms",
            "Time until a session was up at a node, or had failed, in ms",
            self.provision.latency_ms.clone(),
        );
        registry.register(
            "relay_deprovision",
            "Streams that a node was told to forget, by outcome",
            self.deprovision.count.clone(),
        );
        registry.register(
            "relay_deprovision_latency_ms",
            "Time until a node had forgotten a stream, or had failed to, in ms",
            self.deprovision.latency_ms.clone(),
        );
    }

    /// Makes the figures of a node stand at zero.
    pub fn announce(&self, node: &Node) {
        self.provision.announce(node);
        self.deprovision.announce(node);
    }

    pub(super) fn provisioned(&self, node: &Node, is_ok: bool, elapsed: Duration) {
        self.provision.observe(node, is_ok, elapsed);
    }

    pub(super) fn deprovisioned(&self, node: &Node, is_ok: bool, elapsed: Duration) {
        self.deprovision.observe(node, is_ok, elapsed);
    }
}
