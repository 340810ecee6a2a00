//! The registry of all figures, and what is looked up when somebody reads them.
//!
//! Invariant: every family of ours stands there from the first scrape; `packaging/metrics.md` lists them.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::stores::Stores;
use crate::db::DbFigures;
use crate::http::HttpMetrics;
use crate::jobs::JobMetrics;
use crate::live::RelayMetrics;
use crate::plans::billing::BillingMetrics;
use crate::relay::engine::Engine;
use crate::relay::nodes::NodeHealth;
use crate::relay::service::NodeLoad;
use crate::relay::{ProvisionMetrics, RelayService, Status};
use crate::system::health::BeforeScrape;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabel {
    event: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NodeLabel {
    node: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DatabaseLabel {
    database: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabel {
    version: &'static str,
}

/// The figures of every room.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) http: HttpMetrics,
    pub(super) jobs: JobMetrics,
    pub(super) billing: BillingMetrics,
    pub(super) relay: RelayMetrics,
    pub(super) provision: ProvisionMetrics,
    looked_up: LookedUp,
}

/// What nobody counts: it is looked up before a scrape. Cheap to clone.
#[derive(Debug, Clone, Default)]
struct LookedUp {
    sessions: Family<StateLabel, Gauge>,
    ports: Family<EventLabel, Gauge>,
    assignments: Family<NodeLabel, Gauge>,
    nodes_up: Family<NodeLabel, Gauge>,
    queue: Family<DatabaseLabel, Gauge>,
    file_bytes: Family<DatabaseLabel, Gauge>,
    wal_bytes: Family<DatabaseLabel, Gauge>,
    damaged: Family<DatabaseLabel, Gauge>,
}

impl Figures {
    /// Everything under one registry, each name once, all at zero.
    pub(super) fn registry(&self, stores: &Stores) -> Registry {
        let mut registry = Registry::with_prefix("glb");
        self.http.register(&mut registry);
        self.jobs.register(&mut registry);
        self.relay.register(&mut registry);
        self.billing.register(&mut registry);
        self.provision.register(&mut registry);
        let databases = stores.both().into_iter();
        let databases = databases.map(|(name, store)| (name, store.metrics().clone()));
        registry.register_collector(Box::new(DbFigures::of(databases.collect())));
        self.looked_up.register(&mut registry);
        let build = Family::<BuildLabel, Gauge>::default();
        let version = env!("CARGO_PKG_VERSION");
        build.get_or_create(&BuildLabel { version }).set(1);
        registry.register("build_info", "The running version", build);
        registry
    }

    /// Looks up what nobody counts.
    pub(super) fn before_scrape(
        &self,
        stores: &Stores,
        relay: &RelayService,
        engine: &Arc<dyn Engine>,
    ) -> BeforeScrape {
        let looked_up = self.looked_up.clone();
        let provision = self.provision.clone();
        let (stores, relay, engine) = (stores.clone(), relay.clone(), Arc::clone(engine));
        BeforeScrape::new(move || {
            let (looked_up, provision) = (looked_up.clone(), provision.clone());
            let (stores, relay, engine) = (stores.clone(), relay.clone(), Arc::clone(&engine));
            async move {
                looked_up.look_at_stores(&stores);
                looked_up.count_sessions(&relay).await;
                looked_up.count_assignments(&relay, &provision).await;
                looked_up.count_events(engine.as_ref()).await;
            }
        })
    }
}

impl LookedUp {
    fn register(&self, registry: &mut Registry) {
        let help = "Open relay sessions by state";
        registry.register("relay_sessions", help, self.sessions.clone());
        let help = "Sessions that have a place at a node";
        registry.register("relay_assignments", help, self.assignments.clone());
        let help = "0 for a node that does not answer, else 1";
        registry.register("relay_node_up", help, self.nodes_up.clone());
        let help = "What happened on the relay's ports since its start";
        registry.register("relay_port_events", help, self.ports.clone());
        registry.register("db_queue_jobs", "Write jobs that wait", self.queue.clone());
        let help = "Size of a database file";
        registry.register("db_file_bytes", help, self.file_bytes.clone());
        let help = "Size of a database's write-ahead log";
        registry.register("db_wal_bytes", help, self.wal_bytes.clone());
        let help = "1 for a database that was found damaged: nothing is written to it";
        registry.register("db_damaged", help, self.damaged.clone());
    }

    fn look_at_stores(&self, stores: &Stores) {
        for (database, store) in stores.both() {
            let label = DatabaseLabel { database };
            let waiting = number(store.queue_depth());
            self.queue.get_or_create(&label).set(waiting);
            let (file, wal) = store.size_bytes();
            self.file_bytes.get_or_create(&label).set(number(file));
            self.wal_bytes.get_or_create(&label).set(number(wal));
            let is_damaged = i64::from(store.is_damaged());
            self.damaged.get_or_create(&label).set(is_damaged);
        }
    }

    async fn count_sessions(&self, relay: &RelayService) {
        let counts = match relay.open_counts().await {
            Ok(counts) => counts,
            Err(error) => {
                return tracing::warn!(error = %error, "sessions could not be counted");
            }
        };
        for status in Status::OPEN {
            let found = counts.iter().find(|(counted, _)| *counted == status);
            let count = found.map_or(0, |(_, count)| *count);
            let state = status.as_str();
            let gauge = self.sessions.get_or_create(&StateLabel { state });
            gauge.set(number(count));
        }
    }

    async fn count_assignments(&self, relay: &RelayService, provision: &ProvisionMetrics) {
        let loads = match relay.node_loads().await {
            Ok(loads) => loads,
            Err(error) => {
                return tracing::warn!(error = %error, "assignments could not be counted");
            }
        };
        // A node that was removed must not stand there for ever.
        self.assignments.clear();
        self.nodes_up.clear();
        for NodeLoad { node, sessions } in loads {
            provision.announce(&node);
            let name = node.facts.name.clone();
            let label = NodeLabel { node: name };
            self.assignments
                .get_or_create(&label)
                .set(i64::from(sessions));
            let (health, _) = node.health();
            let is_up = i64::from(health != NodeHealth::Down);
            self.nodes_up.get_or_create(&label).set(is_up);
        }
    }

    async fn count_events(&self, engine: &dyn Engine) {
        match engine.counters().await {
            Ok(counters) => {
                for (event, count) in counters {
                    let gauge = self.ports.get_or_create(&EventLabel { event });
                    gauge.set(number(count));
                }
            }
            Err(error) => tracing::warn!(error = %error, "the relay's counters could not be read"),
        }
    }
}

/// As a gauge holds it.
fn number(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}
