//! The one poller: the nodes' events wake it, its tick of a second is only for figures.
//!
//! A slot's media may be at two nodes for a while, as when it moves. What counts is the node whose media are the
//! freshest; that the other one lost them changes nothing.
//!
//! Invariant: bytes are counted once per node, a second of a slot once in all.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::MissedTickBehavior;

use super::carriers::Carriers;
use super::hub::{HISTORY_SECONDS, Hub, Past, Step};
use super::metrics::RelayMetrics;
use super::model::{Change, ERROR_GRACE};
use super::readings::Readings;
use super::sources::{Merged, Sources};
use super::store::{self, Sample};
use crate::db::{DbError, Store};
use crate::kernel::ids::{EventId, NodeId, SlotId};
use crate::kernel::{Clock, UnixMillis, error_chain};
use crate::relay::engine::{EngineEvent, StreamStats};
use crate::relay::nodes::{MediaEvent, NodeFigures};
use crate::relay::{Nodes, RelayService};

const TICK: Duration = Duration::from_secs(1);
/// When figures were not read for longer, bytes that came meanwhile prove one second and no more.
const BLIND_AFTER: Duration = Duration::from_secs(10);

/// Whom the poller tells of media: the relay's sessions.
#[async_trait]
pub trait MediaListener: Send + Sync + std::fmt::Debug {
    /// Media of a slot began or came back.
    async fn media_arrived(&self, slot_id: SlotId);
    /// A slot went offline.
    async fn media_lost(&self, slot_id: SlotId);
    /// Bytes flowed during the last `seconds` before `ended_at`.
    async fn media_seconds(&self, slot_id: SlotId, seconds: u64, ended_at: UnixMillis);
    /// Bytes flowed sometime between `from` and `until`, when figures could not be read.
    async fn media_unseen(&self, slot_id: SlotId, from: UnixMillis, until: UnixMillis);
}

#[async_trait]
impl MediaListener for RelayService {
    async fn media_arrived(&self, slot_id: SlotId) {
        if let Err(error) = Self::media_arrived(self, slot_id).await {
            tracing::error!(slot.id = %slot_id, cause = error_chain(&error), "media not noted");
        }
    }

    async fn media_lost(&self, slot_id: SlotId) {
        if let Err(error) = Self::media_lost(self, slot_id).await {
            tracing::error!(slot.id = %slot_id, cause = error_chain(&error), "end not noted");
        }
    }

    async fn media_seconds(&self, slot_id: SlotId, seconds: u64, ended_at: UnixMillis) {
        Self::media_seconds(self, slot_id, seconds, ended_at);
    }

    async fn media_unseen(&self, slot_id: SlotId, from: UnixMillis, until: UnixMillis) {
        Self::media_unseen(self, slot_id, from, until);
    }
}

/// Everything the poller needs.
#[derive(Debug)]
pub(super) struct Poller {
    pub(super) nodes: Nodes,
    pub(super) listener: Arc<dyn MediaListener>,
    pub(super) hub: Hub,
    pub(super) telemetry: Store,
    pub(super) clock: Clock,
    pub(super) metrics: RelayMetrics,
    pub(super) carriers: Carriers,
}

/// What the poller keeps from one tick to the next.
#[derive(Debug)]
struct Previous {
    /// When nodes were asked last, those included that did not answer.
    last_tick_at: Duration,
    nodes: HashMap<NodeId, NodeReadings>,
}

/// How long bytes of a slot flowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Flowed {
    /// Seconds that count.
    seconds: u64,
    /// What nobody saw before them.
    unseen: Duration,
}

impl Flowed {
    /// When bytes came since the reading `elapsed` ago.
    fn within(elapsed: Duration) -> Self {
        if elapsed > BLIND_AFTER {
            return Self {
                seconds: 1,
                unseen: elapsed.saturating_sub(TICK),
            };
        }
        Self {
            seconds: (elapsed + TICK / 2).as_secs(),
            unseen: Duration::ZERO,
        }
    }
}

/// What was read of one node.
#[derive(Debug)]
struct NodeReadings {
    /// When figures were read last.
    at: Duration,
    readings: Readings,
}

impl Previous {
    fn beginning_at(began_at: Duration) -> Self {
        Self {
            last_tick_at: began_at,
            nodes: HashMap::new(),
        }
    }

    /// What was read of a node; one that is new counts from the last tick on.
    fn of_node(&mut self, id: NodeId) -> &mut NodeReadings {
        let at = self.last_tick_at;
        self.nodes.entry(id).or_insert_with(|| NodeReadings {
            at,
            readings: Readings::default(),
        })
    }
}

