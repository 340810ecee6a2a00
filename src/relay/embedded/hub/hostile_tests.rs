//! A bounded storm of mutated packets on all ports, while a stream goes on.

use std::net::SocketAddr;

use super::*;
use crate::relay::embedded::handshake::Handshake;
use crate::relay::embedded::handshake::tests::caller;
use crate::relay::embedded::testing::{Caller, conclusion_datagram, handshake_of, induction, sent};
use crate::relay::embedded::wire::{ControlKind, control};

const STEPS: u64 = 1500;
const HOSTILE_PER_STEP: u64 = 12;
const START: Micros = Micros::from_secs(1000);

struct Storm {
    seed: u64,
    corpus: Vec<Vec<u8>>,
}

impl Storm {
    fn below(&mut self, bound: usize) -> usize {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        usize::try_from(self.seed % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    /// A valid packet with some bytes changed, cut or added; or noise.
    fn datagram(&mut self) -> Vec<u8> {
        if self.below(10) == 0 {
            let length = self.below(1501);
            return (0..length).map(|_| self.byte()).collect();
        }
        let choice = self.below(self.corpus.len());
        let mut datagram = self.corpus[choice].clone();
        for _ in 0..self.below(5) {
            let at = self.below(datagram.len());
            // The destination keeps a hostile peer in its own connection.
            if !(12..16).contains(&at) {
                datagram[at] = self.byte();
            }
        }
        match self.below(8) {
            0 => datagram.truncate(self.below(datagram.len())),
            1 => datagram.extend((0..self.below(600)).map(|_| 0xA5)),
            _ => {}
        }
        datagram
    }
}

/// What an admitted but hostile publisher and player, and a hostile bonded sender, could send.
fn corpus(publisher: &Caller, player: &Caller) -> Vec<Vec<u8>> {
    let mut corpus = vec![
        induction(9),
        conclusion_datagram(&caller("live_b", 2000)),
        [&[0x92, 0x00][..], &[1; 256]].concat(),
        [&[0x92, 0x01][..], &[1; 256]].concat(),
        vec![0x90, 0x00, 1, 2, 3],
    ];
    for (to, words) in [(publisher.remote_id, 7), (player.remote_id, 9)] {
        for kind in [
            ControlKind::Keepalive,
            ControlKind::Ack,
            ControlKind::Nak,
            ControlKind::AckAck,
            ControlKind::DropRequest,
            ControlKind::KeyRequest,
            ControlKind::KeyResponse,
            ControlKind::Other(0x7FFF),
        ] {
            corpus.push(control(kind, 1, 5, to, &[0x7F; 4 * 8][..words * 3 / 4 * 4]).to_vec());
        }
    }
    let mut publisher = *publisher;
    corpus.extend((0..20).map(|step| publisher.media(Micros::from_millis(step), &[3; 200])));
    corpus
}

fn register(hub: &mut Hub, publish_key: &str, play_key: &str) -> SlotId {
    let slot_id = SlotId::generate();
    let stream = StreamSpec {
        slot_id,
        publish_key: publish_key.into(),
        play_key: play_key.into(),
        passphrase: None,
    };
    hub.register(START, &stream).unwrap();
    slot_id
}

/// A stream, and a publisher and a player of another slot who mean harm.
struct Beset {
    hub: Hub,
    encoder: Caller,
    player: Caller,
    bad_encoder: Caller,
    bad_player: Caller,
}

impl Beset {
    fn with(config: &EmbeddedConfig) -> Self {
        let mut hub = Hub::new(START, config, [3; 32]);
        hub.open();
        register(&mut hub, "live_a", "play_a");
        register(&mut hub, "live_b", "play_b");
        let mut connect = |direction, address, key| {
            Caller::connect(&mut hub, START, direction, address, key).unwrap()
        };
        Self {
            encoder: connect(Direction::Publish, "127.0.0.1:1", "live_a"),
            player: connect(Direction::Play, "127.0.0.1:2", "play_a"),
            bad_encoder: connect(Direction::Publish, "127.0.0.3:1", "live_b"),
            bad_player: connect(Direction::Play, "127.0.0.3:2", "play_b"),
            hub,
        }
    }
}

#[test]
fn a_storm_of_mutated_packets_leaves_a_stream_untouched_and_memory_bounded() {
    let config = EmbeddedConfig {
        publisher_buffer_bytes: 300_000,
        player_queue_bytes: 300_000,
        ..EmbeddedConfig::default()
    };
    let Beset {
        mut hub,
        mut encoder,
        player,
        bad_encoder,
        bad_player,
    } = Beset::with(&config);
    let mut storm = Storm {
        seed: 0x1234_5678_9ABC_DEF1,
        corpus: corpus(&bad_encoder, &bad_player),
    };
    let sources = [
        bad_encoder.address,
        bad_player.address,
        "127.0.0.4:9".parse().unwrap(),
    ];
    let ports = [Port::Publish, Port::Play, Port::Srtla];

    let mut received = Vec::new();
    for step in 0..STEPS {
        let now = START + Micros::from_millis(i64::try_from(step).unwrap() * 5);
        encoder.publish(&mut hub, now, now - START, &step.to_be_bytes());
        player.say(&mut hub, now, ControlKind::Keepalive);
        for _ in 0..HOSTILE_PER_STEP {
            let source: SocketAddr = sources[storm.below(sources.len())];
            let port = ports[storm.below(ports.len())];
            let datagram = storm.datagram();
            hub.on_datagram(now, port, source, &datagram);
        }
        hub.advance(now);
        received.extend(
            player
                .media_in(&sent(&mut hub))
                .into_iter()
                .map(|(_, payload)| payload),
        );
    }

    // The last 200 ms are in the buffer still.
    assert!(
        received.len() >= usize::try_from(STEPS).unwrap() - 50,
        "{}",
        received.len()
    );
    for (number, payload) in received.iter().enumerate() {
        assert_eq!(payload[..], u64::try_from(number).unwrap().to_be_bytes());
    }
    assert_was_a_storm(&hub);
}

fn assert_was_a_storm(hub: &Hub) {
    let counters: HashMap<_, _> = hub.counters().into_iter().collect();
    assert!(counters["publish_malformed"] > 100, "{counters:?}");
    assert!(counters["srtla_malformed"] > 100, "{counters:?}");
    assert!(counters["publish_stray"] > 100, "{counters:?}");
    assert!(
        counters["publish_accepted"] <= 2 && counters["play_accepted"] <= 2,
        "{counters:?}"
    );
}

/// A packet cut at every byte, and with every byte and every half word of it wrong: so every length, count
/// and type in it is wrong once.
fn misshapen(packet: &[u8]) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = (0..packet.len())
        .map(|length| packet[..length].to_vec())
        .collect();
    for at in 0..packet.len().min(160) {
        // The destination keeps a hostile peer in its own connection.
        if (12..16).contains(&at) {
            continue;
        }
        for wrong in [0x00, 0x01, 0x7F, 0xFF] {
            let mut one = packet.to_vec();
            one[at] = wrong;
            all.push(one.clone());
            if at % 2 == 0 && at + 1 < packet.len() {
                one[at + 1] = wrong;
                all.push(one);
            }
        }
    }
    all
}

/// A conclusion that would be admitted, from an address that has called before.
fn good_conclusion(hub: &mut Hub, source: SocketAddr) -> Vec<u8> {
    hub.on_datagram(START, Port::Publish, source, &induction(77));
    let (_, _, answer) = sent(hub).pop().expect("inductions are answered");
    let cookie = handshake_of(&answer).expect("with a handshake").cookie;
    let handshake = Handshake {
        cookie,
        socket_id: 77,
        ..caller("live_nobody", 2000)
    };
    conclusion_datagram(&handshake)
}

#[test]
fn every_packet_type_cut_at_every_byte_and_with_every_length_wrong_costs_a_counter() {
    let config = EmbeddedConfig {
        handshakes_per_second: 1_000_000,
        publisher_buffer_bytes: 300_000,
        ..EmbeddedConfig::default()
    };
    let Beset {
        mut hub,
        mut encoder,
        player,
        bad_encoder,
        bad_player,
    } = Beset::with(&config);
    let stranger: SocketAddr = "127.0.0.4:9".parse().unwrap();
    let mut packets = corpus(&bad_encoder, &bad_player);
    packets.truncate(18);
    packets.push(good_conclusion(&mut hub, stranger));

    let ways = [
        (Port::Publish, bad_encoder.address),
        (Port::Play, bad_player.address),
        (Port::Publish, stranger),
        (Port::Srtla, stranger),
    ];
    let (mut step, mut received) = (0_u64, Vec::new());
    for packet in packets {
        for (at, datagram) in misshapen(&packet).into_iter().enumerate() {
            let now = START + Micros::from_millis(i64::try_from(step).unwrap());
            for (port, source) in ways {
                hub.on_datagram(now, port, source, &datagram);
            }
            if at % 5 == 0 {
                encoder.publish(&mut hub, now, now - START, &step.to_be_bytes());
                player.say(&mut hub, now, ControlKind::Keepalive);
                step += 1;
            }
            hub.advance(now);
            let media = player.media_in(&sent(&mut hub));
            received.extend(media.into_iter().map(|(_, payload)| payload));
        }
    }
    assert!(step > 1000 && received.len() + 250 > usize::try_from(step).unwrap());
    for (number, payload) in received.iter().enumerate() {
        assert_eq!(payload[..], u64::try_from(number).unwrap().to_be_bytes());
    }
    let counters: HashMap<_, _> = hub.counters().into_iter().collect();
    assert_eq!(
        (counters["publish_accepted"], counters["play_accepted"]),
        (2, 2)
    );
    assert!(counters["publish_malformed"] > 500, "{counters:?}");
    assert!(counters["publish_rejected"] > 100, "{counters:?}");
}

#[test]
fn a_clock_that_jumps_ends_nobody_whose_packets_wait_in_the_sockets() {
    let mut hub = Hub::new(START, &EmbeddedConfig::default(), [3; 32]);
    hub.open();
    register(&mut hub, "live_a", "play_a");
    let mut encoder =
        Caller::connect(&mut hub, START, Direction::Publish, "127.0.0.1:1", "live_a").unwrap();
    let player =
        Caller::connect(&mut hub, START, Direction::Play, "127.0.0.1:2", "play_a").unwrap();
    // A machine that slept: an hour, and two thousand years.
    for jump_seconds in [3_600, 63_072_000_000] {
        let now = START + Micros::from_secs(jump_seconds);
        encoder.publish(&mut hub, now, now - START, b"after");
        player.say(&mut hub, now, ControlKind::Keepalive);
        hub.advance(now);
        let mut told = sent(&mut hub);
        assert!(!encoder.is_told_shutdown(&told) && !player.is_told_shutdown(&told));
        hub.advance(now + Micros::from_secs(2));
        told.extend(sent(&mut hub));
        assert_eq!(player.media_in(&told).len(), 1, "after {jump_seconds} s");
        assert_eq!(hub.stats(now).len(), 1);
    }
    // And one that runs backwards, which no monotonic clock does.
    encoder.publish(&mut hub, START, Micros::ZERO, b"before");
    hub.advance(START);
    assert_eq!(hub.stats(START).len(), 1);
}
