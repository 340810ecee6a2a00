//! The embedded relay under the tools: plain, bonded, lossy and under hostile traffic.
//!
//! Invariant: the relay is used through its public interface and its ports alone.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use glb::kernel::ids::SlotId;
use glb::relay::embedded::{EmbeddedConfig, EmbeddedRelay};
use glb::relay::engine::{Engine, StreamSpec, StreamStats};
use secrecy::SecretString;

use super::hostile::{self, Attack, Kind};
use super::lossy::{LineProfile, LossyProxy, Profile};
use super::random::Random;
use super::srt_player::Player;
use super::srt_probe::{self, Call, Connection};
use super::srt_publisher::Publisher;
use super::srtla_sender::{SenderConfig, SrtlaSender};
use crate::harness::eventually::{eventually_blocking, is_reached_within, rest_until};

pub(super) const PATIENCE: Duration = Duration::from_secs(20);
const LATENCY: Duration = Duration::from_secs(2);
/// Two seconds at 6 Mbit/s.
const COUNT: u64 = 1_140;
const PAUSE: Duration = Duration::from_micros(1_755);
/// Not authorised.
const UNAUTHORISED: u32 = 2_401;
/// The other direction than the port has.
const BAD_MODE: u32 = 2_405;
/// Somebody else publishes.
const CONFLICT: u32 = 2_409;

/// A relay on free ports that knows one slot, without a passphrase.
pub(super) fn relay() -> EmbeddedRelay {
    relay_with(&EmbeddedConfig::default(), None)
}

/// The same with settings of its own, but for the ports, and a passphrase.
pub(super) fn relay_with(config: &EmbeddedConfig, passphrase: Option<&str>) -> EmbeddedRelay {
    relay_at(Ipv4Addr::LOCALHOST.into(), config, passphrase)
}

/// A relay on free ports of another address than 127.0.0.1.
pub(super) fn relay_on(address: IpAddr) -> EmbeddedRelay {
    relay_at(address, &EmbeddedConfig::default(), None)
}

fn relay_at(address: IpAddr, config: &EmbeddedConfig, passphrase: Option<&str>) -> EmbeddedRelay {
    let free = SocketAddr::from((address, 0));
    let config = EmbeddedConfig {
        srtla_listen: free,
        publish_listen: free,
        play_listen: free,
        ..config.clone()
    };
    let relay = EmbeddedRelay::start(&config).unwrap();
    let stream = StreamSpec {
        slot_id: SlotId::generate(),
        publish_key: SecretString::from("live_key"),
        play_key: SecretString::from("play_key"),
        passphrase: passphrase.map(SecretString::from),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(relay.register(stream)).unwrap();
    relay.open();
    relay
}

fn connect(listener: SocketAddr, stream_id: &str) -> Connection {
    let call = Call {
        latency: LATENCY,
        timeout: PATIENCE,
        ..Call::new(listener, stream_id)
    };
    srt_probe::call(&call).accepted()
}

/// Publishes to one address, plays from another, and sees every packet arrive.
pub(super) fn carries_everything(
    relay: &EmbeddedRelay,
    (publish, play): (SocketAddr, SocketAddr),
    while_it_runs: impl FnOnce(),
) {
    let player = Player::start(connect(play, "play_key"));
    let publisher = Publisher::start(connect(publish, "live_key"));
    publisher.send(COUNT, PAUSE);
    while_it_runs();
    let has_arrived = is_reached_within(PATIENCE, || {
        player.counters().last_number == Some(COUNT - 1) && player.counters().awaited == 0
    });
    let counters = player.counters();
    assert!(
        has_arrived && counters.is_whole(),
        "{counters:?}, {:?}, {:?}",
        publisher.counters(),
        figures(relay)
    );
    assert_eq!((counters.first_number, counters.received), (Some(0), COUNT));
    publisher.close();
    player.close();
}

/// What the relay says of its streams.
pub(super) fn figures(relay: &EmbeddedRelay) -> Vec<StreamStats> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(relay.stats()).unwrap()
}

pub(super) fn line(loss_percent: f64, delay_ms: u64, jitter_ms: u64) -> LineProfile {
    LineProfile {
        loss_percent,
        delay: Duration::from_millis(delay_ms),
        jitter: Duration::from_millis(jitter_ms),
        ..LineProfile::default()
    }
}

#[test]
fn a_plain_publisher_reaches_a_player_whole() {
    let relay = relay();
    let addresses = relay.addresses();
    carries_everything(&relay, (addresses.publish, addresses.play), || {});
}

#[test]
fn five_percent_loss_and_fifty_milliseconds_each_way_lose_nothing_on_either_side() {
    let relay = relay();
    let addresses = relay.addresses();
    let publish = LossyProxy::start(addresses.publish, Profile::uniform(5, line(5.0, 50, 0)));
    let play = LossyProxy::start(addresses.play, Profile::uniform(6, line(5.0, 50, 0)));
    carries_everything(&relay, (publish.address(), play.address()), || {});
    assert!(
        publish.counters().to_target.lost > 20,
        "{:?}",
        publish.counters()
    );
    assert!(play.counters().to_client.lost > 20, "{:?}", play.counters());
}

