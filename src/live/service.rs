//! What the rest of the house asks about live slots.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;

use super::hub::{Hub, SlotStatus};
use super::links::{Link, PerLink};
use super::metrics::RelayMetrics;
use super::poller::{MediaListener, Poller};
use super::store;
use crate::db::Store;
use crate::kernel::ids::SlotId;
use crate::kernel::{Clock, Result, UnixMillis};
use crate::relay::engine::Engine;

/// Samples deleted in one write, so that the writer is not held.
const RETENTION_BATCH: u32 = 5_000;

/// Live status and figures. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LiveService(Arc<Poller>);

impl LiveService {
    /// Makes the service; [`Self::poll`] drives it.
    #[must_use]
    pub fn new(
        engine: Arc<dyn Engine>,
        listener: Arc<dyn MediaListener>,
        telemetry: Store,
        clock: Clock,
        metrics: RelayMetrics,
    ) -> Self {
        let hub = Hub::default();
        Self(Arc::new(Poller {
            engine,
            listener,
            hub,
            telemetry,
            clock,
            metrics,
        }))
    }

    /// Reads how the slots stood when the server stopped. Once, before [`Self::poll`].
    pub async fn remember(&self) {
        self.0.remember().await;
    }

    /// Polls until it is dropped.
    pub async fn poll(&self) {
        self.0.run().await;
    }

    /// The moment that [`Self::status`] is of.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        self.0.clock.now()
    }

    /// A slot's status now.
    #[must_use]
    pub fn status(&self, slot_id: SlotId) -> SlotStatus {
        self.0.hub.status(slot_id, self.0.clock.monotonic())
    }

    /// Ids of slots as they change.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<SlotId> {
        self.0.hub.subscribe()
    }

    /// The links of a slot's publisher; `stream_id` is the whole publish key.
    #[must_use]
    pub fn per_link(&self, slot_id: SlotId, stream_id: String) -> PerLink {
        let (links, age) = self.0.hub.links(slot_id, self.0.clock.monotonic());
        let connections = links.iter().map(|link| Link::new(link, age)).collect();
        PerLink {
            stream_id,
            connections,
        }
    }

    /// Deletes samples older than `retention` and says how many.
    ///
    /// # Errors
    /// The store's.
    pub async fn forget_old_samples(&self, retention: Duration) -> Result<usize> {
        let before = self.0.clock.now() - retention;
        let mut total = 0;
        loop {
            let batch = move |tx: &crate::db::Tx<'_>| {
                store::sample_delete_before(tx, before, RETENTION_BATCH)
            };
            let deleted = self.0.telemetry.write(batch).await?;
            total += deleted;
            if deleted < RETENTION_BATCH as usize {
                return Ok(total);
            }
        }
    }
}
