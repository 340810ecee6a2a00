//! What all nodes tell of media, as one stream of events and one list of figures.
//!
//! Invariant: a node that hangs holds up neither the others' events nor, beyond [`FIGURES_PATIENCE`], their
//! figures.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tokio_stream::{StreamExt, StreamMap};

use super::registry::Nodes;
use crate::kernel::ids::NodeId;
use crate::relay::engine::{Engine, EngineError, EngineEvent, StreamStats};

/// How long one node may take to tell its figures: less than the second in which they are asked for.
const FIGURES_PATIENCE: Duration = Duration::from_millis(800);

/// What a node told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaEvent {
    /// An event.
    Event(NodeId, EngineEvent),
    /// So many were missed; the next figures make up for them.
    Missed(u64),
}

/// The figures of one node.
#[derive(Debug)]
pub struct NodeFigures {
    /// The node.
    pub node_id: NodeId,
    /// Its streams.
    pub streams: Result<Vec<StreamStats>, EngineError>,
}

/// Everything that all nodes tell from now on, nodes that come later included.
#[derive(Debug)]
pub(crate) struct MediaEvents {
    nodes: Nodes,
    changed: watch::Receiver<()>,
    streams: StreamMap<NodeId, BroadcastStream<EngineEvent>>,
    /// The engines that are listened to: a node with a new key has a new one.
    engines: HashMap<NodeId, Arc<dyn Engine>>,
}

impl Nodes {
    /// Listens to all nodes.
    pub(crate) fn media_events(&self) -> MediaEvents {
        let mut events = MediaEvents {
            nodes: self.clone(),
            changed: self.changes(),
            streams: StreamMap::new(),
            engines: HashMap::new(),
        };
        events.follow_pool();
        events
    }

    /// The figures of every node, asked at once.
    pub(crate) async fn figures(&self) -> Vec<NodeFigures> {
        let pool = self.pool();
        let asked = pool.nodes.iter().map(|node| async move {
            let answer = tokio::time::timeout(FIGURES_PATIENCE, node.engine.stats()).await;
            NodeFigures {
                node_id: node.id(),
                streams: answer.unwrap_or(Err(EngineError::Unavailable)),
            }
        });
        join_all(asked).await
    }
}

impl MediaEvents {
    /// The next event.
    pub(crate) async fn next(&mut self) -> MediaEvent {
        loop {
            tokio::select! {
                Some((node_id, told)) = self.streams.next() => return match told {
                    Ok(event) => MediaEvent::Event(node_id, event),
                    Err(BroadcastStreamRecvError::Lagged(missed)) => MediaEvent::Missed(missed),
                },
                changed = self.changed.changed() => {
                    changed.expect("the registry is held, so its sender lives");
                    self.follow_pool();
                }
            }
        }
    }

    fn follow_pool(&mut self) {
        let pool = self.nodes.pool();
        let is_same = |id: &NodeId, engine: &Arc<dyn Engine>| {
            pool.get(*id)
                .is_some_and(|node| Arc::ptr_eq(&node.engine, engine))
        };
        for (id, _) in self.engines.extract_if(|id, engine| !is_same(id, engine)) {
            self.streams.remove(&id);
        }
        for node in &pool.nodes {
            if !self.engines.contains_key(&node.id()) {
                let stream = BroadcastStream::new(node.engine.events());
                self.streams.insert(node.id(), stream);
                self.engines.insert(node.id(), Arc::clone(&node.engine));
            }
        }
    }
}
