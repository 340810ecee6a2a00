//! The receiver by itself, and against our own sender over a simulated bad network.

mod weather;

use super::*;
use crate::relay::embedded::wire::{loss_ranges, word};

const MS: Micros = Micros::from_millis(1);
const LATENCY: Micros = Micros::from_millis(500);
const LIMITS: ReceiveLimits = ReceiveLimits {
    window_packets: 16_384,
    bytes: 24_000_000,
};

fn receiver(is_bonded: bool, limits: ReceiveLimits) -> Receiver {
    Receiver::new(ReceiverSetup {
        now: Micros::ZERO,
        timestamp: 0,
        initial: Sequence::new(0),
        latency: LATENCY,
        limits,
        is_bonded,
        ignores_early_repeats: true,
    })
}

fn data(sequence: u32, at: Micros, is_retransmitted: bool) -> DataPacket<'static> {
    DataPacket {
        sequence: Sequence::new(sequence),
        key_flags: 0,
        is_retransmitted,
        timestamp: at.timestamp(),
        destination: 1,
        payload: &[7; 100],
    }
}

fn naks(receiver: &mut Receiver, now: Micros) -> Vec<(u32, u32)> {
    let mut out = Vec::new();
    receiver.poll(now, &mut out);
    out.iter()
        .filter(|message| message.kind == ControlKind::Nak)
        .flat_map(|message| loss_ranges(&message.body).collect::<Vec<_>>())
        .map(|(first, last)| (first.get(), last.get()))
        .collect()
}

#[test]
fn media_are_handed_on_in_order_when_their_time_has_come() {
    let mut receiver = receiver(false, LIMITS);
    for sequence in [0, 2, 1] {
        receiver.on_data(MS, &data(sequence, MS * i64::from(sequence), false));
    }
    assert!(receiver.pop(LATENCY - MS).is_none());
    let dues: Vec<_> = std::iter::from_fn(|| receiver.pop(LATENCY + MS * 2))
        .map(|x| x.0)
        .collect();
    assert_eq!(dues, [LATENCY, LATENCY + MS, LATENCY + MS * 2]);
    assert_eq!(
        (receiver.counters.reordered, receiver.counters.lost),
        (1, 0)
    );
}

#[test]
fn a_gap_is_reported_at_once_on_one_path_and_held_back_on_bonded_links() {
    let (mut plain, mut bonded) = (receiver(false, LIMITS), receiver(true, LIMITS));
    for receiver in [&mut plain, &mut bonded] {
        receiver.on_data(MS, &data(0, MS, false));
        receiver.on_data(MS, &data(4, MS, false));
    }
    assert_eq!(naks(&mut plain, MS), [(1, 3)]);
    assert!(naks(&mut bonded, MS * 100).is_empty());
    assert_eq!(naks(&mut bonded, MS * 101), [(1, 3)]);
}

#[test]
fn what_came_only_as_a_repetition_was_lost() {
    let mut receiver = receiver(false, LIMITS);
    receiver.on_data(MS, &data(0, MS, false));
    receiver.on_data(MS, &data(3, MS, false));
    receiver.on_data(MS * 50, &data(1, MS, true));
    receiver.on_data(MS * 50, &data(2, MS, false));
    assert_eq!(
        (receiver.counters.lost, receiver.counters.reordered),
        (1, 1)
    );
    assert_eq!(receiver.counters.retransmitted, 1);
}

#[test]
fn a_gap_is_given_up_when_what_follows_is_due_and_the_reason_is_told() {
    let mut receiver = receiver(false, LIMITS);
    receiver.on_data(MS, &data(0, MS, false));
    receiver.on_data(MS, &data(3, MS * 3, false));
    assert!(receiver.pop(LATENCY + MS).is_some());
    assert!(receiver.pop(LATENCY + MS * 2).is_none());
    assert!(receiver.pop(LATENCY + MS * 3).is_some());
    assert_eq!(receiver.counters.dropped, 2);
    assert_eq!(receiver.dropped_bytes(), 200);
    assert!(
        receiver.last_drop().starts_with("2 packets too late"),
        "{}",
        receiver.last_drop()
    );
    receiver.on_data(LATENCY * 2, &data(1, MS, true));
    assert!(
        receiver.pop(Micros::MAX).is_none(),
        "it is too late for this one"
    );
}

#[test]
fn a_drop_request_ends_the_asking_and_moves_the_acknowledgement_on() {
    let mut receiver = receiver(false, LIMITS);
    receiver.on_data(MS, &data(0, MS, false));
    receiver.on_data(MS, &data(9, MS, false));
    receiver.on_drop_request(Sequence::new(3), Sequence::new(5));
    assert_eq!(naks(&mut receiver, MS), [(1, 2), (6, 8)]);
    receiver.on_drop_request(Sequence::new(0), Sequence::new(8));
    let mut out = Vec::new();
    receiver.poll(MS * 500, &mut out);
    assert_eq!(out.len(), 1);
    assert_eq!(word(&out[0].body, 0), Some(10));
}

#[test]
fn the_buffer_is_bounded_in_bytes_and_in_packets() {
    let limits = ReceiveLimits {
        window_packets: 50,
        bytes: 1_000,
    };
    let mut full = receiver(false, limits);
    for sequence in 1..40 {
        full.on_data(MS, &data(sequence, MS, false));
    }
    assert_eq!(full.held.bytes(), 1_000);
    full.on_data(MS, &data(0, MS, false));
    assert_eq!(
        full.held.bytes(),
        1_100,
        "the packet that makes room is let in"
    );
    let mut lost = receiver(false, limits);
    for _ in 0..=FAR_AHEAD_MAX {
        lost.on_data(MS, &data(1_000_000, MS, false));
    }
    assert_eq!(lost.held_packets(), 0);
    assert!(lost.has_lost_track());
}
