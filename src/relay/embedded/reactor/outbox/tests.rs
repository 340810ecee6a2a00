use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// What has come, in order: of each datagram the first byte and the length.
fn received(socket: &UdpSocket) -> Vec<(u8, usize)> {
    let mut buffer = [0; 2_000];
    std::iter::from_fn(|| {
        let length = socket.recv(&mut buffer).ok()?;
        let bytes = &buffer[..length];
        assert!(
            bytes.iter().all(|byte| *byte == bytes[0]),
            "it is in one piece"
        );
        Some((bytes[0], length))
    })
    .collect()
}

/// Datagrams as `(receiver, length)`; each has its number in every byte.
fn arrive_as_they_were_put_in(datagrams: &[(usize, usize)], is_cut: bool) {
    let (sender, receivers) = (socket(), [socket(), socket(), socket()]);
    let mut outbox = Outbox::new(&sender);
    outbox.segmentation.is_there &= is_cut;
    let mut counters = SendCounters::default();
    let mut expected = vec![Vec::new(); receivers.len()];
    for (number, (receiver, length)) in datagrams.iter().enumerate() {
        let byte = u8::try_from(number % 256).unwrap();
        let datagram = vec![byte; *length];
        let to = receivers[*receiver].local_addr().unwrap();
        let parts = datagram.split_at(length / 3);
        outbox.push(&sender, to, parts, &mut counters);
        expected[*receiver].push((byte, *length));
    }
    outbox.send(&sender, &mut counters);
    for (receiver, expected) in receivers.iter().zip(expected) {
        assert_eq!(received(receiver), expected);
    }
    assert_eq!(counters, SendCounters::default());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn datagrams_of_any_length_arrive_in_order_and_as_they_were(
        datagrams in proptest::collection::vec((0usize..3, prop_oneof![Just(1_332usize), 1usize..1_400]), 0..80),
        is_cut: bool,
    ) {
        arrive_as_they_were_put_in(&datagrams, is_cut);
    }
}

#[test]
fn more_than_one_message_holds_arrives_in_order() {
    let datagrams = vec![(0, 1_332); 60];
    arrive_as_they_were_put_in(&datagrams, true);
    let short = vec![(1, 20); 130];
    arrive_as_they_were_put_in(&short, true);
}

#[test]
fn a_burst_to_one_player_is_one_message() {
    let (sender, receiver) = (socket(), socket());
    let to = receiver.local_addr().unwrap();
    let mut outbox = Outbox::new(&sender);
    let mut counters = SendCounters::default();
    for length in [1_332, 1_332, 1_332, 700, 1_332] {
        outbox.push(&sender, to, (&[], &vec![1; length]), &mut counters);
    }
    assert!(
        outbox.segmentation.is_there,
        "the kernel is newer than 4.18"
    );
    let sizes: Vec<_> = outbox
        .messages
        .iter()
        .map(|one| one.end - one.start)
        .collect();
    assert_eq!(sizes, [1_332 * 3 + 700, 1_332]);
}

#[test]
fn what_a_path_refuses_in_one_piece_leaves_one_at_a_time() {
    let (sender, receiver) = (socket(), socket());
    let mut outbox = Outbox::new(&sender);
    let mut counters = SendCounters::default();
    let to = receiver.local_addr().unwrap();
    let bytes = vec![7; 100];
    let message = Message {
        address: to,
        start: 0,
        end: 100,
        segment: 40,
        is_full: true,
    };
    outbox.segmentation.make_fit(&sender, &message);
    let refused = io::Error::from(ErrorKind::InvalidInput);
    outbox
        .segmentation
        .retry(&sender, &bytes, &message, &refused, &mut counters);
    assert_eq!(received(&receiver), [(7, 40), (7, 40), (7, 20)]);
    assert_eq!((counters.unsegmented, counters.failed), (1, 0));
    outbox.push(&sender, to, (&[], &bytes), &mut counters);
    outbox.send(&sender, &mut counters);
    assert_eq!(received(&receiver), [(7, 100)]);
}

#[test]
fn what_cannot_be_sent_is_counted_and_stops_nothing_else() {
    let (sender, receiver) = (socket(), socket());
    let mut outbox = Outbox::new(&sender);
    let mut counters = SendCounters::default();
    // A socket of IPv4 cannot reach it.
    let nowhere = "[2001:db8::1]:9".parse().unwrap();
    let to = receiver.local_addr().unwrap();
    for (address, byte) in [(to, 1), (nowhere, 2), (nowhere, 3), (to, 4)] {
        outbox.push(&sender, address, (&[], &[byte; 30]), &mut counters);
    }
    outbox.send(&sender, &mut counters);
    assert_eq!(received(&receiver), [(1, 30), (4, 30)]);
    assert_eq!(counters.failed, 2);
}
