//! Media, rotation, players and events, with callers that speak datagrams.

mod admission;
mod bonded;
mod encrypted;

use super::*;
use crate::relay::embedded::handshake::Handshake;
use crate::relay::embedded::handshake::tests::caller;
use crate::relay::embedded::testing::{Caller, sent};
use crate::relay::embedded::wire::ControlKind;
use crate::relay::engine::Traffic;

const MS: Micros = Micros::from_millis(1);
const START: Micros = Micros::from_secs(1000);
const ENCODER: &str = "127.0.0.1:1111";
const OTHER_ENCODER: &str = "127.0.0.2:2222";
const PLAYER: &str = "127.0.0.3:3333";
const LATENCY: Micros = Micros::from_millis(200);

struct Bench {
    hub: Hub,
    now: Micros,
    slot_id: SlotId,
}

impl Bench {
    fn new() -> Self {
        Self::with(&EmbeddedConfig::default())
    }

    fn with(config: &EmbeddedConfig) -> Self {
        let mut hub = Hub::new(START, config, [3; 32]);
        hub.open();
        let slot_id = SlotId::generate();
        hub.register(START, &spec(slot_id, "live_a", "play_a"))
            .unwrap();
        Self {
            hub,
            now: START,
            slot_id,
        }
    }

    fn publisher(&mut self, address: &str) -> Result<Caller, u32> {
        Caller::connect(
            &mut self.hub,
            self.now,
            Direction::Publish,
            address,
            "live_a",
        )
    }

    fn player(&mut self) -> Caller {
        Caller::connect(&mut self.hub, self.now, Direction::Play, PLAYER, "play_a").unwrap()
    }

    fn call(&mut self, direction: Direction, handshake: Handshake) -> Result<Caller, u32> {
        Caller::connect_with(&mut self.hub, self.now, direction, ENCODER, handshake)
    }

    /// Lets time pass in steps of 10 ms, while these say that they are there; gives what was sent.
    fn pass(&mut self, span: Micros, alive: &[&Caller]) -> crate::relay::embedded::testing::Sent {
        let until = self.now + span;
        let mut all = Vec::new();
        while self.now < until {
            self.now += MS * 10;
            for caller in alive {
                caller.say(&mut self.hub, self.now, ControlKind::Keepalive);
            }
            self.hub.advance(self.now);
            all.extend(sent(&mut self.hub));
        }
        all
    }

    fn publish(&mut self, encoder: &mut Caller, at: Micros, payload: &[u8]) {
        encoder.publish(&mut self.hub, self.now, at, payload);
        self.hub.advance(self.now);
    }

    fn events(&mut self) -> Vec<EngineEvent> {
        self.hub.advance(self.now);
        std::mem::take(&mut self.hub.events)
    }

    fn started(&self) -> EngineEvent {
        EngineEvent::MediaStarted(self.slot_id)
    }

    fn gone(&self, ended: Ended) -> EngineEvent {
        EngineEvent::PublisherGone(self.slot_id, ended)
    }
}

fn spec(slot_id: SlotId, publish_key: &str, play_key: &str) -> StreamSpec {
    StreamSpec {
        slot_id,
        publish_key: publish_key.into(),
        play_key: play_key.into(),
        passphrase: None,
    }
}

#[test]
fn media_go_from_the_publisher_to_every_player_after_the_latency() {
    let mut bench = Bench::new();
    let player = bench.player();
    let mut encoder = bench.publisher(ENCODER).unwrap();
    bench.publish(&mut encoder, Micros::ZERO, b"one");
    bench.publish(&mut encoder, MS * 40, b"two");
    let early = bench.pass(LATENCY - MS * 20, &[&player, &encoder]);
    assert!(player.media_in(&early).is_empty());
    let media = player.media_in(&bench.pass(MS * 100, &[&player, &encoder]));
    assert_eq!(
        media
            .iter()
            .map(|(_, payload)| &payload[..])
            .collect::<Vec<_>>(),
        [b"one", b"two"]
    );
    assert_eq!(
        media[1].0 - media[0].0,
        40_000,
        "the distance of the timestamps is kept"
    );
}

