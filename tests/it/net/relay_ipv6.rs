//! The embedded relay with callers of both families of addresses at once.
//!
//! Invariant: the system's loopback has `::1`; a system without IPv6 fails these tests.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::relay::{PATIENCE, carries_everything, figures, relay_on};
use super::srtla_sender::{SenderConfig, SrtlaSender};
use crate::harness::eventually::eventually_blocking;

fn at_ipv6(bound: SocketAddr) -> SocketAddr {
    (Ipv6Addr::LOCALHOST, bound.port()).into()
}

fn at_ipv4(bound: SocketAddr) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, bound.port()).into()
}

#[test]
fn each_family_publishes_to_the_other() {
    let relay = relay_on(Ipv6Addr::UNSPECIFIED.into());
    let addresses = relay.addresses();
    let (publish, play) = (addresses.publish, addresses.play);
    carries_everything(&relay, (at_ipv6(publish), at_ipv4(play)), || {
        eventually_blocking(PATIENCE, "the player is shown with its own address", || {
            let players = figures(&relay).remove(0).players;
            players.iter().any(|player| player.address.is_ipv4())
        });
    });
    carries_everything(&relay, (at_ipv4(publish), at_ipv6(play)), || {});
}

#[test]
fn a_relay_on_one_ipv6_address_carries_a_stream() {
    let relay = relay_on(Ipv6Addr::LOCALHOST.into());
    let addresses = relay.addresses();
    carries_everything(&relay, (addresses.publish, addresses.play), || {});
}

#[test]
fn links_of_both_families_carry_one_bonded_publisher() {
    let relay = relay_on(Ipv6Addr::UNSPECIFIED.into());
    let addresses = relay.addresses();
    let sources: [IpAddr; 3] = [
        Ipv4Addr::new(127, 0, 0, 2).into(),
        Ipv6Addr::LOCALHOST.into(),
        Ipv4Addr::new(127, 0, 0, 3).into(),
    ];
    let sender = SrtlaSender::start(&SenderConfig {
        sources: sources.to_vec(),
        ..SenderConfig::over_links(at_ipv4(addresses.srtla), 0)
    });
    eventually_blocking(PATIENCE, "all links have joined", || {
        sender.counters().registered_links() == sources.len()
    });
    let ports = (sender.local_address(), at_ipv6(addresses.play));
    carries_everything(&relay, ports, || {
        // Without delay the first link would take everything.
        for alone in 0..sources.len() {
            let before = sender.counters().links[alone].acknowledged_packets;
            for link in 0..sources.len() {
                sender.set_enabled(link, link == alone);
            }
            eventually_blocking(PATIENCE, "the link carries the stream alone", || {
                sender.counters().links[alone].acknowledged_packets > before + 50
            });
        }
        for link in 0..sources.len() {
            sender.set_enabled(link, true);
        }
        let publisher = figures(&relay).remove(0).publisher.expect("it sends");
        let links = publisher.links.iter();
        let mut shown: Vec<IpAddr> = links.map(|link| link.address.ip()).collect();
        let mut expected = sources.to_vec();
        shown.sort_unstable();
        expected.sort_unstable();
        assert_eq!(
            shown, expected,
            "each link has its address as the sender has it"
        );
    });
}
