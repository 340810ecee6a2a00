//! A flood up to every limit: what the relay holds stays within what its configuration promises.

use std::net::{Ipv4Addr, SocketAddr};

use super::*;
use crate::relay::embedded::MemoryBound;
use crate::relay::embedded::handshake::Handshake;
use crate::relay::embedded::handshake::tests::caller;
use crate::relay::embedded::testing::{Caller, sent};
use crate::relay::embedded::wire::ControlKind;
use crate::relay::engine::EngineCounters;

const NOW: Micros = Micros::from_secs(1000);
const PUBLISHERS: usize = 3;
const PLAYERS: usize = 4;

fn config() -> EmbeddedConfig {
    EmbeddedConfig {
        publishers_max: PUBLISHERS,
        players_max: PLAYERS,
        players_per_slot_max: 3,
        publisher_buffer_bytes: 500_000,
        player_queue_bytes: 300_000,
        srtla_groups_max: 10,
        srtla_links_max: 4,
        ..EmbeddedConfig::default()
    }
}

fn hub() -> Hub {
    let mut hub = Hub::new(NOW, &config(), [3; 32]);
    hub.open();
    for number in 0..=PUBLISHERS {
        let stream = StreamSpec {
            slot_id: SlotId::generate(),
            publish_key: format!("live_{number}").into(),
            play_key: format!("play_{number}").into(),
            passphrase: None,
        };
        hub.register(NOW, &stream).unwrap();
    }
    hub
}

fn of(counters: &EngineCounters, name: &str) -> u64 {
    let found = counters.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("no counter {name}")).1
}

fn call(hub: &mut Hub, direction: Direction, slot: usize, port: u16) -> Result<Caller, u32> {
    let (prefix, network) = match direction {
        Direction::Publish => ("live", 1),
        Direction::Play => ("play", 2),
    };
    let address = format!("127.0.{network}.{slot}:{port}");
    let handshake = Handshake {
        socket_id: u32::from(port),
        ..caller(&format!("{prefix}_{slot}"), 15_000)
    };
    Caller::connect_with(hub, NOW, direction, &address, handshake)
}

/// Sends more than the buffer takes, all of which has to wait: the first packet never comes.
fn overfill(hub: &mut Hub, publisher: &mut Caller, payload_bytes: usize, count: usize) {
    let payload = vec![7; payload_bytes];
    publisher.media(Micros::ZERO, &payload);
    for _ in 0..count {
        publisher.publish(hub, NOW, Micros::ZERO, &payload);
    }
    hub.advance(NOW);
    sent(hub);
}

#[test]
fn publishers_and_players_hold_no_more_than_their_buffers_and_places() {
    let config = config();
    let mut hub = hub();
    for slot in 0..PUBLISHERS {
        let mut publisher = call(&mut hub, Direction::Publish, slot, 1000).unwrap();
        let (bytes, count) = [(1456, 2000), (1, 2500), (188, 2900)][slot];
        overfill(&mut hub, &mut publisher, bytes, count);
    }
    let one_more = call(&mut hub, Direction::Publish, PUBLISHERS, 1000);
    assert_eq!(one_more.map(|_| ()), Err(2402));
    for port in 1..=3 {
        call(&mut hub, Direction::Play, 0, port).unwrap();
    }
    let same_slot = call(&mut hub, Direction::Play, 0, 4);
    assert_eq!(same_slot.map(|_| ()), Err(2402));
    call(&mut hub, Direction::Play, 1, 5).unwrap();
    let other_slot = call(&mut hub, Direction::Play, 2, 6);
    assert_eq!(other_slot.map(|_| ()), Err(2402));
    let counters = hub.counters();
    for (name, expected) in [
        ("publishers_open", 3),
        ("publishers_refused", 1),
        ("players_open", 4),
        ("slot_players_refused", 1),
        ("players_refused", 1),
    ] {
        assert_eq!(of(&counters, name), expected, "{name}");
    }
    assert!(
        of(&counters, "publisher_buffer_full") > 1000,
        "{counters:?}"
    );
    let held = hub.publish.holds();
    assert!(
        held.bytes > config.publisher_buffer_bytes,
        "the flood fills"
    );
    assert!(held.bytes <= PUBLISHERS * config.publisher_buffer_bytes);
    let window_packets = usize::try_from(window_packets(&config)).unwrap();
    assert!(held.packets <= PUBLISHERS * window_packets);
    let bound = MemoryBound::of(&config);
    assert!(held.bytes < PUBLISHERS * bound.publisher_bytes);
}