#[test]
fn the_last_packet_arrives_although_nothing_follows_that_would_show_its_loss() {
    let relay = relay();
    let addresses = relay.addresses();
    let proxy = LossyProxy::start(addresses.publish, Profile::uniform(5, line(0.0, 1, 0)));
    let publisher = Publisher::start(connect(proxy.address(), "live_key"));
    let source = IpAddr::from(Ipv4Addr::LOCALHOST);
    proxy.set_down(source, true);
    publisher.send(1, PAUSE);
    eventually_blocking(PATIENCE, "the packet is lost", || {
        publisher.counters().sent == 1 && proxy.counters().to_target.cut > 0
    });
    proxy.set_down(source, false);
    eventually_blocking(PATIENCE, "it is sent again and acknowledged", || {
        publisher.counters().acknowledged == 1
    });
}

#[test]
fn three_unlike_links_with_one_dying_carry_a_bonded_publisher_whole() {
    let relay = relay();
    let addresses = relay.addresses();
    let source = |last| IpAddr::from(Ipv4Addr::new(127, 0, 0, last));
    let lines = HashMap::from([
        (source(2), line(1.0, 40, 15)),
        (source(3), line(2.0, 60, 20)),
        (source(4), line(3.0, 90, 30)),
    ]);
    let proxy = LossyProxy::start(
        addresses.srtla,
        Profile {
            seed: 9,
            lines,
            ..Profile::default()
        },
    );
    let sender = SrtlaSender::start(&SenderConfig::over_links(proxy.address(), 3));
    eventually_blocking(PATIENCE, "all links have joined", || {
        sender.counters().registered_links() == 3
    });
    carries_everything(&relay, (sender.local_address(), addresses.play), || {
        eventually_blocking(PATIENCE, "every link carries media", || {
            sender
                .counters()
                .links
                .iter()
                .all(|link| link.acknowledged_packets > 50)
        });
        sender.set_enabled(2, false);
    });
    assert!(
        sender
            .counters()
            .links
            .iter()
            .all(|link| link.received_packets > 0)
    );
}

#[test]
fn a_stranger_and_a_second_publisher_are_refused_by_code() {
    let relay = relay();
    let addresses = relay.addresses();
    let ask = |listener, stream_id| srt_probe::call(&Call::new(listener, stream_id)).rejection();
    assert_eq!(ask(addresses.publish, "live_other"), Some(UNAUTHORISED));
    assert_eq!(ask(addresses.play, "play_other"), Some(UNAUTHORISED));
    assert_eq!(ask(addresses.play, "live_key"), Some(BAD_MODE));
    let publisher = Publisher::start(connect(addresses.publish, "live_key"));
    publisher.send(COUNT, PAUSE);
    eventually_blocking(PATIENCE, "the first media are acknowledged", || {
        publisher.counters().acknowledged > 0
    });
    assert_eq!(ask(addresses.publish, "live_key"), Some(CONFLICT));
    assert!(!publisher.counters().is_closed);
}

#[test]
fn every_packet_cut_and_every_length_wrong_on_every_port_does_not_touch_a_stream() {
    let relay = relay();
    let addresses = relay.addresses();
    let targets = [addresses.publish, addresses.play, addresses.srtla];
    let mut random = Random::seeded(5);
    carries_everything(&relay, (addresses.publish, addresses.play), || {
        for target in targets {
            let call = Call {
                source: Ipv4Addr::new(127, 0, 0, 77).into(),
                ..Call::new(target, "live_nobody")
            };
            // A stranger gets no cookie from the SRTLA port.
            let (handshake, caller) = hostile::conclusion_of(&call, random.next_u32());
            let start = Instant::now();
            for (number, datagram) in (0..).zip(hostile::misshapen(&handshake, 0x1234_5678)) {
                rest_until(start + Duration::from_micros(100) * number);
                caller.send(&datagram);
            }
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let counters: HashMap<_, _> = runtime
        .block_on(relay.counters())
        .unwrap()
        .into_iter()
        .collect();
    for counter in ["publish_malformed", "play_malformed", "srtla_malformed"] {
        assert!(counters[counter] > 200, "{counter}: {counters:?}");
    }
    assert!(
        counters["publish_rejected"] + counters["publish_limited"] > 200,
        "{counters:?}"
    );
    assert_eq!(counters["restarts"], 0);
}

#[test]
fn hostile_datagrams_on_every_port_do_not_touch_a_stream() {
    let relay = relay();
    let addresses = relay.addresses();
    carries_everything(&relay, (addresses.publish, addresses.play), || {
        for target in [addresses.publish, addresses.play, addresses.srtla] {
            for kind in Kind::ALL {
                let attack = Attack {
                    count: 300,
                    rate: 3_000,
                    ..Attack::new(kind, target)
                };
                assert_eq!(hostile::run(&attack).datagrams, 300);
            }
        }
    });
}
