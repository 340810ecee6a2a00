//! Cookies, limits and what a caller must not be able to do.

use super::*;
use crate::kernel::ids::SlotId;
use crate::relay::embedded::crypto::RefreshRate;
use crate::relay::embedded::handshake::tests::caller;
use crate::relay::embedded::handshake::{CONCLUSION, Handshake};
use crate::relay::embedded::receive::ReceiveLimits;
use crate::relay::embedded::testing::{conclusion_datagram, handshake_of, induction};
use crate::relay::embedded::wire::{control, word};

pub(super) const NOW: Micros = Micros::from_secs(100);
const ADDRESS: &str = "127.0.0.1:5";

pub(super) fn listener() -> Listener {
    let limits = ListenerLimits {
        latency_min: Micros::from_millis(120),
        latency_max: Micros::from_secs(15),
        connections_max: 10,
        first_handshakes_per_second: 100,
        handshakes_per_second: 20,
        idle: Micros::from_secs(6),
        first_media: Micros::from_secs(15),
        receive: ReceiveLimits {
            window_packets: 1024,
            bytes: 1_000_000,
        },
        queue_bytes: 1_000_000,
        key_refresh: RefreshRate::every(RefreshRate::DEFAULT_PACKETS),
    };
    Listener::new(NOW, Direction::Publish, limits, [4; 32])
}

fn peer(address: &str) -> Peer {
    Peer::Udp(address.parse().unwrap())
}

pub(super) fn hear(
    listener: &mut Listener,
    address: &str,
    datagram: &[u8],
) -> Option<ConnectRequest> {
    let source: std::net::SocketAddr = address.parse().unwrap();
    listener.on_datagram(NOW, Peer::Udp(source), source.ip(), datagram)
}

pub(super) fn sent(listener: &mut Listener) -> Vec<Bytes> {
    listener
        .outgoing
        .drain(..)
        .map(|outgoing| match outgoing {
            Outgoing::Control(_, packet) => packet,
            Outgoing::Data(..) => panic!("a publish port sends no media"),
        })
        .collect()
}

fn cookie(listener: &mut Listener, address: &str) -> u32 {
    hear(listener, address, &induction(1));
    handshake_of(&sent(listener)[0]).unwrap().cookie
}

fn request(listener: &mut Listener, address: &str) -> Option<ConnectRequest> {
    let handshake = Handshake {
        cookie: cookie(listener, address),
        ..caller("live_a", 2000)
    };
    hear(listener, address, &conclusion_datagram(&handshake))
}

#[test]
fn an_induction_is_answered_with_a_cookie_and_stores_nothing() {
    let mut listener = listener();
    hear(&mut listener, ADDRESS, &induction(77));
    let answer = &sent(&mut listener)[0];
    assert_eq!(word(answer, 12), Some(77), "to the caller's socket");
    let handshake = handshake_of(answer).unwrap();
    assert_eq!((handshake.version, handshake.extension_field), (5, 0x4A17));
    assert!(listener.connections.is_empty() && listener.by_caller.is_empty());
}

#[test]
fn a_conclusion_needs_the_cookie_of_its_own_address() {
    let mut listener = listener();
    let handshake = Handshake {
        cookie: cookie(&mut listener, "127.0.0.1:6"),
        ..caller("live_a", 200)
    };
    assert!(hear(&mut listener, ADDRESS, &conclusion_datagram(&handshake)).is_none());
    assert_eq!(listener.counters.bad_cookie, 1);
    assert!(sent(&mut listener).is_empty());
}

#[test]
fn attempts_of_one_address_are_limited_after_the_cookie() {
    let mut listener = listener();
    let asked = (0..100)
        .filter(|_| request(&mut listener, ADDRESS).is_some())
        .count();
    assert_eq!(asked, 40);
    assert_eq!(listener.counters.limited, 60);
    assert!(request(&mut listener, "127.0.0.2:5").is_some());
}

#[test]
fn a_flood_of_first_handshakes_under_forged_addresses_locks_nobody_out() {
    let mut listener = listener();
    for number in 0..50_000 {
        let source = std::net::Ipv4Addr::from_bits(0x0A00_0000 + number).into();
        let peer = Peer::Udp((source, 5).into());
        listener.on_datagram(NOW, peer, source, &induction(1));
        listener.outgoing.clear();
    }
    assert!(request(&mut listener, ADDRESS).is_some());
}

