//! The registry of all figures, and what is looked up when somebody reads them.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::db::Store;
use crate::http::HttpMetrics;
use crate::jobs::JobMetrics;
use crate::live::RelayMetrics;
use crate::plans::billing::BillingMetrics;
use crate::relay::engine::Engine;
use crate::relay::{RelayService, Status};
use crate::system::health::BeforeScrape;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabel {
    event: &'static str,
}

/// The figures of every room.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) http: HttpMetrics,
    pub(super) jobs: JobMetrics,
    pub(super) relay: RelayMetrics,
    pub(super) billing: BillingMetrics,
    sessions: Family<StateLabel, Gauge>,
    ports: Family<EventLabel, Gauge>,
    queue: Gauge,
}

impl Figures {
    /// Everything under one registry, each name once, all at zero.
    pub(super) fn registry(&self, main: &Store) -> Registry {
        let mut registry = Registry::with_prefix("glb");
        self.http.register(&mut registry);
        self.jobs.register(&mut registry);
        self.relay.register(&mut registry);
        self.billing.register(&mut registry);
        main.metrics().register(&mut registry);
        let help = "Open relay sessions by state";
        registry.register("relay_sessions", help, self.sessions.clone());
        let help = "What happened on the relay's ports since its start";
        registry.register("relay_port_events", help, self.ports.clone());
        registry.register("db_queue_jobs", "Write jobs that wait", self.queue.clone());
        for status in Status::OPEN {
            drop(self.sessions.get_or_create(&StateLabel {
                state: status.as_str(),
            }));
        }
        registry
    }

    /// Looks up what nobody counts: sessions by state, the relay's ports, the queue.
    pub(super) fn before_scrape(
        &self,
        main: &Store,
        relay: &RelayService,
        engine: &Arc<dyn Engine>,
    ) -> BeforeScrape {
        let (sessions, ports, queue) = (
            self.sessions.clone(),
            self.ports.clone(),
            self.queue.clone(),
        );
        let (main, relay, engine) = (main.clone(), relay.clone(), Arc::clone(engine));
        BeforeScrape::new(move || {
            let (sessions, ports, queue) = (sessions.clone(), ports.clone(), queue.clone());
            let (main, relay, engine) = (main.clone(), relay.clone(), Arc::clone(&engine));
            async move {
                queue.set(i64::try_from(main.queue_depth()).unwrap_or(i64::MAX));
                count_sessions(&relay, &sessions).await;
                count_events(engine.as_ref(), &ports).await;
            }
        })
    }
}

async fn count_sessions(relay: &RelayService, gauges: &Family<StateLabel, Gauge>) {
    match relay.open_counts().await {
        Ok(counts) => {
            for status in Status::OPEN {
                let found = counts.iter().find(|(counted, _)| *counted == status);
                let count = found.map_or(0, |(_, count)| *count);
                let gauge = gauges.get_or_create(&StateLabel {
                    state: status.as_str(),
                });
                gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
            }
        }
        Err(error) => tracing::warn!(error = %error, "sessions could not be counted"),
    }
}

async fn count_events(engine: &dyn Engine, gauges: &Family<EventLabel, Gauge>) {
    match engine.counters().await {
        Ok(counters) => {
            for (event, count) in counters {
                let gauge = gauges.get_or_create(&EventLabel { event });
                gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
            }
        }
        Err(error) => tracing::warn!(error = %error, "the relay's counters could not be read"),
    }
}
