//! Registration, links, acknowledgements and limits.

use super::packet::acknowledgement;
use super::packet::tests::extended_keepalive;
use super::*;
use crate::relay::engine::SenderLinkFigures;

const START: Micros = Micros::from_secs(100);
const MS: Micros = Micros::from_millis(1);
const LIMITS: SrtlaLimits = SrtlaLimits {
    groups_max: 3,
    links_max: 2,
    waiting_groups_max: 4,
    invitations_per_second: 100,
    registrations_per_second: 20,
};

fn srtla() -> Srtla {
    Srtla::new(START, LIMITS, [9; 32])
}

fn link(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, number], 1000))
}

fn datagram(kind: u16, rest: &[u8]) -> Vec<u8> {
    [kind.to_be_bytes().as_slice(), rest].concat()
}

fn srt_data(sequence: u32) -> Vec<u8> {
    [sequence.to_be_bytes().as_slice(), &[0; 60]].concat()
}

/// Sends a datagram and gives the type of the only answer.
fn answer(srtla: &mut Srtla, now: Micros, from: SocketAddr, datagram: &[u8]) -> Option<Bytes> {
    srtla.outgoing.clear();
    srtla.on_datagram(now, from, datagram);
    assert!(srtla.outgoing.len() <= 1);
    let (to, packet) = srtla.outgoing.pop()?;
    assert_eq!(to, from);
    Some(packet)
}

fn kind(packet: Option<Bytes>) -> u16 {
    let packet = packet.expect("an answer");
    u16::from_be_bytes([packet[0], packet[1]])
}

/// Opens a group from a link; gives its id.
fn open(srtla: &mut Srtla, now: Micros, from: SocketAddr) -> Option<Vec<u8>> {
    let packet = answer(
        srtla,
        now,
        from,
        &datagram(0x9200, &[from.port().to_le_bytes()[0]; 256]),
    )?;
    (packet[..2] == [0x92, 0x01]).then(|| packet[2..].to_vec())
}

fn join(srtla: &mut Srtla, now: Micros, from: SocketAddr, id: &[u8]) -> u16 {
    kind(answer(srtla, now, from, &datagram(0x9201, id)))
}

#[test]
fn a_group_opens_with_both_halves_and_links_join_it() {
    let mut srtla = srtla();
    let half = [5; 256];
    let packet = answer(&mut srtla, START, link(1), &datagram(0x9200, &half)).unwrap();
    assert_eq!(packet.len(), 258);
    assert_eq!(packet[2..130], half[..128]);
    assert_ne!(packet[130..], half[128..]);
    let id = packet[2..].to_vec();
    assert_eq!(join(&mut srtla, START, link(1), &id), 0x9202);
    assert_eq!(
        join(&mut srtla, START, link(1), &id),
        0x9202,
        "again, its answer was lost"
    );
    assert_eq!(join(&mut srtla, START, link(2), &id), 0x9202);
    assert_eq!(
        join(&mut srtla, START, link(3), &id),
        0x9210,
        "one link too many"
    );
    assert_eq!(join(&mut srtla, START, link(3), &[9; 256]), 0x9211);
    assert!(open(&mut srtla, START, link(2)).is_some());
    assert_eq!(srtla.groups.len(), 1, "a link may ask for another group");
}

#[test]
fn media_are_handed_on_with_their_group_and_acknowledged_by_ten() {
    let mut srtla = srtla();
    let id = open(&mut srtla, START, link(1)).unwrap();
    join(&mut srtla, START, link(1), &id);
    for sequence in 0..9 {
        assert!(
            srtla
                .on_datagram(START, link(1), &srt_data(sequence))
                .is_some()
        );
    }
    assert!(srtla.outgoing.is_empty());
    assert!(srtla.on_datagram(START, link(1), &srt_data(9)).is_some());
    let expected = acknowledgement(&(0..10).collect::<Vec<_>>());
    assert_eq!(srtla.outgoing, [(link(1), expected)]);

    srtla.outgoing.clear();
    srtla.on_datagram(START, link(1), &srt_data(10));
    assert_eq!(srtla.next_deadline(), START + MS * 100);
    srtla.advance(START + MS * 99);
    assert!(srtla.outgoing.is_empty());
    srtla.advance(START + MS * 100);
    assert_eq!(srtla.outgoing, [(link(1), acknowledgement(&[10]))]);
}

#[test]
fn acks_go_to_every_link_and_the_rest_to_the_one_heard_last() {
    let mut srtla = srtla();
    let id = open(&mut srtla, START, link(1)).unwrap();
    join(&mut srtla, START, link(1), &id);
    join(&mut srtla, START, link(2), &id);
    let group = srtla.on_datagram(START, link(1), &srt_data(0)).unwrap();
    srtla.route(group, Bytes::from_static(&[0x80, 0x02, 0, 0]));
    srtla.route(group, Bytes::from_static(&[0x80, 0x03, 0, 0]));
    let to: Vec<_> = srtla
        .outgoing
        .iter()
        .map(|(to, packet)| (*to, packet[1]))
        .collect();
    assert_eq!(to, [(link(1), 2), (link(2), 2), (link(1), 3)]);
}

