//! What the rest of the house asks about live slots.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::broadcast;

use super::carriers::{Carriers, Looked};
use super::frames::{Frames, Look};
use super::hub::{Hub, Revision, SlotStatus};
use super::links::{Link, PerLink};
use super::metrics::RelayMetrics;
use super::model::State;
use super::poller::{MediaListener, Poller};
use super::store::{self, BroadcastOfSlot, MinuteOfSlot};
use crate::db::{DbError, Store};
use crate::kernel::ids::SlotId;
use crate::kernel::{Clock, Result, UnixMillis};
use crate::relay::Nodes;
use crate::relay::engine::Capabilities;
use crate::relay::nodes::NodeHealth;

/// Samples deleted in one write, so that the writer is not held.
const RETENTION_BATCH: u32 = 5_000;

/// Deletes rows that are older than a moment, at most so many.
type DeleteBefore =
    fn(&rusqlite::Connection, UnixMillis, u32) -> std::result::Result<usize, DbError>;

/// The latency that the addresses recommend, where the relay takes it: enough for several repetitions over a
/// mobile network's round trip of 100 to 300 ms, short enough for a chat.
const LATENCY: Duration = Duration::from_secs(2);

/// Live status and figures. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LiveService {
    poller: Arc<Poller>,
    latency: Duration,
    frames: Frames,
}

impl LiveService {
    /// Makes the service; [`Self::poll`] drives it.
    #[must_use]
    pub fn new(
        nodes: Nodes,
        listener: Arc<dyn MediaListener>,
        telemetry: Store,
        clock: Clock,
        metrics: RelayMetrics,
        carriers: Carriers,
    ) -> Self {
        let hub = Hub::default();
        let poller = Poller {
            nodes,
            listener,
            hub,
            telemetry,
            clock,
            metrics,
            carriers,
        };
        Self {
            poller: Arc::new(poller),
            latency: LATENCY,
            frames: Frames::default(),
        }
    }

    /// With the bounds of the latency that the relay negotiates.
    #[must_use]
    pub fn with_latency_bounds(self, bounds: RangeInclusive<Duration>) -> Self {
        let latency = LATENCY.min(*bounds.end()).max(*bounds.start());
        Self { latency, ..self }
    }

    /// The latency to recommend to programs.
    #[must_use]
    pub fn recommended_latency(&self) -> Duration {
        self.latency
    }

    /// Whether the relay can encrypt, so that a slot may have a passphrase.
    #[must_use]
    pub fn can_encrypt(&self) -> bool {
        self.local_capabilities().has_passphrase
    }

    /// Whether the relay can cut off who is connected.
    #[must_use]
    pub fn can_cut_off(&self) -> bool {
        self.local_capabilities().can_disconnect
    }

    fn local_capabilities(&self) -> Capabilities {
        self.poller.nodes.local().engine.capabilities()
    }

    /// Reads how the slots stood when the server stopped. Once, before [`Self::poll`].
    pub async fn remember(&self) {
        self.poller.remember().await;
    }

    /// Polls until it is dropped.
    pub async fn poll(&self) {
        self.poller.run().await;
    }

    /// Reads the database of carriers' names, when it is another one than before.
    ///
    /// # Errors
    /// When the reading was cut off; a database that cannot be read is told by [`Self::notices`].
    pub async fn look_up_carriers(&self) -> std::result::Result<Looked, tokio::task::JoinError> {
        let carriers = self.poller.carriers.clone();
        // A file of several megabytes would hold the tasks of this thread.
        tokio::task::spawn_blocking(move || carriers.look()).await
    }

    /// What an operator should know of and can mend; each with its remedy.
    pub async fn notices(&self) -> Vec<String> {
        let local = self.poller.nodes.local();
        let mut notices = local.engine.notices().await;
        notices.extend(self.poller.carriers.trouble());
        for node in self
            .poller
            .nodes
            .pool()
            .nodes
            .iter()
            .filter(|node| !node.is_local())
        {
            if let (NodeHealth::Down, why) = node.health() {
                let name = &node.facts.name;
                notices.push(format!("Relay node {name} is down, see Nodes: {why}"));
            }
        }
        notices
    }

