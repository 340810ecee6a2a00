//! A slot with a passphrase: who is let in, what goes on the wire, and how keys are renewed.

use super::*;
use crate::relay::embedded::crypto::testing::CallerKeys;
use crate::relay::embedded::crypto::{BadKeyMessage, KeyMessage, KeySize, Parity};
use crate::relay::embedded::sequence::Sequence;
use crate::relay::embedded::testing::Sent;
use crate::relay::embedded::wire::{HEADER_BYTES, Packet, control, parse, word};

const PASSPHRASE: &str = "a long secret";
const OTHER_PLAYER: &str = "127.0.0.1:9";

fn secured(slot_id: SlotId, passphrase: Option<&str>) -> StreamSpec {
    StreamSpec {
        passphrase: passphrase.map(Into::into),
        ..spec(slot_id, "live_a", "play_a")
    }
}

fn bench(config: &EmbeddedConfig) -> Bench {
    let mut bench = Bench::with(config);
    let stream = secured(bench.slot_id, Some(PASSPHRASE));
    bench.hub.register(START, &stream).unwrap();
    bench
}

fn with_keys(stream_id: &str, keys: &CallerKeys) -> Handshake {
    Handshake {
        key_material: Some(Ok(keys.message())),
        ..caller(stream_id, 200)
    }
}

fn play(bench: &mut Bench, address: &str, keys: &CallerKeys) -> Caller {
    let (now, handshake) = (bench.now, with_keys("play_a", keys));
    Caller::connect_with(&mut bench.hub, now, Direction::Play, address, handshake).unwrap()
}

/// Encrypts a media packet.
fn sealed(mut datagram: Vec<u8>, keys: &CallerKeys, parity: Parity) -> Vec<u8> {
    let sequence = Sequence::new(word(&datagram, 0).unwrap());
    datagram[4] |= parity.flags() << 3;
    keys.key(parity)
        .apply(sequence, &mut datagram[HEADER_BYTES..]);
    datagram
}

/// The media that were sent to an address, decrypted, and the key each was under.
fn opened(sent: &Sent, to: &Caller, keys: &CallerKeys) -> Vec<(Parity, Vec<u8>)> {
    let to_it = sent.iter().filter(|(_, address, _)| *address == to.address);
    to_it
        .filter_map(|(_, _, datagram)| match parse(datagram)? {
            Packet::Data(packet) => {
                let parity = Parity::of_flags(packet.key_flags).expect("it is encrypted");
                let mut media = packet.payload.to_vec();
                keys.key(parity).apply(packet.sequence, &mut media);
                Some((parity, media))
            }
            Packet::Control(_) => None,
        })
        .collect()
}

/// The bodies of control packets of a kind that were sent to an address.
fn said(sent: &Sent, to: &Caller, kind: ControlKind) -> Vec<Vec<u8>> {
    let to_it = sent.iter().filter(|(_, address, _)| *address == to.address);
    to_it
        .filter_map(|(_, _, datagram)| match parse(datagram)? {
            Packet::Control(packet) if packet.kind == kind => Some(packet.body.to_vec()),
            Packet::Control(_) | Packet::Data(_) => None,
        })
        .collect()
}

impl Bench {
    fn tell(&mut self, from: &Caller, kind: ControlKind, body: &[u8]) -> Sent {
        let datagram = control(kind, 0, 0, from.remote_id, body);
        self.hub
            .on_datagram(self.now, from.port, from.address, &datagram);
        self.hub.advance(self.now);
        sent(&mut self.hub)
    }

    fn hear(&mut self, from: &Caller, datagram: &[u8]) {
        self.hub
            .on_datagram(self.now, from.port, from.address, datagram);
    }

    fn publisher_stats(&self) -> crate::relay::engine::PublisherStats {
        self.hub.stats(self.now)[0].publisher.clone().unwrap()
    }
}