#[test]
fn a_player_that_does_not_acknowledge_holds_no_more_than_its_queue() {
    let config = config();
    let mut hub = hub();
    call(&mut hub, Direction::Play, 0, 7).unwrap();
    let player = hub.slots.values().find_map(|slot| slot.players.first());
    let player = *player.expect("it was admitted");
    for _ in 0..1000 {
        let payload = Bytes::from_static(&[7; 1316]);
        hub.play.push(NOW, player, &[(NOW, payload)]);
    }
    let counters = hub.counters();
    assert!(of(&counters, "player_queue_full") > 500, "{counters:?}");
    let queued = of(&counters, "player_bytes_queued");
    assert!(queued <= u64::try_from(config.player_queue_bytes).unwrap());
    hub.close_all(NOW, CloseCause::Disconnected);
    let after = hub.counters();
    assert_eq!(of(&after, "player_bytes_queued"), 0);
    assert_eq!(
        of(&after, "player_queue_full"),
        of(&counters, "player_queue_full"),
        "a closed connection's overflow still counts"
    );
}

#[test]
fn what_ended_publishers_leave_is_no_more_than_places_for_publishers() {
    let mut hub = hub();
    for slot in 0..=PUBLISHERS {
        let mut publisher = call(&mut hub, Direction::Publish, slot, 1000).unwrap();
        publisher.publish(&mut hub, NOW, Micros::ZERO, &[7; 100]);
        hub.advance(NOW);
        // It says goodbye while its media wait for their time.
        publisher.say(&mut hub, NOW, ControlKind::Shutdown);
        hub.advance(NOW);
    }
    let counters = hub.counters();
    assert_eq!(of(&counters, "publishers_open"), 0);
    assert_eq!(of(&counters, "publisher_bytes_held"), 300);
    assert_eq!(of(&counters, "ended_publisher_overflow"), 1);
}

#[test]
fn strangers_take_no_more_than_groups_and_links() {
    let config = config();
    let mut hub = hub();
    for number in 0..2000_u32 {
        let ip = Ipv4Addr::from_bits(0x0A00_0000 + number / 4);
        let source = SocketAddr::from((ip, 1000 + u16::try_from(number % 4).unwrap()));
        let open = [&[0x92, 0x00][..], &[7; 256]].concat();
        hub.on_datagram(NOW, Port::Srtla, source, &open);
        for (_, to, answer) in sent(&mut hub) {
            if to == source && answer.len() == 258 {
                for port in 2000..2006 {
                    let link =
                        SocketAddr::from((ip, port + u16::try_from(number % 4).unwrap() * 10));
                    hub.on_datagram(NOW, Port::Srtla, link, &answer);
                }
            }
        }
        sent(&mut hub);
    }
    let counters = hub.counters();
    let most = |count: usize| u64::try_from(count).unwrap();
    assert_eq!(
        of(&counters, "srtla_groups_open"),
        most(config.srtla_groups_max)
    );
    let links = config.srtla_groups_max * config.srtla_links_max;
    assert!(of(&counters, "srtla_links_open") <= most(links));
    assert!(of(&counters, "srtla_links_refused") > 0, "{counters:?}");
    assert!(of(&counters, "srtla_groups_refused") > 0, "{counters:?}");
    assert_eq!(of(&counters, "publisher_bytes_held"), 0);
}
