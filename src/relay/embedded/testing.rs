//! A caller for tests: what an encoder or a player says, as datagrams.

use std::net::SocketAddr;

use super::handshake::tests::{caller, conclusion};
use super::handshake::{CONCLUSION, Handshake, INDUCTION};
use super::hub::Hub;
use super::sequence::Sequence;
use super::time::Micros;
use super::wire::{
    ControlKind, HEADER_BYTES, Packet, control, data_header, half_word, parse, word,
};
use super::{Direction, Port};

/// Datagrams that the hub wants to send.
pub(super) type Sent = Vec<(Port, SocketAddr, Vec<u8>)>;

/// Takes what the hub wants to send.
pub(super) fn sent(hub: &mut Hub) -> Sent {
    let mut all = Vec::new();
    hub.drain_outgoing(|port, to, head, body| all.push((port, to, [head, body].concat())));
    all
}

/// The handshake in a datagram, if it is one.
pub(super) fn handshake_of(datagram: &[u8]) -> Option<Handshake> {
    match parse(datagram)? {
        Packet::Control(packet) if packet.kind == ControlKind::Handshake => {
            Handshake::parse(packet.body)
        }
        _ => None,
    }
}

/// A first handshake.
pub(super) fn induction(socket_id: u32) -> Vec<u8> {
    let handshake = Handshake {
        version: 4,
        kind: INDUCTION,
        socket_id,
        ..caller("", 0)
    };
    control(ControlKind::Handshake, 0, 0, 0, &handshake.encode()).to_vec()
}

/// A second handshake.
pub(super) fn conclusion_datagram(handshake: &Handshake) -> Vec<u8> {
    control(ControlKind::Handshake, 0, 0, 0, &conclusion(handshake)).to_vec()
}

/// A connected encoder or player.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    /// Where it is.
    pub(super) address: SocketAddr,
    /// Which port it calls.
    pub(super) port: Port,
    /// The relay's socket id.
    pub(super) remote_id: u32,
    next: u32,
}

impl Caller {
    /// Connects to a hub; the code when it is refused.
    pub(super) fn connect(
        hub: &mut Hub,
        now: Micros,
        direction: Direction,
        address: &str,
        stream_id: &str,
    ) -> Result<Self, u32> {
        Self::connect_with(hub, now, direction, address, caller(stream_id, 200))
    }

    /// The same with a handshake of its own.
    pub(super) fn connect_with(
        hub: &mut Hub,
        now: Micros,
        direction: Direction,
        address: &str,
        handshake: Handshake,
    ) -> Result<Self, u32> {
        let port = match direction {
            Direction::Publish => Port::Publish,
            Direction::Play => Port::Play,
        };
        Self::connect_on(hub, now, port, address, handshake)
    }

    /// The same on any port; on the SRTLA port the address must be a link.
    pub(super) fn connect_on(
        hub: &mut Hub,
        now: Micros,
        port: Port,
        address: &str,
        handshake: Handshake,
    ) -> Result<Self, u32> {
        let address = address.parse().unwrap();
        hub.on_datagram(now, port, address, &induction(handshake.socket_id));
        let answer = answer_to(&sent(hub), address).expect("inductions are answered");
        let handshake = Handshake {
            cookie: answer.cookie,
            ..handshake
        };
        hub.on_datagram(now, port, address, &conclusion_datagram(&handshake));
        let answer = answer_to(&sent(hub), address).expect("conclusions are answered");
        if answer.kind != CONCLUSION {
            return Err(answer.kind);
        }
        Ok(Self {
            address,
            port,
            remote_id: answer.socket_id,
            next: handshake.initial_sequence.get(),
        })
    }

    /// The next media packet.
    pub(super) fn media(&mut self, timestamp: Micros, payload: &[u8]) -> Vec<u8> {
        let sequence = Sequence::new(self.next);
        self.next = self.next.wrapping_add(1);
        let header = data_header(sequence, 1, false, 0, timestamp.timestamp(), self.remote_id);
        [header.as_slice(), payload].concat()
    }

    /// Sends the next media packet.
    pub(super) fn publish(
        &mut self,
        hub: &mut Hub,
        now: Micros,
        timestamp: Micros,
        payload: &[u8],
    ) {
        let datagram = self.media(timestamp, payload);
        hub.on_datagram(now, self.port, self.address, &datagram);
    }

    /// Sends a control packet without a body.
    pub(super) fn say(&self, hub: &mut Hub, now: Micros, kind: ControlKind) {
        let datagram = control(kind, 0, 0, self.remote_id, &[]);
        hub.on_datagram(now, self.port, self.address, &datagram);
    }

    /// The media packets among what was sent to it, repetitions left out: timestamp and payload.
    pub(super) fn media_in(&self, sent: &Sent) -> Vec<(u32, Vec<u8>)> {
        sent.iter()
            .filter(|(port, to, _)| *port == self.port && *to == self.address)
            .filter(|(_, _, datagram)| datagram[0] & 0x80 == 0 && datagram[4] & 0x04 == 0)
            .map(|(_, _, datagram)| {
                (
                    word(datagram, 8).unwrap(),
                    datagram[HEADER_BYTES..].to_vec(),
                )
            })
            .collect()
    }

    /// Whether it was told that the connection is over.
    pub(super) fn is_told_shutdown(&self, sent: &Sent) -> bool {
        sent.iter().any(|(port, to, datagram)| {
            *port == self.port && *to == self.address && half_word(datagram, 0) == Some(0x8005)
        })
    }
}

fn answer_to(sent: &Sent, address: SocketAddr) -> Option<Handshake> {
    sent.iter()
        .filter(|(_, to, _)| *to == address)
        .find_map(|(_, _, datagram)| handshake_of(datagram))
}
