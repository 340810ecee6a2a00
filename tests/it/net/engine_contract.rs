//! What every engine must do, whatever carries the media: one course, run on each of them.
//!
//! Where engines differ, their capabilities say so, and the course asks those.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use glb::kernel::ids::SlotId;
use glb::relay::embedded::{EmbeddedConfig, EmbeddedRelay};
use glb::relay::engine::{
    Ended, Engine, EngineError, EngineEvent, EngineHealth, StreamSpec, Target,
};
use glb::relay::sls::{SlsConfig, SlsEngine};
use secrecy::SecretString;
use tokio::sync::broadcast;

use super::fake_sls::{FakeSls, KEY};
use super::srt_probe::{self, Call, Outcome};
use super::srt_publisher::Publisher;
use crate::harness::eventually::eventually;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const LATENCY: Duration = Duration::from_millis(300);

/// An engine with encoders before it.
pub(crate) trait Stand {
    fn engine(&self) -> Arc<dyn Engine>;
    /// An encoder calls with this key and begins to send. Answers whether it is let in.
    fn publish(&mut self, key: &str) -> bool;
    /// Whether the encoder with this key is still connected.
    fn is_publishing(&self, key: &str) -> bool;
    /// The encoder with this key says goodbye.
    fn unpublish(&mut self, key: &str);
    /// What carries the media ends and begins anew; encoders are gone.
    async fn restart(&mut self);
}

struct Embedded {
    relay: Arc<EmbeddedRelay>,
    encoders: HashMap<String, Publisher>,
}

impl Embedded {
    fn start() -> Self {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config = EmbeddedConfig {
            srtla_listen: free,
            publish_listen: free,
            play_listen: free,
            ..EmbeddedConfig::default()
        };
        let relay = EmbeddedRelay::start(&config).unwrap();
        relay.open();
        Self {
            relay: Arc::new(relay),
            encoders: HashMap::new(),
        }
    }
}

impl Stand for Embedded {
    fn engine(&self) -> Arc<dyn Engine> {
        Arc::clone(&self.relay) as _
    }

    fn publish(&mut self, key: &str) -> bool {
        let call = Call {
            latency: LATENCY,
            timeout: PATIENCE,
            ..Call::new(self.relay.addresses().publish, key)
        };
        match srt_probe::call(&call) {
            Outcome::Accepted(connection) => {
                let publisher = Publisher::start(connection);
                publisher.send(1_000_000, Duration::from_millis(5));
                self.encoders.insert(key.to_owned(), publisher);
                true
            }
            Outcome::Rejected(_) => false,
            Outcome::Unanswered => panic!("the relay does not answer"),
        }
    }

    fn is_publishing(&self, key: &str) -> bool {
        let encoder = self.encoders.get(key);
        encoder.is_some_and(|publisher| !publisher.counters().is_closed)
    }

    fn unpublish(&mut self, key: &str) {
        if let Some(publisher) = self.encoders.remove(key) {
            publisher.close();
        }
    }

    async fn restart(&mut self) {
        self.relay.shutdown().await;
        *self = Self::start();
    }
}

struct Sls {
    fake: FakeSls,
    engine: Arc<SlsEngine>,
}

impl Sls {
    fn start() -> Self {
        let fake = FakeSls::start();
        let config = SlsConfig {
            api_per_minute: 1000,
            stats_per_minute: 1000,
            ..SlsConfig::new(fake.url().parse().unwrap(), SecretString::from(KEY), "here")
        };
        let engine = SlsEngine::new(&config).unwrap();
        engine.open();
        Self {
            fake,
            engine: Arc::new(engine),
        }
    }
}

impl Stand for Sls {
    fn engine(&self) -> Arc<dyn Engine> {
        Arc::clone(&self.engine) as _
    }

    fn publish(&mut self, key: &str) -> bool {
        self.fake.publish(key, 5_000, LATENCY)
    }

    fn is_publishing(&self, key: &str) -> bool {
        self.fake.is_publishing(key)
    }

    fn unpublish(&mut self, key: &str) {
        self.fake.unpublish(key);
    }

    async fn restart(&mut self) {
        self.fake.stop();
        let engine = Arc::clone(&self.engine);
        eventually(PATIENCE, "the end is noticed", async || {
            engine.health().await != EngineHealth::Ready
        })
        .await;
        self.fake.start_again(true);
    }
}

fn spec(slot_id: SlotId, publish: &str, play: &str) -> StreamSpec {
    StreamSpec {
        slot_id,
        publish_key: SecretString::from(publish),
        play_key: SecretString::from(play),
        passphrase: None,
    }
}

async fn next(events: &mut broadcast::Receiver<EngineEvent>) -> EngineEvent {
    let event = tokio::time::timeout(PATIENCE, events.recv()).await;
    event.expect("an event comes").unwrap()
}

async fn is_ready(engine: &dyn Engine) {
    eventually(PATIENCE, "the engine is ready", async || {
        engine.health().await == EngineHealth::Ready
    })
    .await;
}

/// Bytes received for a slot, while it has a publisher with media.
async fn received(engine: &dyn Engine, slot_id: SlotId) -> Option<u64> {
    let streams = engine.stats().await.unwrap();
    let stream = streams.into_iter().find(|it| it.slot_id == slot_id)?;
    let publisher = stream.publisher?;
    publisher.since_last_media?;
    assert!(publisher.uptime < PATIENCE, "{publisher:?}");
    Some(stream.received.bytes)
}

