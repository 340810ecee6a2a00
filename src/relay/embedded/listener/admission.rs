//! How a caller becomes a connection: induction, cookie, limit, conclusion, answer.
//!
//! Invariant: no limit is shared by all sources; the order is cookie, limit of the source address, what can be served at all, and only then
//! the question whose key it is.

use std::net::{IpAddr, SocketAddr};

use super::connection::ConclusionAnswer;
use super::types::{CloseCause, ConnectRequest, ConnectionId, Outgoing};
use super::{Connection, Flow, Listener, latency};
use crate::kernel::ids::SlotId;
use crate::relay::embedded::crypto::{KeyMessage, ReceivingKeys, SendingKeys, Unsealed};
use crate::relay::embedded::handshake::{
    CONCLUSION, EXTENSION_HANDSHAKE, EXTENSION_KEY, Handshake, INDUCTION, MAGIC,
};
use crate::relay::embedded::receive::{Receiver, ReceiverSetup};
use crate::relay::embedded::reject::RejectCode;
use crate::relay::embedded::send::{Sender, SenderSetup};
use crate::relay::embedded::time::Micros;
use crate::relay::embedded::wire::{ControlKind, ControlPacket, control};
use crate::relay::embedded::{Direction, Peer};

/// From this version on libsrt ignores a second loss report within a round trip.
const VERSION_IGNORES_EARLY_REPEATS: u32 = 0x01_05_00;

impl Listener {
    pub(super) fn on_handshake(
        &mut self,
        now: Micros,
        peer: Peer,
        source: IpAddr,
        packet: &ControlPacket<'_>,
    ) -> Option<ConnectRequest> {
        let Some(handshake) = Handshake::parse(packet.body) else {
            self.counters.malformed += 1;
            return None;
        };
        match handshake.kind {
            INDUCTION => self.on_induction(now, peer, source, handshake),
            CONCLUSION => {
                return self.on_conclusion(now, peer, source, packet.timestamp, handshake);
            }
            _ => self.counters.stray += 1,
        }
        None
    }

    fn on_induction(&mut self, now: Micros, peer: Peer, source: IpAddr, handshake: Handshake) {
        if !self.inductions.take(now, source) {
            self.counters.first_limited += 1;
            return;
        }
        let answer = Handshake {
            version: 5,
            extension_field: MAGIC,
            cookie: self.cookies.cookie(now, peer),
            address: wire_address(peer),
            ..handshake
        };
        self.send_handshake(now, peer, &answer, answer.socket_id);
    }

    fn send_handshake(&mut self, now: Micros, peer: Peer, answer: &Handshake, to: u32) {
        let kind = ControlKind::Handshake;
        let packet = control(kind, 0, now.timestamp(), to, &answer.encode());
        self.outgoing.push(Outgoing::Control(peer, packet));
    }

    fn on_conclusion(
        &mut self,
        now: Micros,
        peer: Peer,
        source: IpAddr,
        timestamp: u32,
        handshake: Handshake,
    ) -> Option<ConnectRequest> {
        let known = self.by_caller.get(&(peer, handshake.socket_id)).copied();
        if let Some(connection) = known.and_then(|id| self.connections.get_mut(&id))
            && connection.answer.handshake.initial_sequence == handshake.initial_sequence
        {
            // Our answer was lost.
            connection.send_answer(now, &mut self.outgoing);
            return None;
        }
        if !self.cookies.is_valid(now, peer, handshake.cookie) {
            self.counters.bad_cookie += 1;
            return None;
        }
        if !self.callers.take(now, source) {
            self.counters.limited += 1;
            return None;
        }
        let refusal = handshake.unsupported();
        let (None, Some(extension)) = (refusal, handshake.extension) else {
            let code = refusal.unwrap_or(RejectCode::Rogue);
            self.refuse_handshake(now, peer, handshake, code);
            return None;
        };
        let bounds = self.limits.latency_min..=self.limits.latency_max;
        Some(ConnectRequest {
            peer,
            handshake,
            latency: latency::negotiate(self.direction, extension, &bounds),
            replaces: known,
            extension,
            timestamp,
        })
    }

    /// Tells a caller why not.
    pub(crate) fn refuse(&mut self, now: Micros, request: ConnectRequest, code: RejectCode) {
        self.refuse_handshake(now, request.peer, request.handshake, code);
    }

    fn refuse_handshake(
        &mut self,
        now: Micros,
        peer: Peer,
        handshake: Handshake,
        code: RejectCode,
    ) {
        self.counters.rejected += 1;
        let answer = Handshake {
            version: 5,
            extension_field: 0,
            kind: code.number(),
            ..handshake
        };
        self.send_handshake(now, peer, &answer, answer.socket_id);
    }

    /// Whether another connection fits.
    pub(crate) fn has_room(&self) -> bool {
        self.connections.len() < self.limits.connections_max
    }

