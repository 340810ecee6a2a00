//! Bonded publishers: their links, and their end.

use super::*;

/// Opens a group from the first address; all of them join.
fn bond(bench: &mut Bench, addresses: [&str; 2]) {
    let open = [&[0x92, 0x00][..], &[4; 256]].concat();
    bench
        .hub
        .on_datagram(bench.now, Port::Srtla, addresses[0].parse().unwrap(), &open);
    let (_, _, opened) = sent(&mut bench.hub).remove(0);
    for address in addresses {
        bench
            .hub
            .on_datagram(bench.now, Port::Srtla, address.parse().unwrap(), &opened);
        let (_, _, joined) = sent(&mut bench.hub).remove(0);
        assert_eq!(joined, [0x92, 0x02]);
    }
}

#[test]
fn a_bonded_publisher_has_its_links_and_ends_with_them() {
    let mut bench = Bench::new();
    let player = bench.player();
    let links = ["10.0.0.1:1", "10.0.0.2:1"];
    bond(&mut bench, links);
    let handshake = caller("live_a", 200);
    let mut first =
        Caller::connect_on(&mut bench.hub, bench.now, Port::Srtla, links[0], handshake).unwrap();
    for packet in 0..200 {
        first.address = links[packet % 2].parse().unwrap();
        bench.publish(
            &mut first,
            MS * 10 * i64::try_from(packet).unwrap(),
            &[0; 1000],
        );
        bench.pass(MS * 10, &[&player]);
    }
    let publisher = bench.hub.stats(bench.now).remove(0).publisher.unwrap();
    assert!(publisher.is_bonded);
    assert_eq!((publisher.packets, publisher.lost_packets), (200, 0));
    assert_eq!(publisher.links.len(), 2);
    for link in &publisher.links {
        assert!((link.share_percent - 50.0).abs() < 2.0, "{link:?}");
        assert!((390..=420).contains(&link.bitrate_kbps), "{link:?}");
    }
    assert_eq!(bench.events(), [bench.started()]);
    // One link falls silent: after a while it is no link any more, and the stream goes on.
    first.address = links[1].parse().unwrap();
    bench.pass(Micros::from_secs(12), &[&player, &first]);
    let publisher = bench.hub.stats(bench.now).remove(0).publisher.unwrap();
    assert_eq!(
        publisher
            .links
            .iter()
            .map(|link| link.address)
            .collect::<Vec<_>>(),
        [first.address]
    );
    bench.pass(Micros::from_secs(7), &[&player]);
    assert_eq!(bench.events(), [bench.gone(Ended::Error)]);
}