#[test]
fn a_player_waits_for_a_publisher_and_stays_over_a_restart_with_time_going_on() {
    let mut bench = Bench::new();
    let player = bench.player();
    assert!(!player.is_told_shutdown(&bench.pass(Micros::from_secs(20), &[&player])));
    let mut timestamps = Vec::new();
    for _ in 0..2 {
        let mut encoder = bench.publisher(ENCODER).unwrap();
        for packet in 0..50 {
            bench.publish(&mut encoder, MS * 10 * packet, b"m");
            let out = bench.pass(MS * 10, &[&player]);
            timestamps.extend(player.media_in(&out).into_iter().map(|(time, _)| time));
        }
        encoder.say(&mut bench.hub, bench.now, ControlKind::Shutdown);
        let out = bench.pass(Micros::from_secs(1), &[&player]);
        assert!(!player.is_told_shutdown(&out));
        timestamps.extend(player.media_in(&out).into_iter().map(|(time, _)| time));
    }
    assert_eq!(timestamps.len(), 100, "the tail of each publisher too");
    assert!(timestamps.is_sorted());
    // 20 s of waiting, then 0.5 s of media, 1 s between, and 0.5 s of media.
    let span = timestamps[99] - timestamps[0];
    assert!((1_950_000..2_050_000).contains(&span), "{span}");
}

#[test]
fn the_end_of_a_publisher_tells_why() {
    let mut bench = Bench::new();
    let mut encoder = bench.publisher(ENCODER).unwrap();
    bench.publish(&mut encoder, MS, b"m");
    encoder.say(&mut bench.hub, bench.now, ControlKind::Shutdown);
    assert_eq!(bench.events(), [bench.started(), bench.gone(Ended::Clean)]);

    let mut encoder = bench.publisher(ENCODER).unwrap();
    bench.publish(&mut encoder, MS, b"m");
    bench.pass(Micros::from_secs(5), &[]);
    assert_eq!(bench.events(), [bench.started()]);
    bench.pass(Micros::from_secs(1), &[]);
    assert_eq!(bench.events(), [bench.gone(Ended::Error)]);

    let mut encoder = bench.publisher(ENCODER).unwrap();
    bench.publish(&mut encoder, MS, b"m");
    assert_eq!(
        bench
            .hub
            .disconnect(bench.now, bench.slot_id, Target::Publisher),
        1
    );
    assert!(encoder.is_told_shutdown(&sent(&mut bench.hub)));
    assert_eq!(
        bench.events(),
        [bench.started(), bench.gone(Ended::Disconnected)]
    );
}

#[test]
fn a_publisher_that_never_sends_media_is_let_go() {
    let mut bench = Bench::new();
    let encoder = bench.publisher(ENCODER).unwrap();
    bench.pass(Micros::from_secs(15), &[&encoder]);
    assert_eq!(bench.events(), []);
    bench.pass(Micros::from_secs(1), &[&encoder]);
    assert_eq!(bench.events(), [bench.gone(Ended::Error)]);
}

#[test]
fn a_publisher_that_sends_only_keepalives_any_more_is_let_go() {
    let mut bench = Bench::new();
    let mut encoder = bench.publisher(ENCODER).unwrap();
    bench.pass(Micros::from_secs(10), &[&encoder]);
    bench.publish(&mut encoder, Micros::from_secs(10), b"m");
    bench.pass(Micros::from_secs(15), &[&encoder]);
    assert_eq!(bench.events(), [bench.started()]);
    let out = bench.pass(Micros::from_secs(1), &[&encoder]);
    assert_eq!(bench.events(), [bench.gone(Ended::Error)]);
    assert!(encoder.is_told_shutdown(&out));
}

#[test]
fn a_rotation_cuts_off_exactly_who_used_the_changed_key() {
    let mut bench = Bench::new();
    let (encoder, player) = (bench.publisher(ENCODER).unwrap(), bench.player());
    let again = spec(bench.slot_id, "live_a", "play_a");
    bench.hub.register(bench.now, &again).unwrap();
    let out = sent(&mut bench.hub);
    assert!(!encoder.is_told_shutdown(&out) && !player.is_told_shutdown(&out));

    let new_publish = spec(bench.slot_id, "live_b", "play_a");
    bench.hub.register(bench.now, &new_publish).unwrap();
    let out = sent(&mut bench.hub);
    assert!(encoder.is_told_shutdown(&out) && !player.is_told_shutdown(&out));
    assert_eq!(
        bench.publisher(ENCODER).map(|caller| caller.port),
        Err(2401)
    );

    let new_play = spec(bench.slot_id, "live_b", "play_b");
    bench.hub.register(bench.now, &new_play).unwrap();
    assert!(player.is_told_shutdown(&sent(&mut bench.hub)));
}

