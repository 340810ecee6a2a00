//! The relay with real sockets on the loopback interface.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Instant;

use super::handshake::tests::caller;
use super::handshake::{CONCLUSION, Handshake};
use super::testing::{conclusion_datagram, handshake_of, induction};
use super::wire::{HEADER_BYTES, data_header, half_word};
use super::*;

const DEADLINE: Duration = Duration::from_secs(10);

fn config() -> EmbeddedConfig {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    EmbeddedConfig {
        srtla_listen: any,
        publish_listen: any,
        play_listen: any,
        ..EmbeddedConfig::default()
    }
}

async fn relay_with_a_slot() -> (EmbeddedRelay, SlotId) {
    let relay = EmbeddedRelay::start(&config()).unwrap();
    let slot_id = SlotId::generate();
    relay
        .register(spec(slot_id, "live_a", "play_a"))
        .await
        .unwrap();
    relay.open();
    (relay, slot_id)
}

fn spec(slot_id: SlotId, publish_key: &str, play_key: &str) -> StreamSpec {
    StreamSpec {
        slot_id,
        publish_key: publish_key.into(),
        play_key: play_key.into(),
        passphrase: None,
    }
}

/// An encoder or player with a socket of its own.
struct Remote {
    socket: UdpSocket,
    remote_id: u32,
}

impl Remote {
    fn connect(to: SocketAddr, stream_id: &str) -> Result<Self, u32> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.connect(to).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.send(&induction(5)).unwrap();
        let mut remote = Self {
            socket,
            remote_id: 0,
        };
        let first = handshake_of(&remote.receive()).unwrap();
        let handshake = Handshake {
            cookie: first.cookie,
            ..caller(stream_id, 120)
        };
        remote
            .socket
            .send(&conclusion_datagram(&handshake))
            .unwrap();
        let second = handshake_of(&remote.receive()).unwrap();
        remote.remote_id = second.socket_id;
        if second.kind == CONCLUSION {
            Ok(remote)
        } else {
            Err(second.kind)
        }
    }

    fn receive(&self) -> Vec<u8> {
        let mut buffer = [0; 2000];
        let length = self
            .socket
            .recv(&mut buffer)
            .expect("an answer within the deadline");
        buffer[..length].to_vec()
    }

    /// Waits for a datagram that is meant.
    fn receive_until(&self, is_meant: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let until = Instant::now() + DEADLINE;
        while Instant::now() < until {
            let datagram = self.receive();
            if is_meant(&datagram) {
                return datagram;
            }
        }
        panic!("nothing came of what was meant");
    }

    fn send_media(&self, offset: u32, payload: &[u8]) {
        let first = caller("", 0).initial_sequence.get();
        let sequence = sequence::Sequence::new(first + offset);
        let header = data_header(sequence, 1, false, 0, offset * 1000, self.remote_id);
        self.socket
            .send(&[header.as_slice(), payload].concat())
            .unwrap();
    }

    fn is_told_shutdown(&self) -> bool {
        let shutdown = |datagram: &[u8]| half_word(datagram, 0) == Some(0x8005);
        shutdown(&self.receive_until(shutdown))
    }
}

async fn next(events: &mut broadcast::Receiver<EngineEvent>) -> EngineEvent {
    tokio::time::timeout(DEADLINE, events.recv())
        .await
        .expect("an event in time")
        .unwrap()
}

