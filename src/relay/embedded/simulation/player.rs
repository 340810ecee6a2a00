//! A player for simulations: our own receiving machine, and the checks of what it hands on.
//!
//! Invariant: it fails at once when a packet comes twice, out of order, too late, or is given up before the
//! latency is over.

use std::net::SocketAddr;

use super::network::{Network, Way};
use crate::relay::embedded::Port;
use crate::relay::embedded::receive::Receiver;
use crate::relay::embedded::sequence::Sequence;
use crate::relay::embedded::time::Micros;
use crate::relay::embedded::wire::{ControlKind, Packet, control, parse, word};

const KEEPALIVE_INTERVAL: Micros = Micros::from_secs(1);

/// What a player may expect.
#[derive(Debug, Clone, Copy)]
pub(super) struct Promise {
    /// A packet is not given up before this age.
    pub(super) kept_for: Micros,
    /// A packet is not handed on when it is older.
    pub(super) delay_max: Micros,
}

/// The player.
#[derive(Debug)]
pub(super) struct Player {
    pub(super) address: SocketAddr,
    pub(super) remote_id: u32,
    pub(super) receiver: Receiver,
    pub(super) promise: Promise,
    /// The number of the packet after the last one handed on.
    pub(super) next_number: u64,
    pub(super) delivered: u64,
    /// Packets that were given up somewhere on the way.
    pub(super) missing: u64,
    /// The oldest packet handed on since this was set to zero.
    pub(super) delay_seen: Micros,
    pub(super) is_closed: bool,
    pub(super) next_keepalive: Micros,
}

impl Player {
    /// Sends and hands on what is due.
    pub(super) fn work(&mut self, now: Micros, made: &[Micros], network: &mut Network) {
        let mut messages = Vec::new();
        self.receiver.poll(now, &mut messages);
        for message in messages {
            let packet = control(message.kind, message.info, 0, self.remote_id, &message.body);
            self.send(now, &packet, network);
        }
        if self.next_keepalive <= now {
            self.next_keepalive = now + KEEPALIVE_INTERVAL;
            let packet = control(ControlKind::Keepalive, 0, 0, self.remote_id, &[]);
            self.send(now, &packet, network);
        }
        while let Some((_, payload)) = self.receiver.pop(now) {
            let number = u64::from_be_bytes(payload[..8].try_into().unwrap());
            self.check(now, number, made);
        }
    }

    fn check(&mut self, now: Micros, number: u64, made: &[Micros]) {
        assert!(
            number >= self.next_number,
            "packet {number} came after {} at {now:?}",
            self.next_number
        );
        let at = |number: u64| made[usize::try_from(number).unwrap()];
        for missing in self.next_number..number {
            let age = now - at(missing);
            assert!(
                age >= self.promise.kept_for,
                "packet {missing} was given up after {age:?}"
            );
            self.missing += 1;
        }
        let age = now - at(number);
        self.delay_seen = self.delay_seen.max(age);
        assert!(
            age <= self.promise.delay_max,
            "packet {number} was handed on after {age:?}, at {now:?}"
        );
        self.next_number = number + 1;
        self.delivered += 1;
    }

    fn send(&self, now: Micros, packet: &[u8], network: &mut Network) {
        network.send(now, (Way::ToRelay, Port::Play, self.address), packet);
    }

    /// A datagram of the relay came.
    pub(super) fn hear(&mut self, now: Micros, datagram: &[u8]) {
        match parse(datagram).expect("the relay sends whole packets") {
            Packet::Data(packet) => self.receiver.on_data(now, &packet),
            Packet::Control(packet) => match packet.kind {
                ControlKind::AckAck => self.receiver.on_ackack(now, packet.info),
                ControlKind::DropRequest => {
                    let (first, last) = (word(packet.body, 0), word(packet.body, 4));
                    self.receiver.on_drop_request(
                        Sequence::new(first.unwrap()),
                        Sequence::new(last.unwrap()),
                    );
                }
                ControlKind::Shutdown => self.is_closed = true,
                _ => {}
            },
        }
    }
}