pub(crate) async fn obeys_the_contract(mut stand: impl Stand) {
    let engine = stand.engine();
    is_ready(&*engine).await;
    let slot_id = SlotId::generate();
    assert!(!stand.publish("live_a"), "an unknown key");
    for _ in 0..2 {
        engine
            .register(spec(slot_id, "live_a", "play_a"))
            .await
            .unwrap();
    }
    publishing_is_seen(&mut stand, slot_id).await;
    rotating_admits_the_new_key_only(&mut stand, slot_id).await;
    refusals_say_why(&*engine, slot_id).await;
    dropping_admits_nobody(&mut stand, slot_id).await;
    engine
        .register(spec(slot_id, "live_a", "play_a"))
        .await
        .unwrap();
    drop(engine);
    stand.restart().await;
    let engine = stand.engine();
    is_ready(&*engine).await;
    // As at a start of ours.
    engine
        .register(spec(slot_id, "live_a", "play_a"))
        .await
        .unwrap();
    assert!(stand.publish("live_a"), "after the restart");
}

async fn publishing_is_seen(stand: &mut impl Stand, slot_id: SlotId) {
    let engine = stand.engine();
    let mut events = engine.events();
    assert!(stand.publish("live_a"));
    assert_eq!(next(&mut events).await, EngineEvent::MediaStarted(slot_id));
    let begun = received(&*engine, slot_id).await.expect("he publishes");
    eventually(PATIENCE, "bytes are counted", async || {
        received(&*engine, slot_id)
            .await
            .is_some_and(|now| now > begun + 10_000)
    })
    .await;
    assert!(!stand.publish("live_a"), "a second publisher");
    assert!(stand.is_publishing("live_a"), "the first one stays");
    stand.unpublish("live_a");
    let gone = EngineEvent::PublisherGone(slot_id, Ended::Clean);
    assert_eq!(next(&mut events).await, gone);
    assert_eq!(received(&*engine, slot_id).await, None);
}

async fn rotating_admits_the_new_key_only(stand: &mut impl Stand, slot_id: SlotId) {
    let engine = stand.engine();
    let mut events = engine.events();
    assert!(stand.publish("live_a"));
    assert_eq!(next(&mut events).await, EngineEvent::MediaStarted(slot_id));
    engine
        .register(spec(slot_id, "live_b", "play_a"))
        .await
        .unwrap();
    if engine.capabilities().can_disconnect {
        eventually(PATIENCE, "he is cut off", async || {
            !stand.is_publishing("live_a")
        })
        .await;
        let gone = EngineEvent::PublisherGone(slot_id, Ended::Disconnected);
        assert_eq!(next(&mut events).await, gone);
    } else {
        assert!(stand.is_publishing("live_a"));
        stand.unpublish("live_a");
        let gone = EngineEvent::PublisherGone(slot_id, Ended::Clean);
        assert_eq!(next(&mut events).await, gone);
    }
    assert!(!stand.publish("live_a"), "the old key");
    assert!(stand.publish("live_b"), "the new key");
    assert_eq!(next(&mut events).await, EngineEvent::MediaStarted(slot_id));
    let closed = engine.disconnect(slot_id, Target::Publisher).await.unwrap();
    assert_eq!(closed, usize::from(engine.capabilities().can_disconnect));
    stand.unpublish("live_b");
    let EngineEvent::PublisherGone(gone, _) = next(&mut events).await else {
        panic!("he is not gone");
    };
    assert_eq!(gone, slot_id);
}

async fn refusals_say_why(engine: &dyn Engine, slot_id: SlotId) {
    engine
        .register(spec(slot_id, "live_a", "play_a"))
        .await
        .unwrap();
    let other = engine
        .register(spec(SlotId::generate(), "live_a", "play_x"))
        .await;
    assert!(
        matches!(other, Err(EngineError::Rejected { .. })),
        "{other:?}"
    );
    let encrypted = StreamSpec {
        passphrase: Some(SecretString::from("0123456789")),
        ..spec(slot_id, "live_a", "play_a")
    };
    let taken = engine.register(encrypted).await;
    if engine.capabilities().has_passphrase {
        taken.unwrap();
        engine
            .register(spec(slot_id, "live_a", "play_a"))
            .await
            .unwrap();
    } else {
        assert!(
            matches!(taken, Err(EngineError::Rejected { .. })),
            "{taken:?}"
        );
    }
}

async fn dropping_admits_nobody(stand: &mut impl Stand, slot_id: SlotId) {
    let engine = stand.engine();
    assert!(stand.publish("live_a"));
    stand.unpublish("live_a");
    engine.drop_stream(slot_id).await.unwrap();
    engine.drop_stream(SlotId::generate()).await.unwrap();
    assert!(!stand.publish("live_a"));
    eventually(PATIENCE, "nothing is shown", async || {
        engine.stats().await.unwrap().is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_relay_obeys_the_contract() {
    obeys_the_contract(Embedded::start()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sls_obeys_the_contract() {
    obeys_the_contract(Sls::start()).await;
}