impl Poller {
    /// Reads how the slots stood when the server stopped.
    pub(super) async fn remember(&self) {
        let past = self.telemetry.read(|conn| {
            Ok::<_, DbError>((
                store::broadcast_last_by_slot(conn)?,
                store::sample_newest(conn)?,
            ))
        });
        let (broadcasts, newest_sample) = match past.await {
            Ok(past) => past,
            Err(error) => return tracing::error!(error = %error, "past broadcasts cannot be read"),
        };
        let (now, wall) = (self.clock.monotonic(), self.clock.now());
        let stopped_at = newest_sample.unwrap_or(wall);
        for (slot_id, last) in broadcasts {
            let past = match last.ended_at {
                Some(ended_at) => Past::Ended(ended_at),
                None if wall.since(stopped_at) <= ERROR_GRACE * 8 => {
                    Past::Interrupted(last.id, last.started_at)
                }
                None => {
                    self.end_broadcast(last.id, stopped_at).await;
                    self.listener.media_lost(slot_id).await;
                    Past::Ended(stopped_at)
                }
            };
            if let Past::Interrupted(..) = past {
                // Its session waits for the media as the hub does, and enters grace when they do not come.
                self.listener.media_arrived(slot_id).await;
            }
            self.hub.remember(slot_id, past, now);
            self.recall_history(slot_id, wall).await;
        }
    }

    async fn recall_history(&self, slot_id: SlotId, wall: UnixMillis) {
        let first = wall - TICK * u32::try_from(HISTORY_SECONDS).unwrap_or(u32::MAX);
        let samples = self
            .telemetry
            .read(move |conn| store::sample_bitrates(conn, slot_id, first));
        match samples.await {
            Ok(samples) if samples.is_empty() => {}
            Ok(samples) => {
                let by_second: HashMap<_, _> = samples
                    .into_iter()
                    .map(|(at, kbps)| (at.seconds(), kbps))
                    .collect();
                let seconds = first.seconds() + 1..=wall.seconds();
                self.hub.recall(
                    slot_id,
                    seconds.map(|second| by_second.get(&second).copied()),
                );
            }
            Err(error) => tracing::warn!(error = %error, "past figures cannot be read"),
        }
    }

    /// Runs until it is dropped.
    pub(super) async fn run(&self) {
        let mut events = self.nodes.media_events();
        let mut sources = Sources::default();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut previous = Previous::beginning_at(self.clock.monotonic());
        loop {
            tokio::select! {
                told = events.next() => match told {
                    MediaEvent::Event(node_id, event) => {
                        if sources.is_news(node_id, event) {
                            self.on_event(event).await;
                        }
                    }
                    // The next tick's figures make up for what was missed.
                    MediaEvent::Missed(missed) => tracing::warn!(missed, "engine events missed"),
                },
                _ = ticks.tick() => self.on_tick(&mut previous, &mut sources).await,
            }
        }
    }

    async fn on_event(&self, event: EngineEvent) {
        let (now, wall) = (self.clock.monotonic(), self.clock.now());
        let step = match event {
            EngineEvent::MediaStarted(slot_id) => self.hub.media(slot_id, now, wall),
            EngineEvent::PublisherGone(slot_id, ended) => self.hub.gone(slot_id, ended, now, wall),
        };
        self.act(step, wall).await;
    }

    async fn on_tick(&self, previous: &mut Previous, sources: &mut Sources) {
        let read = self.nodes.figures().await;
        let (now, wall) = (self.clock.monotonic(), self.clock.now());
        previous
            .nodes
            .retain(|id, _| read.iter().any(|it| it.node_id == *id));
        let (mut merged, mut metered) = (Merged::default(), HashMap::new());
        for NodeFigures { node_id, streams } in read {
            let of_node = previous.of_node(node_id);
            match streams {
                Ok(mut streams) => {
                    self.name_carriers(&mut streams);
                    let elapsed = now.saturating_sub(of_node.at);
                    of_node.at = now;
                    self.count(&streams, &mut of_node.readings, elapsed, &mut metered);
                    merged.add(node_id, streams);
                }
                Err(error) => {
                    // What flowed meanwhile is metered by the next reading.
                    tracing::warn!(node.id = %node_id, error = %error, "no figures from a relay node");
                }
            }
        }
        previous.last_tick_at = now;
        for (slot_id, flowed) in metered {
            if !flowed.unseen.is_zero() {
                let until = wall - Duration::from_secs(flowed.seconds);
                let from = until - flowed.unseen;
                self.listener.media_unseen(slot_id, from, until).await;
            }
            let seconds = flowed.seconds;
            self.listener.media_seconds(slot_id, seconds, wall).await;
        }
        let streams = merged.finish(sources);
        self.store_samples(&streams, wall).await;
        for step in self.hub.figures(streams, now, wall) {
            self.act(step, wall).await;
        }
        self.metrics
            .slots_on_air
            .set(i64::try_from(self.hub.on_air()).unwrap_or(i64::MAX));
    }

