use std::sync::Mutex;

use super::*;
use crate::db::testing::telemetry_store;
use crate::kernel::clock::ManualClock;
use crate::relay::engine::{LinkStats, PublisherStats, Traffic};
use crate::relay::testing::{FakeEngine, Mood, alone};

const NOON: UnixMillis = UnixMillis(1_774_300_000_000);

/// Writes down what it is told.
#[derive(Debug, Default)]
struct Recorder {
    seconds: Mutex<Vec<u64>>,
    unseen: Mutex<Vec<Duration>>,
    told: Mutex<Vec<&'static str>>,
}

#[async_trait]
impl MediaListener for Recorder {
    async fn media_arrived(&self, _slot_id: SlotId) {
        self.told.lock().unwrap().push("arrived");
    }

    async fn media_lost(&self, _slot_id: SlotId) {
        self.told.lock().unwrap().push("lost");
    }

    async fn media_seconds(&self, _slot_id: SlotId, seconds: u64, _ended_at: UnixMillis) {
        self.seconds.lock().unwrap().push(seconds);
    }

    async fn media_unseen(&self, _slot_id: SlotId, from: UnixMillis, until: UnixMillis) {
        self.unseen.lock().unwrap().push(until.since(from));
    }
}

struct World {
    poller: Poller,
    engine: Arc<FakeEngine>,
    clock: Arc<ManualClock>,
    recorder: Arc<Recorder>,
    previous: Previous,
    slot_id: SlotId,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let (folder, telemetry) = telemetry_store();
        let clock = ManualClock::starting_at(NOON);
        let (engine, recorder) = (FakeEngine::new(), Arc::new(Recorder::default()));
        Self {
            poller: Poller {
                carriers: Carriers::default(),
                nodes: alone(&engine),
                listener: Arc::clone(&recorder) as _,
                hub: Hub::default(),
                telemetry,
                clock: Clock::from_source(Arc::clone(&clock) as _),
                metrics: RelayMetrics::default(),
            },
            engine,
            clock,
            recorder,
            previous: Previous::beginning_at(Duration::ZERO),
            slot_id: SlotId::generate(),
            _folder: folder,
        }
    }

    /// A second passes; the engine lists the slot with so many bytes, or not at all.
    async fn second(&mut self, bytes_in: Option<u64>) {
        let slot_id = self.slot_id;
        let figures = bytes_in.map(|bytes_in| StreamStats {
            slot_id,
            publisher: None,
            players: Vec::new(),
            received: Traffic {
                packets: bytes_in / 100,
                bytes: bytes_in,
            },
            sent: Traffic::default(),
        });
        self.engine.set_figures(figures.into_iter().collect());
        self.clock.advance(TICK);
        let mut sources = Sources::default();
        self.poller.on_tick(&mut self.previous, &mut sources).await;
    }

    fn seconds(&self) -> Vec<u64> {
        self.recorder.seconds.lock().unwrap().clone()
    }
}

/// G-63: what flowed in the dark is not guessed; heartbeats may tell.
#[tokio::test]
async fn a_long_time_without_figures_counts_one_second_and_is_told_as_unseen() {
    let mut world = World::new();
    world.second(Some(1000)).await;
    world.engine.set_mood(Mood::Unavailable);
    for _ in 0..30 {
        world.second(Some(2000)).await;
    }
    world.engine.set_mood(Mood::Well);
    world.second(Some(3000)).await;
    assert_eq!(world.seconds(), [1, 1]);
    let unseen = world.recorder.unseen.lock().unwrap().clone();
    assert_eq!(unseen, [Duration::from_secs(30)]);
}

#[tokio::test]
async fn a_slot_that_comes_back_without_a_byte_is_not_metered() {
    let mut world = World::new();
    for bytes_in in [Some(1000), None, Some(1000), Some(1000)] {
        world.second(bytes_in).await;
    }
    assert_eq!(world.seconds(), [1], "only the first bytes count");
    world.second(Some(2000)).await;
    assert_eq!(world.seconds(), [1, 1]);
}

#[tokio::test]
async fn seconds_without_an_answer_of_the_engine_are_metered_by_the_next_one() {
    let mut world = World::new();
    world.second(Some(1000)).await;
    world.engine.set_mood(Mood::Unavailable);
    world.second(Some(2000)).await;
    world.engine.set_mood(Mood::Well);
    world.second(Some(3000)).await;
    assert_eq!(world.seconds(), [1, 2]);
}

#[tokio::test]
async fn a_broadcast_that_a_restart_interrupted_is_told_lost_when_it_does_not_come_back() {
    for (down_for, at_start, in_the_end) in [
        (
            Duration::from_secs(20),
            vec!["arrived"],
            vec!["arrived", "lost"],
        ),
        (Duration::from_mins(20), vec!["lost"], vec!["lost"]),
    ] {
        let mut world = World::new();
        let slot_id = world.slot_id;
        let begun = world.poller.telemetry.write(move |tx| {
            store::broadcast_insert(tx, EventId::generate(), slot_id, NOON)?;
            let sample = Sample {
                slot_id,
                at: NOON,
                bitrate_kbps: 1,
                rtt_us: 1,
                lost_packets: 0,
                dropped_packets: 0,
                links: 1,
            };
            store::sample_insert_all(tx, &[sample])
        });
        begun.await.unwrap();
        world.clock.advance(down_for);
        world.poller.remember().await;
        assert_eq!(*world.recorder.told.lock().unwrap(), at_start);
        for _ in 0..9 {
            world.second(None).await;
        }
        assert_eq!(*world.recorder.told.lock().unwrap(), in_the_end);
    }
}

#[tokio::test]
async fn a_publisher_that_sends_no_media_has_no_links() {
    let mut world = World::new();
    let slot_id = world.slot_id;
    let link = LinkStats {
        address: "203.0.113.9:5000".parse().unwrap(),
        bytes: 0,
        packets: 1,
        share_percent: 100.0,
        bitrate_kbps: 0,
        since_last_packet: Duration::ZERO,
        uptime: TICK,
        sender: None,
        carrier: None,
    };
    world.engine.set_figures(vec![StreamStats {
        slot_id,
        publisher: Some(PublisherStats {
            links: vec![link],
            ..PublisherStats::default()
        }),
        players: Vec::new(),
        received: Traffic::default(),
        sent: Traffic::default(),
    }]);
    world
        .poller
        .on_tick(&mut world.previous, &mut Sources::default())
        .await;
    assert_eq!(world.poller.hub.links(slot_id, Duration::ZERO).0, []);
    let event = EngineEvent::MediaStarted(slot_id);
    world.poller.on_event(event).await;
    assert_eq!(world.poller.hub.links(slot_id, Duration::ZERO).0.len(), 1);
}