#[test]
fn a_dropped_stream_cuts_everyone_off_and_admits_nobody() {
    let mut bench = Bench::new();
    let (mut encoder, player) = (bench.publisher(ENCODER).unwrap(), bench.player());
    bench.publish(&mut encoder, MS, b"m");
    bench.hub.drop_stream(bench.now, bench.slot_id);
    let out = sent(&mut bench.hub);
    assert!(encoder.is_told_shutdown(&out) && player.is_told_shutdown(&out));
    assert_eq!(
        bench.events(),
        [bench.started(), bench.gone(Ended::Disconnected)]
    );
    assert_eq!(
        bench.publisher(ENCODER).map(|caller| caller.port),
        Err(2401)
    );
    assert!(bench.hub.stats(bench.now).is_empty());
    assert!(
        player
            .media_in(&bench.pass(Micros::from_secs(1), &[]))
            .is_empty()
    );
}

#[test]
fn disconnecting_players_leaves_the_publisher() {
    let mut bench = Bench::new();
    let (encoder, player) = (bench.publisher(ENCODER).unwrap(), bench.player());
    assert_eq!(
        bench
            .hub
            .disconnect(bench.now, bench.slot_id, Target::Players),
        1
    );
    let out = sent(&mut bench.hub);
    assert!(player.is_told_shutdown(&out) && !encoder.is_told_shutdown(&out));
    assert_eq!(
        bench
            .hub
            .disconnect(bench.now, bench.slot_id, Target::Everyone),
        1
    );
    assert_eq!(
        bench
            .hub
            .disconnect(bench.now, SlotId::generate(), Target::Everyone),
        0
    );
}

#[test]
fn a_silent_player_is_let_go_and_holds_nobody() {
    let mut bench = Bench::new();
    let (mut encoder, player) = (bench.publisher(ENCODER).unwrap(), bench.player());
    let mut is_gone = false;
    for packet in 0..700 {
        bench.publish(&mut encoder, MS * 10 * packet, &[0; 1316]);
        is_gone |= player.is_told_shutdown(&bench.pass(MS * 10, &[]));
    }
    assert!(is_gone);
    assert_eq!(bench.events(), [bench.started()]);
    assert!(bench.hub.stats(bench.now)[0].players.is_empty());
}

#[test]
fn figures_tell_what_flows() {
    let mut bench = Bench::new();
    let player = bench.player();
    let mut encoder = bench.publisher(ENCODER).unwrap();
    for packet in 0..200 {
        bench.publish(&mut encoder, MS * 10 * packet, &[0; 1250]);
        bench.pass(MS * 10, &[&player]);
    }
    let stats = bench.hub.stats(bench.now).remove(0);
    let publisher = stats.publisher.unwrap();
    assert_eq!(publisher.bitrate_1s_kbps, 1000);
    assert_eq!(publisher.latency, LATENCY.duration());
    assert_eq!((publisher.packets, publisher.bytes), (200, 250_000));
    assert_eq!(publisher.links.len(), 1);
    assert_eq!(publisher.links[0].address, ENCODER.parse().unwrap());
    assert!(
        (170..=200).contains(&publisher.buffer.as_millis()),
        "{:?}",
        publisher.buffer
    );
    assert!(!publisher.is_bonded);
    let carried = Traffic {
        packets: 200,
        bytes: 250_000,
    };
    assert_eq!(stats.received, carried);
    assert_eq!(stats.sent.bytes, stats.players[0].bytes);
    assert_eq!(stats.players[0].address, PLAYER.parse().unwrap());

    bench.pass(MS * 1200, &[&player, &encoder]);
    let publisher = bench.hub.stats(bench.now).remove(0).publisher.unwrap();
    assert_eq!(publisher.bitrate_1s_kbps, 0, "and falls when nothing does");
    encoder.say(&mut bench.hub, bench.now, ControlKind::Shutdown);
    bench.hub.advance(bench.now);
    let stats = bench.hub.stats(bench.now).remove(0);
    assert!(stats.publisher.is_none());
    assert_eq!(
        (stats.received, stats.sent),
        (carried, carried),
        "totals stay"
    );
}

#[test]
fn saying_goodbye_reaches_everyone() {
    let mut bench = Bench::new();
    let (encoder, player) = (bench.publisher(ENCODER).unwrap(), bench.player());
    bench.hub.close_all(bench.now, CloseCause::Disconnected);
    let out = sent(&mut bench.hub);
    assert!(encoder.is_told_shutdown(&out) && player.is_told_shutdown(&out));
}