#[test]
fn each_player_gets_the_media_under_the_key_that_it_brought() {
    let mut bench = bench(&EmbeddedConfig::default());
    let keys = [KeySize::Aes128, KeySize::Aes192, KeySize::Aes256]
        .map(|size| CallerKeys::new(PASSPHRASE, size));
    let [encoder_keys, one_keys, other_keys] = &keys;
    let one = play(&mut bench, PLAYER, one_keys);
    let other = play(&mut bench, OTHER_PLAYER, other_keys);
    let handshake = with_keys("live_a", encoder_keys);
    let mut encoder = bench.call(Direction::Publish, handshake).unwrap();
    for (at, media) in [(0, b"one"), (1, b"two")] {
        let datagram = sealed(encoder.media(MS * at, media), encoder_keys, Parity::Even);
        bench.hear(&encoder, &datagram);
    }
    let sent = bench.pass(LATENCY + MS * 50, &[&one, &other, &encoder]);
    let expected = [b"one", b"two"].map(|media| (Parity::Even, media.to_vec()));
    for (player, keys) in [(&one, one_keys), (&other, other_keys)] {
        assert_eq!(opened(&sent, player, keys)[..2], expected);
        let on_the_wire = player.media_in(&sent);
        assert!(
            on_the_wire
                .iter()
                .all(|(_, media)| media != b"one" && media != b"two")
        );
    }
    assert_eq!(bench.publisher_stats().key_bits, 128);
    let mut bits: Vec<_> = bench.hub.stats(bench.now)[0]
        .players
        .iter()
        .map(|player| player.key_bits)
        .collect();
    bits.sort_unstable();
    assert_eq!(bits, [192, 256]);
}

#[test]
fn a_wrong_or_missing_passphrase_has_its_code_and_a_wrong_key_comes_first() {
    let mut bench = bench(&EmbeddedConfig::default());
    let right = CallerKeys::new(PASSPHRASE, KeySize::Aes128);
    let wrong = CallerKeys::new("another secret", KeySize::Aes128);
    let malformed = |stream_id: &str| Handshake {
        key_material: Some(Err(BadKeyMessage::Malformed)),
        ..caller(stream_id, 200)
    };
    for (direction, key) in [(Direction::Publish, "live_a"), (Direction::Play, "play_a")] {
        for (handshake, code) in [
            (caller(key, 200), 1011),
            (with_keys(key, &wrong), 1010),
            (malformed(key), 1004),
            (with_keys("x", &right), 2401),
            (with_keys(key, &right), 0),
        ] {
            let outcome = bench.call(direction, handshake);
            assert_eq!(outcome.err().unwrap_or(0), code, "{direction:?}");
        }
    }
    let plain = secured(bench.slot_id, None);
    bench.hub.register(bench.now, &plain).unwrap();
    let outcome = bench.call(Direction::Publish, with_keys("live_a", &right));
    assert_eq!(outcome.err(), Some(1011), "a slot without a passphrase");
}

#[test]
fn a_new_passphrase_cuts_off_everyone_and_the_same_again_nobody() {
    let mut bench = bench(&EmbeddedConfig::default());
    let old = CallerKeys::new(PASSPHRASE, KeySize::Aes128);
    let player = play(&mut bench, PLAYER, &old);
    let handshake = with_keys("live_a", &old);
    let encoder = bench.call(Direction::Publish, handshake).unwrap();
    for (passphrase, is_cut_off) in [(PASSPHRASE, false), ("another secret", true)] {
        let stream = secured(bench.slot_id, Some(passphrase));
        bench.hub.register(bench.now, &stream).unwrap();
        let sent = sent(&mut bench.hub);
        assert_eq!(encoder.is_told_shutdown(&sent), is_cut_off);
        assert_eq!(player.is_told_shutdown(&sent), is_cut_off);
    }
    let refused = bench.call(Direction::Publish, with_keys("live_a", &old));
    assert_eq!(refused.err(), Some(1010));
    let new = CallerKeys::new("another secret", KeySize::Aes128);
    let handshake = with_keys("live_a", &new);
    assert!(bench.call(Direction::Publish, handshake).is_ok());
}