    /// Takes a caller in; with `unsealed`, its media are encrypted.
    pub(crate) fn accept(
        &mut self,
        now: Micros,
        request: ConnectRequest,
        slot_id: SlotId,
        unsealed: Option<Unsealed>,
    ) -> ConnectionId {
        let id = self.free_id();
        let key_message = unsealed.as_ref().map(|unsealed| unsealed.message);
        let flow = self.flow(now, &request, unsealed);
        let caller = (request.peer, request.handshake.socket_id);
        if let Some(before) = request.replaces {
            // Without a goodbye: it would reach the new connection, which has the same socket id there.
            self.remove(before, CloseCause::Replaced);
        }
        let mut connection = Connection {
            id,
            peer: request.peer,
            slot_id,
            latency: request.latency,
            opened: now,
            last_heard: now,
            flow,
            peer_socket_id: request.handshake.socket_id,
            answer: self.answer(id, request, key_message),
            deadline: now,
            is_dirty: false,
            last_sent: now,
        };
        connection.send_answer(now, &mut self.outgoing);
        self.least_latency = self.least_latency.min(connection.latency);
        self.connections.insert(id, connection);
        self.by_caller.insert(caller, id);
        self.counters.accepted += 1;
        id
    }

    fn free_id(&mut self) -> ConnectionId {
        loop {
            let id = self.cookies.socket_id();
            if !self.connections.contains_key(&id) {
                return id;
            }
        }
    }

    fn flow(&self, now: Micros, request: &ConnectRequest, unsealed: Option<Unsealed>) -> Flow {
        match self.direction {
            Direction::Publish => {
                let receiver = self.receiver(now, request);
                Flow::In(Box::new(match unsealed {
                    Some(unsealed) => receiver.with_keys(ReceivingKeys::new(now, unsealed)),
                    None => receiver,
                }))
            }
            Direction::Play => {
                let sender = self.sender(now, request);
                let refresh = self.limits.key_refresh;
                Flow::Out(Box::new(match unsealed {
                    Some(unsealed) => sender.with_keys(SendingKeys::new(unsealed, refresh)),
                    None => sender,
                }))
            }
        }
    }

    fn receiver(&self, now: Micros, request: &ConnectRequest) -> Receiver {
        Receiver::new(ReceiverSetup {
            now,
            timestamp: request.timestamp,
            initial: request.handshake.initial_sequence,
            latency: request.latency,
            limits: self.limits.receive,
            is_bonded: matches!(request.peer, Peer::Srtla(_)),
            ignores_early_repeats: request.extension.version >= VERSION_IGNORES_EARLY_REPEATS,
        })
    }

    fn sender(&self, now: Micros, request: &ConnectRequest) -> Sender {
        let handshake = &request.handshake;
        Sender::new(SenderSetup {
            now,
            initial: handshake.initial_sequence,
            destination: handshake.socket_id,
            latency: request.latency,
            window_packets: handshake.window_packets,
            queue_bytes: self.limits.queue_bytes,
        })
    }

    fn answer(
        &self,
        id: ConnectionId,
        request: ConnectRequest,
        key_message: Option<KeyMessage>,
    ) -> ConclusionAnswer {
        let key_flag = if key_message.is_some() {
            EXTENSION_KEY
        } else {
            0
        };
        let extension = request.extension;
        let latency_ms = u16::try_from(request.latency.get() / 1000).unwrap_or(u16::MAX);
        let (receive_delay_ms, send_delay_ms) = match self.direction {
            Direction::Publish => (latency_ms, extension.receive_delay_ms),
            // Some players take the greater of both fields.
            Direction::Play => (extension.send_delay_ms.min(latency_ms), latency_ms),
        };
        ConclusionAnswer {
            receive_delay_ms,
            send_delay_ms,
            key_message,
            handshake: Handshake {
                version: 5,
                extension_field: EXTENSION_HANDSHAKE | key_flag,
                mtu_bytes: request.handshake.mtu_bytes.min(1500),
                window_packets: request
                    .handshake
                    .window_packets
                    .clamp(32, self.limits.receive.window_packets),
                kind: CONCLUSION,
                socket_id: id,
                address: wire_address(request.peer),
                ..request.handshake
            },
        }
    }
}

/// The peer's address as libsrt lays it out: the bytes of each word of four in reverse, so that IPv4 is one
/// little-endian word. Source: libsrt `CIPAddress::ntop`; the draft (3.2.1) leaves the order open.
fn wire_address(peer: Peer) -> [u8; 16] {
    let mut bytes = [0; 16];
    match peer {
        Peer::Udp(SocketAddr::V4(address)) => {
            bytes[..4].copy_from_slice(&address.ip().to_bits().to_le_bytes());
        }
        Peer::Udp(SocketAddr::V6(address)) => {
            bytes = address.ip().octets();
            bytes.chunks_exact_mut(4).for_each(<[u8]>::reverse);
        }
        Peer::Srtla(_) => bytes[..4].copy_from_slice(&[1, 0, 0, 127]),
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_laid_out_as_libsrt_reads_them() {
        let of = |text: &str| wire_address(Peer::Udp(text.parse().unwrap()));
        let mut ipv4 = [0; 16];
        ipv4[..4].copy_from_slice(&[4, 3, 2, 1]);
        assert_eq!(of("1.2.3.4:9"), ipv4);
        let ipv6 = [4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13];
        assert_eq!(of("[102:304:506:708:90a:b0c:d0e:f10]:9"), ipv6);
    }
}