    fn name_carriers(&self, streams: &mut [StreamStats]) {
        let publishers = streams
            .iter_mut()
            .filter_map(|stream| stream.publisher.as_mut());
        for link in publishers.flat_map(|publisher| &mut publisher.links) {
            // Ours comes first; a node may have a database of its own.
            let named = self.carriers.name_of(link.address.ip());
            link.carrier = named.or_else(|| link.carrier.take());
        }
    }

    async fn store_samples(&self, streams: &[StreamStats], wall: UnixMillis) {
        let samples: Vec<_> = streams
            .iter()
            .filter_map(|stream| sample_of(stream, wall))
            .collect();
        if samples.is_empty() {
            return;
        }
        let stored = self
            .telemetry
            .write(move |tx| store::sample_insert_all(tx, &samples));
        if let Err(error) = stored.await {
            tracing::warn!(error = %error, "a second of figures could not be stored");
        }
    }

    /// A second counts when bytes flowed in it.
    fn count(
        &self,
        streams: &[StreamStats],
        readings: &mut Readings,
        elapsed: Duration,
        metered: &mut HashMap<SlotId, Flowed>,
    ) {
        let flowed = Flowed::within(elapsed);
        for stream in streams {
            let grown = readings.grown(stream);
            self.metrics.count(grown.received, grown.sent);
            if grown.received.bytes > 0 && flowed.seconds > 0 {
                let counted = metered.entry(stream.slot_id).or_insert(flowed);
                // Of two nodes the one that saw more knows better.
                if (flowed.unseen, counted.seconds) < (counted.unseen, flowed.seconds) {
                    *counted = flowed;
                }
            }
        }
    }

    async fn act(&self, step: Step, wall: UnixMillis) {
        let slot_id = step.slot_id;
        match step.change {
            Change::None => {}
            Change::Began => {
                tracing::info!(slot.id = %slot_id, "slot is live");
                if let Some(id) = step.broadcast {
                    self.begin_broadcast(id, slot_id, wall).await;
                }
                self.listener.media_arrived(slot_id).await;
            }
            Change::Returned => {
                tracing::info!(slot.id = %slot_id, "media came back, the broadcast goes on");
                self.listener.media_arrived(slot_id).await;
            }
            Change::Stalled => tracing::info!(slot.id = %slot_id, "media stopped, waiting for it"),
            Change::Ended => {
                tracing::info!(slot.id = %slot_id, "slot is offline");
                if let Some(id) = step.broadcast {
                    self.end_broadcast(id, wall).await;
                }
                self.listener.media_lost(slot_id).await;
            }
        }
    }

    async fn begin_broadcast(&self, id: EventId, slot_id: SlotId, wall: UnixMillis) {
        let stored = self
            .telemetry
            .write(move |tx| store::broadcast_insert(tx, id, slot_id, wall))
            .await;
        if let Err(error) = stored {
            tracing::warn!(error = %error, "the begin of a broadcast could not be stored");
        }
    }

    async fn end_broadcast(&self, id: EventId, wall: UnixMillis) {
        let stored = self
            .telemetry
            .write(move |tx| store::broadcast_end(tx, id, wall))
            .await;
        if let Err(error) = stored {
            tracing::warn!(error = %error, "the end of a broadcast could not be stored");
        }
    }
}

fn sample_of(stream: &StreamStats, at: UnixMillis) -> Option<Sample> {
    let publisher = stream.publisher.as_ref()?;
    Some(Sample {
        slot_id: stream.slot_id,
        at,
        bitrate_kbps: publisher.bitrate_1s_kbps,
        rtt_us: u64::try_from(publisher.rtt.as_micros()).unwrap_or(u64::MAX),
        lost_packets: publisher.lost_packets,
        dropped_packets: publisher.dropped_packets,
        links: publisher.links.len(),
    })
}

#[cfg(test)]
#[path = "poller_tests.rs"]
mod tests;