#[test]
fn keepalives_of_links_are_echoed_and_strangers_cost_a_counter() {
    let mut srtla = srtla();
    let id = open(&mut srtla, START, link(1)).unwrap();
    let keepalive = datagram(0x9000, &[1, 2, 3]);
    assert_eq!(
        answer(&mut srtla, START, link(1), &keepalive),
        None,
        "not joined yet"
    );
    join(&mut srtla, START, link(1), &id);
    let echo = answer(&mut srtla, START, link(1), &keepalive).unwrap();
    assert_eq!(echo, keepalive);
    assert!(srtla.on_datagram(START, link(7), &srt_data(1)).is_none());
    assert!(srtla.on_datagram(START, link(7), &[0x92]).is_none());
    assert_eq!((srtla.counters.stray, srtla.counters.malformed), (2, 1));
}

#[test]
fn a_silent_link_is_gone_and_then_its_group() {
    let mut srtla = srtla();
    let id = open(&mut srtla, START, link(1)).unwrap();
    join(&mut srtla, START, link(1), &id);
    join(&mut srtla, START, link(2), &id);
    let later = START + Micros::from_secs(8);
    let group = srtla.on_datagram(later, link(2), &srt_data(0)).unwrap();
    srtla.advance(START + Micros::from_secs(11));
    let links = srtla.links(later, group);
    assert_eq!(
        links.iter().map(|link| link.address).collect::<Vec<_>>(),
        [link(2)]
    );
    assert!(srtla.gone.is_empty());
    srtla.advance(later + Micros::from_secs(11));
    assert_eq!(srtla.gone, [group]);
    assert_eq!(
        join(&mut srtla, later + Micros::from_secs(11), link(2), &id),
        0x9211
    );
    assert!(srtla.by_address.is_empty() && srtla.by_id.is_empty());
}

#[test]
fn idle_groups_make_room_and_admitted_ones_do_not() {
    let mut srtla = srtla();
    let mut ids = Vec::new();
    for number in 1..=3 {
        let now = START + MS * i64::from(number);
        let id = open(&mut srtla, now, link(number)).unwrap();
        assert_eq!(join(&mut srtla, now, link(number), &id), 0x9202);
        ids.push(id);
    }
    let group = srtla.on_datagram(START, link(1), &srt_data(0)).unwrap();
    srtla.admit(group);
    assert!(
        open(&mut srtla, START + MS * 1000, link(4)).is_none(),
        "all are too young to go"
    );
    let later = START + Micros::from_secs(6);
    let id = open(&mut srtla, later, link(4)).unwrap();
    assert_eq!(join(&mut srtla, later, link(4), &id), 0x9202);
    assert_eq!(
        join(&mut srtla, later, link(1), &ids[0]),
        0x9202,
        "admitted, so it stays"
    );
    assert_eq!(
        join(&mut srtla, later, link(2), &ids[1]),
        0x9211,
        "the oldest idle one went"
    );
    assert_eq!(srtla.groups.len(), 3);
}

fn roomy() -> Srtla {
    let limits = SrtlaLimits {
        groups_max: 200,
        ..LIMITS
    };
    Srtla::new(START, limits, [9; 32])
}

#[test]
fn a_sender_that_begins_anew_from_its_old_addresses_has_its_group_at_once() {
    let mut srtla = srtla();
    let first = open(&mut srtla, START, link(1)).unwrap();
    for number in [1, 2] {
        assert_eq!(join(&mut srtla, START, link(number), &first), 0x9202);
    }
    let former = srtla.by_address[&link(1)];
    srtla.admit(former);

    let soon = START + MS * 500;
    let second = open(&mut srtla, soon, link(1)).unwrap();
    assert_eq!(srtla.groups.len(), 1, "asking alone ends nothing");
    for number in [1, 2] {
        assert_eq!(join(&mut srtla, soon, link(number), &second), 0x9202);
    }
    assert_eq!(srtla.gone, [former], "its stream ends with it");
    assert_eq!((srtla.groups.len(), srtla.by_address.len()), (1, 2));
    let late = "a late repetition of what began the former one changes nothing";
    assert_eq!(join(&mut srtla, soon, link(1), &first), 0x9210, "{late}");
    assert_eq!(srtla.gone, [former], "{late}");
}

#[test]
fn nobody_takes_a_link_out_of_its_group_from_elsewhere() {
    let mut srtla = srtla();
    let victims = open(&mut srtla, START, link(1)).unwrap();
    join(&mut srtla, START, link(1), &victims);
    let group = srtla.by_address[&link(1)];
    // A forger has an invitation and a group of his own, and sends with the victim's address.
    let invited = open(&mut srtla, START, link(7)).unwrap();
    assert_eq!(join(&mut srtla, START, link(1), &invited), 0x9210);
    assert_eq!(join(&mut srtla, START, link(7), &invited), 0x9202);
    assert_eq!(join(&mut srtla, START, link(1), &invited), 0x9210);
    assert_eq!(srtla.counters.address_taken, 2);
    assert_eq!(srtla.by_address[&link(1)], group);
}

