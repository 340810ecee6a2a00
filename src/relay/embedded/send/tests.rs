use bytes::BufMut;

use super::*;
use crate::relay::embedded::wire::{PAYLOAD_MAX_BYTES, Packet, loss_report, parse};

const MS: Micros = Micros::from_millis(1);

fn sender(queue_bytes: usize) -> Sender {
    Sender::new(SenderSetup {
        now: Micros::ZERO,
        initial: Sequence::new(0x7FFF_FFFE),
        destination: 7,
        latency: MS * 500,
        window_packets: 8192,
        queue_bytes,
    })
}

fn push(sender: &mut Sender, now: Micros, count: usize) -> Vec<OutgoingData> {
    let mut out = Vec::new();
    for _ in 0..count {
        sender.push(now, now, Bytes::from_static(&[1; 100]), &mut out);
    }
    out
}

fn sequences(out: &[OutgoingData]) -> Vec<(u32, bool)> {
    out.iter()
        .map(|packet| {
            let datagram = [packet.header.as_slice(), &packet.payload].concat();
            match parse(&datagram) {
                Some(Packet::Data(packet)) => (packet.sequence.get(), packet.is_retransmitted),
                other => panic!("not a data packet: {other:?}"),
            }
        })
        .collect()
}

fn range(first: u32, last: u32) -> (Sequence, Sequence) {
    (Sequence::new(first), Sequence::new(last))
}

fn ack(position: u32, window: u32) -> Vec<u8> {
    let mut body = Vec::new();
    for value in [position, 20_000, 5_000, window] {
        body.put_u32(value);
    }
    body
}

#[test]
fn packets_are_numbered_across_the_wrap() {
    let out = push(&mut sender(10_000), MS, 3);
    assert_eq!(
        sequences(&out),
        [(0x7FFF_FFFE, false), (0x7FFF_FFFF, false), (0, false)]
    );
}

#[test]
fn what_is_reported_missing_is_repeated_once_per_round_trip() {
    let mut sender = sender(10_000);
    push(&mut sender, MS, 3);
    let report = loss_report(&[range(0x7FFF_FFFF, 0)]);
    let mut out = Vec::new();
    assert!(sender.on_nak(MS * 30, &report, &mut out).is_empty());
    assert_eq!(sequences(&out), [(0x7FFF_FFFF, true), (0, true)]);
    out.clear();
    sender.on_nak(MS * 60, &report, &mut out);
    assert!(out.is_empty(), "within a round trip");
    sender.on_nak(MS * 140, &report, &mut out);
    assert_eq!(out.len(), 2);
    assert_eq!(sender.counters.retransmitted, 4);
}

#[test]
fn the_receiver_is_told_what_is_gone() {
    let mut sender = sender(10_000);
    push(&mut sender, MS, 2);
    push(&mut sender, MS * 1500, 1);
    let mut out = Vec::new();
    let answers = sender.on_nak(MS * 1500, &loss_report(&[range(0x7FFF_FFFE, 0)]), &mut out);
    assert_eq!(
        answers,
        [drop_request(
            0x7FFF_FFFE + (1 << 32),
            0x7FFF_FFFF + (1 << 32)
        )]
    );
    assert_eq!(sequences(&out), [(0, true)]);
    assert_eq!(sender.counters.dropped, 2);
}

#[test]
fn a_closed_window_queues_and_an_ack_opens_it() {
    let mut sender = sender(1_000_000);
    sender.on_ack(MS, 1, &ack(0x7FFF_FFFE, 1), &mut Vec::new());
    let out = push(&mut sender, MS, 40);
    assert_eq!(out.len(), 32, "the smallest window");
    let mut out = Vec::new();
    let answer = sender.on_ack(MS * 2, 2, &ack(0x7FFF_FFFE + 2, 1), &mut out);
    assert_eq!(answer.map(|message| message.info), Some(2));
    assert_eq!(out.len(), 2);
    assert_eq!(sender.rtt.mean(), MS * 20);
}

#[test]
fn a_player_that_takes_nothing_costs_a_bounded_queue() {
    let mut sender = sender(1_000);
    push(&mut sender, MS, 50);
    assert_eq!(sender.buffer_bytes, 1_000);
    assert_eq!(sender.counters.dropped, 40);
    let mut out = Vec::new();
    sender.poll(MS * 1100, &mut out);
    assert_eq!(sender.buffer_bytes, 0, "and is dropped when it is old");
}

#[test]
fn a_hostile_player_gets_no_flood_of_repetitions() {
    let mut sender = sender(64_000_000);
    push(&mut sender, MS, 8000);
    // It claims a round trip of nothing and reports everything lost, again and again.
    let mut claim = ack(0x7FFF_FFFE, 65_536);
    claim[4..12].fill(0);
    sender.on_ack(MS, 1, &claim, &mut Vec::new());
    let report = loss_report(&vec![range(0x7FFF_FFFE, 0x7FFF_FFFE + 7999); 150]);
    let mut repeated = 0;
    for step in 0..50 {
        let mut out = Vec::new();
        sender.on_nak(MS * 20 * step, &report, &mut out);
        repeated += out.len();
    }
    assert!(repeated <= 2 * 8000 + 8192, "{repeated}");
}

#[test]
fn an_ack_of_what_was_never_sent_changes_nothing() {
    let mut sender = sender(10_000);
    push(&mut sender, MS, 2);
    assert_eq!(sender.on_ack(MS, 1, &ack(100, 8192), &mut Vec::new()), None);
    assert_eq!(sender.buffer.len(), 2);
}

#[test]
fn the_last_packet_is_repeated_when_nothing_is_acknowledged() {
    let mut sender = sender(PAYLOAD_MAX_BYTES * 10);
    push(&mut sender, MS, 2);
    let mut out = Vec::new();
    sender.poll(MS * 100, &mut out);
    assert!(out.is_empty());
    sender.poll(MS * 400, &mut out);
    assert_eq!(sequences(&out), [(0x7FFF_FFFF, true)]);
}