#[test]
fn media_that_cannot_be_decrypted_are_counted_and_taken_once_their_key_is_known() {
    let mut bench = bench(&EmbeddedConfig::default());
    let mut keys = CallerKeys::new(PASSPHRASE, KeySize::Aes256);
    let player_keys = CallerKeys::new(PASSPHRASE, KeySize::Aes128);
    let player = play(&mut bench, PLAYER, &player_keys);
    let handshake = with_keys("live_a", &keys);
    let mut encoder = bench.call(Direction::Publish, handshake).unwrap();
    let renewal = keys.renew(Parity::Odd);
    let early = sealed(encoder.media(MS, b"under the odd key"), &keys, Parity::Odd);
    bench.hear(&encoder, &early);
    bench.hear(&encoder.clone(), &encoder.clone().media(MS, b"plain"));
    assert_eq!(bench.publisher_stats().undecryptable_packets, 2);
    assert_eq!(bench.publisher_stats().packets, 0);

    for _ in 0..3 {
        let sent = bench.tell(&encoder, ControlKind::KeyRequest, renewal.bytes());
        let answers = said(&sent, &encoder, ControlKind::KeyResponse);
        assert_eq!(answers, [renewal.bytes()], "also when it is repeated");
    }
    let foreign = CallerKeys::new("another secret", KeySize::Aes256).message();
    bench.now += Micros::from_secs(2);
    let sent = bench.tell(&encoder, ControlKind::KeyRequest, foreign.bytes());
    let answers = said(&sent, &encoder, ControlKind::KeyResponse);
    assert_eq!(answers, [[4, 0, 0, 0]], "wrong passphrase");

    bench.hear(&encoder, &early);
    let sent = bench.pass(LATENCY + MS * 50, &[&player, &encoder]);
    let media = opened(&sent, &player, &player_keys);
    assert_eq!(media[0], (Parity::Even, b"under the odd key".to_vec()));
    let counters = bench.hub.counters();
    assert!(counters.contains(&("publish_undecryptable", 2)));
}

#[test]
fn a_players_key_is_announced_until_it_confirms_and_then_changed() {
    let mut bench = bench(&EmbeddedConfig {
        key_refresh_packets: 20,
        ..EmbeddedConfig::default()
    });
    let encoder_keys = CallerKeys::new(PASSPHRASE, KeySize::Aes128);
    let mut player_keys = CallerKeys::new(PASSPHRASE, KeySize::Aes128);
    let player = play(&mut bench, PLAYER, &player_keys);
    let handshake = with_keys("live_a", &encoder_keys);
    let mut encoder = bench.call(Direction::Publish, handshake).unwrap();
    let mut publish = |bench: &mut Bench, count: i64| {
        let mut all = Vec::new();
        for _ in 0..count {
            let at = bench.now - START;
            let datagram = sealed(encoder.media(at, b"media"), &encoder_keys, Parity::Even);
            bench.hear(&encoder, &datagram);
            all.extend(bench.pass(MS * 20, &[&player, &encoder]));
        }
        all
    };
    let unanswered = publish(&mut bench, 60);
    let messages = said(&unanswered, &player, ControlKind::KeyRequest);
    assert!(messages.len() > 2, "{} announcements", messages.len());
    assert!(messages.iter().all(|message| *message == messages[0]));
    let media = opened(&unanswered, &player, &player_keys);
    assert!(media.iter().all(|(parity, _)| *parity == Parity::Even));

    player_keys.take(&KeyMessage::parse(&messages[0]).unwrap());
    bench.tell(&player, ControlKind::KeyResponse, &messages[0]);
    let after = publish(&mut bench, 5);
    let media = opened(&after, &player, &player_keys);
    assert!(media.iter().any(|(parity, _)| *parity == Parity::Odd));
    assert!(media.iter().all(|(_, media)| media == b"media"));
    assert_eq!(media.last().unwrap().0, Parity::Odd);
}
