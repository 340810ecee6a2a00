//! Who is let in, who is refused with which code, and who takes whose place.

use std::time::Duration;

use super::*;
use crate::relay::embedded::crypto::BadKeyMessage;
use crate::relay::embedded::handshake::CONCLUSION;
use crate::relay::embedded::sequence::Sequence;
use crate::relay::embedded::testing::{conclusion_datagram, handshake_of, induction};

#[test]
fn before_it_is_open_nobody_is_refused_and_who_waited_is_admitted() {
    let mut hub = Hub::new(START, &EmbeddedConfig::default(), [3; 32]);
    let address: SocketAddr = ENCODER.parse().unwrap();
    let handshake = caller("live_a", 200);
    hub.on_datagram(
        START,
        Port::Publish,
        address,
        &induction(handshake.socket_id),
    );
    let (_, _, answer) = sent(&mut hub).remove(0);
    let cookie = handshake_of(&answer).unwrap().cookie;
    let asked = conclusion_datagram(&Handshake {
        cookie,
        ..handshake
    });
    hub.on_datagram(START, Port::Publish, address, &asked);
    assert!(sent(&mut hub).is_empty(), "not even a refusal");
    hub.register(START, &spec(SlotId::generate(), "live_a", "play_a"))
        .unwrap();
    hub.open();
    hub.on_datagram(START, Port::Publish, address, &asked);
    let (_, _, answer) = sent(&mut hub).remove(0);
    assert_eq!(handshake_of(&answer).unwrap().kind, CONCLUSION);
}

#[test]
fn every_spelling_of_a_key_admits() {
    use Direction::{Play, Publish};
    let cases = [
        (Publish, "live_a"),
        (Publish, "a"),
        (Publish, "publish/live_a"),
        (Publish, "publish/live/a"),
        (Publish, "#!::r=live_a,m=publish"),
        (Publish, "#!::u=me,r=publish/live_a"),
        (Play, "play_a"),
        (Play, "a"),
        (Play, "play/play_a"),
        (Play, "#!::m=request,r=play_a"),
    ];
    for (direction, stream_id) in cases {
        let outcome = Bench::new().call(direction, caller(stream_id, 200));
        assert!(outcome.is_ok(), "{direction:?} {stream_id}");
    }
}

#[test]
fn every_refusal_has_its_code() {
    use Direction::{Play, Publish};
    let known = caller("live_a", 200);
    let with_latency = |stream_id: &str| caller(stream_id, 15_001);
    let with_encryption = |stream_id: &str| Handshake {
        key_material: Some(Err(BadKeyMessage::Malformed)),
        ..caller(stream_id, 200)
    };
    let cases = [
        (Publish, caller("live_b", 200), 2401),
        (Publish, caller("play_a", 200), 2405),
        (Play, caller("live_a", 200), 2405),
        (Publish, caller("", 200), 2400),
        (Publish, caller("live/%n", 200), 2400),
        (Publish, caller("#!::r=live_a,m=request", 200), 2405),
        (Publish, with_latency("live_a"), 2406),
        (Publish, with_encryption("live_a"), 1011),
        (
            Publish,
            Handshake {
                has_filter: true,
                ..known.clone()
            },
            1014,
        ),
        (
            Publish,
            Handshake {
                has_group: true,
                ..known.clone()
            },
            1015,
        ),
        (
            Publish,
            Handshake {
                extension: None,
                ..known
            },
            1004,
        ),
        // A stranger learns nothing but that it is one.
        (Publish, with_latency("live_b"), 2401),
        (Publish, with_encryption("live_b"), 2401),
    ];
    for (direction, handshake, code) in cases {
        let stream_id = handshake.stream_id.clone();
        let outcome = Bench::new()
            .call(direction, handshake)
            .map(|caller| caller.port);
        assert_eq!(outcome, Err(code), "{direction:?} {stream_id:?}");
    }
}

#[test]
fn a_full_port_refuses_but_only_who_has_a_key() {
    let config = EmbeddedConfig {
        publishers_max: 0,
        ..EmbeddedConfig::default()
    };
    assert_eq!(
        Bench::with(&config)
            .publisher(ENCODER)
            .map(|caller| caller.port),
        Err(2402)
    );
    let stranger = Bench::with(&config).call(Direction::Publish, caller("live_b", 200));
    assert_eq!(stranger.map(|caller| caller.port), Err(2401));
}

