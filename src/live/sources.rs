//! At which node a slot's media are, when several know the slot.
//!
//! Invariant: a slot has one publisher here, the one heard of last; players and traffic are those of all nodes.

use std::collections::HashMap;
use std::time::Duration;

use crate::kernel::ids::{NodeId, SlotId};
use crate::relay::engine::{EngineEvent, StreamStats};

/// Where the media of each slot are.
#[derive(Debug, Default)]
pub(super) struct Sources(HashMap<SlotId, NodeId>);

impl Sources {
    /// Whether an event of a node changes anything: the end of media at a node where they are no longer does not.
    pub(super) fn is_news(&mut self, node_id: NodeId, event: EngineEvent) -> bool {
        match event {
            EngineEvent::MediaStarted(slot_id) => {
                self.0.insert(slot_id, node_id);
                true
            }
            EngineEvent::PublisherGone(slot_id, _) => {
                let source = self.0.get(&slot_id).copied();
                if source == Some(node_id) {
                    self.0.remove(&slot_id);
                }
                source.is_none_or(|source| source == node_id)
            }
        }
    }
}

/// The streams of several nodes as one list.
#[derive(Debug, Default)]
pub(super) struct Merged(HashMap<SlotId, (StreamStats, Option<NodeId>)>);

impl Merged {
    /// Adds the streams of a node.
    pub(super) fn add(&mut self, node_id: NodeId, streams: Vec<StreamStats>) {
        for stream in streams {
            let source = stream.publisher.as_ref().map(|_| node_id);
            match self.0.remove(&stream.slot_id) {
                None => drop(self.0.insert(stream.slot_id, (stream, source))),
                Some((known, known_source)) => {
                    let (one, source) = if silence(&stream) < silence(&known) {
                        (join(stream, known), source)
                    } else {
                        (join(known, stream), known_source)
                    };
                    self.0.insert(one.slot_id, (one, source));
                }
            }
        }
    }

    /// The list; `sources` learns where publishers are.
    pub(super) fn finish(self, sources: &mut Sources) -> Vec<StreamStats> {
        let streams = self.0.into_values();
        streams
            .map(|(stream, source)| {
                if let Some(node_id) = source {
                    sources.0.insert(stream.slot_id, node_id);
                }
                stream
            })
            .collect()
    }
}

/// How long ago media came; an absent publisher is quieter than one that never sent any.
fn silence(stream: &StreamStats) -> (bool, Duration) {
    let publisher = stream.publisher.as_ref();
    let silent = publisher.and_then(|publisher| publisher.since_last_media);
    (publisher.is_none(), silent.unwrap_or(Duration::MAX))
}

fn join(mut first: StreamStats, other: StreamStats) -> StreamStats {
    first.players.extend(other.players);
    first.received = first.received + other.received;
    first.sent = first.sent + other.sent;
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::engine::{Ended, PublisherStats, Traffic};

    fn stream(slot_id: SlotId, silent_for: Option<u64>) -> StreamStats {
        let publisher = silent_for.map(|seconds| PublisherStats {
            since_last_media: Some(Duration::from_secs(seconds)),
            ..PublisherStats::default()
        });
        let traffic = Traffic {
            packets: 1,
            bytes: 100,
        };
        StreamStats {
            slot_id,
            publisher,
            players: Vec::new(),
            received: traffic,
            sent: traffic,
        }
    }

    #[test]
    fn the_freshest_publisher_counts_whichever_node_is_asked_first() {
        let slot_id = SlotId::generate();
        let (stale, fresh) = (NodeId::generate(), NodeId::generate());
        let read = [
            (stale, Some(9)),
            (fresh, Some(1)),
            (NodeId::generate(), None),
        ];
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let (mut merged, mut sources) = (Merged::default(), Sources::default());
            for index in order {
                let (node_id, silent_for) = read[index];
                merged.add(node_id, vec![stream(slot_id, silent_for)]);
            }
            let streams = merged.finish(&mut sources);
            assert_eq!(streams.len(), 1);
            assert_eq!(silence(&streams[0]), (false, Duration::from_secs(1)));
            assert_eq!(streams[0].received.bytes, 300);
            let gone = EngineEvent::PublisherGone(slot_id, Ended::Clean);
            assert!(!sources.is_news(stale, gone), "the media are elsewhere");
            assert!(sources.is_news(fresh, gone));
        }
    }

    #[test]
    fn the_end_of_media_is_news_where_they_began_last() {
        let (slot_id, mut sources) = (SlotId::generate(), Sources::default());
        let (old, new) = (NodeId::generate(), NodeId::generate());
        let gone = EngineEvent::PublisherGone(slot_id, Ended::Error);
        assert!(sources.is_news(old, gone), "nothing is known of the slot");
        for node_id in [old, new] {
            assert!(sources.is_news(node_id, EngineEvent::MediaStarted(slot_id)));
        }
        assert!(!sources.is_news(old, gone));
        assert!(sources.is_news(new, gone));
    }
}