#[test]
fn a_forger_can_have_an_address_answered_only_so_often() {
    let mut listener = listener();
    for _ in 0..1_000 {
        hear(&mut listener, ADDRESS, &induction(1));
    }
    assert_eq!(sent(&mut listener).len(), 200);
    assert_eq!(listener.counters.first_limited, 800);
}

#[test]
fn an_accepted_caller_learns_latency_and_socket_and_a_repetition_is_the_same_connection() {
    let mut listener = listener();
    let handshake = Handshake {
        cookie: cookie(&mut listener, ADDRESS),
        ..caller("live_a", 2000)
    };
    let datagram = conclusion_datagram(&handshake);
    let request = hear(&mut listener, ADDRESS, &datagram).unwrap();
    assert_eq!(request.latency, Micros::from_millis(2000));
    let id = listener.accept(NOW, request, SlotId::generate(), None);
    let answer = sent(&mut listener).remove(0);
    let parsed = handshake_of(&answer).unwrap();
    assert_eq!(
        (parsed.kind, parsed.socket_id, parsed.window_packets),
        (CONCLUSION, id, 1024)
    );
    // Header and fixed part, extension header, version, flags; then the two latencies.
    assert_eq!(word(&answer, 16 + 48 + 4 + 8), Some(2000 * 0x1_0001));

    assert!(hear(&mut listener, ADDRESS, &datagram).is_none());
    assert_eq!(sent(&mut listener), [answer]);
    assert_eq!(listener.connections.len(), 1);
}

#[test]
fn the_least_latency_is_ours() {
    let mut listener = listener();
    let handshake = Handshake {
        cookie: cookie(&mut listener, ADDRESS),
        ..caller("live_a", 20)
    };
    let request = hear(&mut listener, ADDRESS, &conclusion_datagram(&handshake)).unwrap();
    assert_eq!(request.latency, Micros::from_millis(120));
}

#[test]
fn nobody_can_speak_for_another_address() {
    let mut listener = listener();
    let request = request(&mut listener, ADDRESS).unwrap();
    let id = listener.accept(NOW, request, SlotId::generate(), None);
    let shutdown = control(ControlKind::Shutdown, 0, 0, id, &[]);
    hear(&mut listener, "127.0.0.9:5", &shutdown);
    assert_eq!(listener.counters.stray, 1);
    assert!(listener.connection(id).is_some());
    hear(&mut listener, ADDRESS, &shutdown);
    assert!(listener.connection(id).is_none());
    assert!(listener.by_caller.is_empty());
}

#[test]
fn a_silent_connection_hears_keepalives_and_ends() {
    let mut listener = listener();
    let request = request(&mut listener, ADDRESS).unwrap();
    let id = listener.accept(NOW, request, SlotId::generate(), None);
    sent(&mut listener);
    let mut kinds = Vec::new();
    for tenths in 1..=70 {
        listener.advance(NOW + Micros::from_millis(100) * tenths);
        kinds.extend(sent(&mut listener).iter().map(|packet| packet[1]));
    }
    assert_eq!(kinds, [1, 1, 1, 1, 1, 5], "five keepalives and a shutdown");
    assert!(matches!(
        listener.events[..],
        [ConnectionEvent::Closed(Closed {
            cause: CloseCause::Idle,
            ..
        })]
    ));
    assert!(listener.connection(id).is_none());
    assert_eq!(listener.next_deadline(), Micros::MAX);
}

#[test]
fn encrypted_media_of_a_plain_connection_are_left_out() {
    let mut listener = listener();
    let request = request(&mut listener, ADDRESS).unwrap();
    let id = listener.accept(NOW, request, SlotId::generate(), None);
    let mut datagram = super::super::wire::data_header(
        super::super::sequence::Sequence::new(0x7FFF_FFF0),
        1,
        false,
        1,
        0,
        id,
    )
    .to_vec();
    datagram.extend_from_slice(b"secret");
    hear(&mut listener, ADDRESS, &datagram);
    assert_eq!(listener.counters.undecryptable, 1);
    assert!(listener.connection(id).unwrap().last_media().is_none());
    assert_eq!(peer(ADDRESS), listener.connection(id).unwrap().peer);
}