    /// The moment that [`Self::status`] is of.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        self.poller.clock.now()
    }

    /// A slot's status now.
    #[must_use]
    pub fn status(&self, slot_id: SlotId) -> SlotStatus {
        self.poller
            .hub
            .status(slot_id, self.poller.clock.monotonic())
    }

    /// A slot's state and which figures of it are the newest.
    #[must_use]
    pub fn state(&self, slot_id: SlotId) -> (State, Revision) {
        self.poller.hub.state(slot_id)
    }

    /// At most `limit` slots that are on air.
    #[must_use]
    pub fn slots_on_air(&self, limit: usize) -> Vec<SlotId> {
        self.poller.hub.slots_on_air(limit)
    }

    /// The event that tells a look of a slot, made by `make` unless there is one of its newest figures.
    pub(super) fn frame<E>(
        &self,
        look: Look,
        make: impl FnOnce(Revision) -> std::result::Result<Bytes, E>,
    ) -> std::result::Result<Bytes, E> {
        let (_, revision) = self.state(look.slot_id);
        let now = self.poller.clock.monotonic();
        self.frames
            .get_or_make(look, revision.number, now, || make(revision))
    }

    /// A slot is to be looked at again: something that its card shows has changed.
    pub fn touch(&self, slot_id: SlotId) {
        self.poller.hub.touch(slot_id);
    }

    /// Ids of slots as they change.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<SlotId> {
        self.poller.hub.subscribe()
    }

    /// The links of a slot's publisher; `stream_id` is the whole publish key.
    #[must_use]
    pub fn per_link(&self, slot_id: SlotId, stream_id: String) -> PerLink {
        let (links, age) = self
            .poller
            .hub
            .links(slot_id, self.poller.clock.monotonic());
        let connections = links.iter().map(|link| Link::new(link, age)).collect();
        PerLink {
            stream_id,
            connections,
        }
    }

    /// All that is kept of a slot's media, oldest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn history(
        &self,
        slot_id: SlotId,
    ) -> Result<(Vec<MinuteOfSlot>, Vec<BroadcastOfSlot>)> {
        let read = move |conn: &rusqlite::Connection| store::history_of_slot(conn, slot_id);
        Ok(self.poller.telemetry.read(read).await?)
    }

    /// Deletes all that is kept of slots whose user goes.
    ///
    /// # Errors
    /// The store's.
    pub async fn forget_slots(&self, slots: &[SlotId]) -> Result<()> {
        for slot_id in slots.iter().copied() {
            loop {
                let batch = move |tx: &crate::db::Tx<'_>| {
                    store::broadcast_delete_of_slot(tx, slot_id)?;
                    store::sample_delete_of_slot(tx, slot_id, RETENTION_BATCH)
                };
                if self.poller.telemetry.write(batch).await? < RETENTION_BATCH as usize {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Deletes samples and broadcasts older than `retention` and says how many rows.
    ///
    /// # Errors
    /// The store's.
    pub async fn forget_old_samples(&self, retention: Duration) -> Result<usize> {
        let samples = self.forget(retention, store::sample_delete_before).await?;
        let broadcasts = self
            .forget(retention, store::broadcast_delete_before)
            .await?;
        Ok(samples + broadcasts)
    }

    async fn forget(&self, retention: Duration, delete: DeleteBefore) -> Result<usize> {
        let before = self.poller.clock.now() - retention;
        let mut total = 0;
        loop {
            let batch = move |tx: &crate::db::Tx<'_>| delete(tx, before, RETENTION_BATCH);
            let deleted = self.poller.telemetry.write(batch).await?;
            total += deleted;
            if deleted < RETENTION_BATCH as usize {
                return Ok(total);
            }
        }
    }
}