#[test]
fn a_second_publisher_is_refused_while_the_first_delivers_and_takes_over_when_it_is_stale() {
    let mut bench = Bench::new();
    let mut first = bench.publisher(ENCODER).unwrap();
    bench.publish(&mut first, MS, b"m");
    bench.pass(MS * 2_950, &[&first]);
    let refused = bench.publisher(OTHER_ENCODER).map(|caller| caller.port);
    assert_eq!(refused, Err(2409));
    bench.pass(MS * 50, &[&first]);
    assert_eq!(bench.events(), [bench.started()]);
    let mut second = bench.publisher(OTHER_ENCODER).unwrap();
    assert_eq!(bench.events(), [], "the stream has not ended");
    let publisher = bench.hub.stats(bench.now).remove(0).publisher.unwrap();
    assert_eq!(publisher.links[0].address, OTHER_ENCODER.parse().unwrap());
    bench.publish(&mut second, MS, b"m");
    assert_eq!(bench.events(), [bench.started()]);
    bench.publish(&mut first, MS, b"late");
    assert_eq!(bench.events(), []);
}

#[test]
fn the_players_of_one_slot_leave_room_for_those_of_others() {
    let mut bench = Bench::new();
    bench
        .hub
        .register(START, &spec(SlotId::generate(), "live_b", "play_b"))
        .unwrap();
    let mut play = |number: u8, key| {
        let (hub, address) = (&mut bench.hub, format!("127.0.1.{number}:1"));
        Caller::connect(hub, bench.now, Direction::Play, &address, key).map(|caller| caller.port)
    };
    for number in 0..16 {
        assert_eq!(play(number, "play_a"), Ok(Port::Play));
    }
    assert_eq!(play(16, "play_a"), Err(2402));
    assert_eq!(play(17, "play_b"), Ok(Port::Play));
}

#[test]
fn a_phone_takes_its_own_place_when_all_are_taken() {
    let config = EmbeddedConfig {
        publishers_max: 1,
        ..EmbeddedConfig::default()
    };
    let mut bench = Bench::with(&config);
    bench
        .hub
        .register(START, &spec(SlotId::generate(), "live_b", "play_b"))
        .unwrap();
    bench.publisher(ENCODER).unwrap();
    bench.publisher(OTHER_ENCODER).unwrap();
    let publisher = bench.hub.stats(bench.now).remove(0).publisher.unwrap();
    assert_eq!(publisher.links[0].address, OTHER_ENCODER.parse().unwrap());
    let other = bench.call(Direction::Publish, caller("live_b", 200));
    assert_eq!(other.map(|caller| caller.port), Err(2402));
}

fn with_sequence(first: u32) -> Handshake {
    Handshake {
        initial_sequence: Sequence::new(first),
        ..caller("live_a", 200)
    }
}

#[test]
fn an_encoder_that_begins_anew_on_its_address_takes_its_own_place_at_once() {
    let mut bench = Bench::new();
    let mut first = bench.call(Direction::Publish, with_sequence(1000)).unwrap();
    first.publish(&mut bench.hub, bench.now, Micros::ZERO, b"old");
    bench.hub.advance(bench.now);
    bench.hub.events.clear();
    let mut second = bench.call(Direction::Publish, with_sequence(5000)).unwrap();
    assert_ne!(second.remote_id, first.remote_id);
    bench.hub.advance(bench.now);
    let sent = sent(&mut bench.hub);
    assert!(!second.is_told_shutdown(&sent), "they share a socket id");
    second.publish(&mut bench.hub, bench.now, Micros::ZERO, b"new");
    bench.hub.advance(bench.now);
    assert_eq!(
        bench.hub.events,
        [EngineEvent::MediaStarted(bench.slot_id)],
        "the stream did not end in between"
    );
    let stats = bench.hub.stats(bench.now).remove(0);
    assert_eq!(stats.received.packets, 2);
}

#[test]
fn a_conclusion_that_is_repeated_is_answered_again_and_no_new_call() {
    let mut bench = Bench::new();
    let first = bench.call(Direction::Publish, with_sequence(1000)).unwrap();
    let again = bench.call(Direction::Publish, with_sequence(1000)).unwrap();
    assert_eq!(again.remote_id, first.remote_id);
}

#[test]
fn a_player_that_asks_for_more_than_the_most_gets_the_most() {
    let mut bench = Bench::new();
    bench
        .call(Direction::Play, caller("play_a", 60_000))
        .unwrap();
    let player = bench.hub.stats(bench.now).remove(0).players.remove(0);
    assert_eq!(player.latency, Duration::from_secs(15));
}