#[tokio::test]
async fn media_flow_from_socket_to_socket_and_a_shutdown_reaches_both() {
    let (relay, slot_id) = relay_with_a_slot().await;
    let mut events = relay.events();
    let player = Remote::connect(relay.addresses().play, "play_a").unwrap();
    let encoder = Remote::connect(relay.addresses().publish, "live_a").unwrap();
    for offset in 0..5 {
        encoder.send_media(offset, &[b'a' + u8::try_from(offset).unwrap(); 1316]);
    }
    for expected in [b'a', b'b', b'c', b'd', b'e'] {
        let datagram = player.receive_until(|datagram| datagram[0] & 0x80 == 0);
        assert_eq!(datagram[HEADER_BYTES..], [expected; 1316]);
    }
    assert_eq!(next(&mut events).await, EngineEvent::MediaStarted(slot_id));
    let stats = relay.stats().await.unwrap().remove(0);
    let carried = crate::relay::engine::Traffic {
        packets: 5,
        bytes: 6580,
    };
    assert_eq!(
        (stats.slot_id, stats.received, stats.sent),
        (slot_id, carried, carried)
    );

    relay.shutdown().await;
    assert!(encoder.is_told_shutdown());
    assert!(player.is_told_shutdown());
    assert!(matches!(relay.stats().await, Err(EngineError::Unavailable)));
    assert!(matches!(relay.health().await, EngineHealth::Degraded(_)));
    relay.shutdown().await;
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_counted() {
    let (relay, _) = relay_with_a_slot().await;
    let refused = Remote::connect(relay.addresses().publish, "live_b").map(|_| ());
    assert_eq!(refused, Err(2401));
    let counters = relay.counters().await.unwrap();
    assert!(counters.contains(&("publish_rejected", 1)), "{counters:?}");
    assert_eq!(relay.health().await, EngineHealth::Ready);
}

#[tokio::test]
async fn a_disconnected_publisher_is_told_and_may_come_back() {
    let (relay, slot_id) = relay_with_a_slot().await;
    let mut events = relay.events();
    let encoder = Remote::connect(relay.addresses().publish, "live_a").unwrap();
    encoder.send_media(0, b"m");
    assert_eq!(next(&mut events).await, EngineEvent::MediaStarted(slot_id));
    assert_eq!(
        relay.disconnect(slot_id, Target::Publisher).await.unwrap(),
        1
    );
    assert!(encoder.is_told_shutdown());
    let ended = super::super::engine::Ended::Disconnected;
    assert_eq!(
        next(&mut events).await,
        EngineEvent::PublisherGone(slot_id, ended)
    );
    assert!(Remote::connect(relay.addresses().publish, "live_a").is_ok());
    relay.drop_stream(slot_id).await.unwrap();
    let refused = Remote::connect(relay.addresses().publish, "live_a").map(|_| ());
    assert_eq!(refused, Err(2401));
}

#[tokio::test]
async fn a_key_of_another_slot_is_rejected() {
    let (relay, _) = relay_with_a_slot().await;
    let outcome = relay
        .register(spec(SlotId::generate(), "live_a", "play_b"))
        .await;
    assert!(matches!(outcome, Err(EngineError::Rejected { .. })));
}

#[tokio::test]
async fn dropping_the_relay_says_goodbye_and_frees_the_ports() {
    let (relay, _) = relay_with_a_slot().await;
    let addresses = relay.addresses();
    let encoder = Remote::connect(addresses.publish, "live_a").unwrap();
    drop(relay);
    assert!(encoder.is_told_shutdown());
    let until = Instant::now() + DEADLINE;
    while UdpSocket::bind(addresses.publish).is_err() {
        assert!(
            Instant::now() < until,
            "the port is free within the deadline"
        );
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_panic_costs_the_connections_and_not_the_relay() {
    let (relay, slot_id) = relay_with_a_slot().await;
    let mut events = relay.events();
    let encoder = Remote::connect(relay.addresses().publish, "live_a").unwrap();
    encoder.send_media(0, b"m");
    assert_eq!(next(&mut events).await, EngineEvent::MediaStarted(slot_id));
    relay.commands.send(Command::Panic).await.unwrap();
    assert!(encoder.is_told_shutdown());
    let ended = super::super::engine::Ended::Error;
    assert_eq!(
        next(&mut events).await,
        EngineEvent::PublisherGone(slot_id, ended)
    );
    let encoder = Remote::connect(relay.addresses().publish, "live_a").unwrap();
    encoder.send_media(0, b"more");
    assert_eq!(next(&mut events).await, EngineEvent::MediaStarted(slot_id));
    let counters = relay.counters().await.unwrap();
    assert!(counters.contains(&("restarts", 1)), "{counters:?}");
    let stats = relay.stats().await.unwrap().remove(0);
    assert_eq!(stats.received.bytes, 5, "totals go on");
    assert_eq!(relay.health().await, EngineHealth::Ready);
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let taken = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let config = EmbeddedConfig {
        publish_listen: address,
        ..config()
    };
    let error = EmbeddedRelay::start(&config).unwrap_err();
    let StartError::Bind {
        what,
        address: named,
        ..
    } = error
    else {
        panic!("a bind error");
    };
    assert_eq!(named, address);
    assert!(what.contains("publish_listen"));
}