#[test]
fn registrations_of_one_address_are_limited() {
    let mut srtla = roomy();
    for port in 1..=100 {
        let from = SocketAddr::from(([10, 0, 0, 1], port));
        if let Some(id) = open(&mut srtla, START, from) {
            srtla.on_datagram(START, from, &datagram(0x9201, &id));
            if let Some(group) = srtla.by_address.get(&from).copied() {
                srtla.admit(group);
            }
        }
    }
    assert_eq!(srtla.groups.len(), 40);
    assert_eq!(srtla.counters.limited, 60);
    assert!(open(&mut srtla, START, link(2)).is_some(), "others are not");
}

#[test]
fn one_address_has_few_groups_without_a_stream_and_makes_room_among_its_own() {
    let mut srtla = roomy();
    let from = |port| SocketAddr::from(([10, 0, 0, 1], port));
    let first = open(&mut srtla, START, link(2)).unwrap();
    assert_eq!(join(&mut srtla, START, link(2), &first), 0x9202);
    let mut ids = Vec::new();
    for port in 1..=4 {
        let id = open(&mut srtla, START, from(port)).unwrap();
        assert_eq!(join(&mut srtla, START, from(port), &id), 0x9202);
        ids.push(id);
    }
    assert!(open(&mut srtla, START, from(5)).is_none());
    // Whose link brings the invitation back does not matter, but whom it was sent to.
    let later = START + Micros::from_secs(3);
    let id = open(&mut srtla, later, from(5)).unwrap();
    let elsewhere = SocketAddr::from(([10, 9, 9, 9], 1));
    assert_eq!(join(&mut srtla, later, elsewhere, &id), 0x9202);
    assert_eq!(srtla.groups.len(), 5);
    assert_eq!(
        join(&mut srtla, later, link(2), &first),
        0x9202,
        "older, but of another address"
    );
}

#[test]
fn shares_and_rates_follow_what_the_links_carry_now() {
    let mut srtla = srtla();
    let id = open(&mut srtla, START, link(1)).unwrap();
    join(&mut srtla, START, link(1), &id);
    join(&mut srtla, START, link(2), &id);
    let mut group = None;
    for step in 0..400i64 {
        let from = if step % 4 == 0 && step < 300 {
            link(2)
        } else {
            link(1)
        };
        group = srtla.on_datagram(START + MS * 10 * step, from, &srt_data(1));
    }
    let group = group.unwrap();
    let at_three = srtla.links(START + MS * 3000, group);
    assert!(
        (at_three[1].share_percent - 25.0).abs() < 1.0,
        "{at_three:?}"
    );
    let at_four = srtla.links(START + MS * 4000, group);
    assert!((at_four[1].share_percent - 12.5).abs() < 1.0, "{at_four:?}");
    assert_eq!(at_four[1].bitrate_kbps, 0);
    assert_eq!(at_four[0].bitrate_kbps, 51);
    assert_eq!(at_four[0].packets + at_four[1].packets, 400);
    assert_eq!(at_four[1].since_last_packet.as_millis(), 1040);
}

#[test]
fn opening_without_joining_stores_nothing() {
    let mut srtla = srtla();
    for number in 0..50_000u32 {
        let from = SocketAddr::from((std::net::Ipv4Addr::from_bits(number), 9));
        srtla.on_datagram(START, from, &datagram(0x9200, &[1; 256]));
    }
    assert!(srtla.groups.is_empty() && srtla.by_id.is_empty() && srtla.by_address.is_empty());
    let id = open(&mut srtla, START, link(1)).unwrap();
    assert_eq!(
        join(&mut srtla, START, link(1), &id),
        0x9202,
        "and locks nobody out"
    );
}

#[test]
fn what_the_sender_tells_of_a_link_is_shown_until_it_is_old() {
    let mut srtla = srtla();
    let id = open(&mut srtla, START, link(1)).unwrap();
    join(&mut srtla, START, link(1), &id);
    join(&mut srtla, START, link(2), &id);
    let keepalive = extended_keepalive([20_000, 12, 48, 3, 250_000]);
    let echo = answer(&mut srtla, START, link(1), &keepalive).unwrap();
    assert_eq!(echo, keepalive, "echoed as it came");
    assert_eq!(
        answer(&mut srtla, START, link(2), &[0x90, 0x00]).unwrap(),
        [0x90, 0x00].as_slice()
    );
    let group = GroupId(1);
    let shown = srtla.links(START + MS * 5000, group);
    assert_eq!(
        shown[0].sender,
        Some(SenderLinkFigures {
            rtt: std::time::Duration::from_millis(48),
            window_packets: 20,
            in_flight_packets: 12,
            lost_packets: 3,
            bitrate_kbps: 2000,
        })
    );
    assert_eq!(shown[1].sender, None, "it told nothing");
    assert_eq!(srtla.links(START + MS * 5001, group)[0].sender, None);
}
