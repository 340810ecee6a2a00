//! One accepted caller: a publisher we receive from or a player we send to.
//!
//! Invariant: a connection hears only its own peer, by address and by socket id.

use bytes::Bytes;

use super::{CloseCause, Closed, ConnectionEvent, ConnectionId, Outgoing};
use crate::kernel::ids::SlotId;
use crate::relay::embedded::Peer;
use crate::relay::embedded::crypto::KeyMessage;
use crate::relay::embedded::handshake::{Handshake, append_key_response, append_response};
use crate::relay::embedded::receive::{ControlMessage, Receiver};
use crate::relay::embedded::send::{OutgoingData, Sender};
use crate::relay::embedded::sequence::Sequence;
use crate::relay::embedded::time::Micros;
use crate::relay::embedded::wire::{ControlKind, ControlPacket, DataPacket, control, word};
use crate::relay::engine::Traffic;

const KEEPALIVE_INTERVAL: Micros = Micros::from_secs(1);

/// Which way media go.
#[derive(Debug)]
pub(crate) enum Flow {
    /// From a publisher to us.
    In(Box<Receiver>),
    /// From us to a player.
    Out(Box<Sender>),
}

/// An accepted caller.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Its name among the connections of its port; also our socket id on the wire.
    pub(crate) id: ConnectionId,
    /// Where its packets come from.
    pub(crate) peer: Peer,
    /// Whose key it has.
    pub(crate) slot_id: SlotId,
    /// The negotiated latency.
    pub(crate) latency: Micros,
    /// When it was accepted.
    pub(crate) opened: Micros,
    /// When anything came of it last.
    pub(crate) last_heard: Micros,
    /// Its media.
    pub(crate) flow: Flow,
    pub(super) peer_socket_id: u32,
    /// The answer to its conclusion, repeated when it asks again.
    pub(super) answer: ConclusionAnswer,
    pub(super) deadline: Micros,
    pub(super) is_dirty: bool,
    pub(super) last_sent: Micros,
}

/// Scratch space of a listener, so that no connection allocates its own.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    control: Vec<ControlMessage>,
    data: Vec<OutgoingData>,
}

/// What we answered to the conclusion.
#[derive(Debug)]
pub(super) struct ConclusionAnswer {
    pub(super) handshake: Handshake,
    pub(super) receive_delay_ms: u16,
    pub(super) send_delay_ms: u16,
    /// The caller's key message, when we have opened it.
    pub(super) key_message: Option<KeyMessage>,
}

impl ConclusionAnswer {
    fn body(&self) -> Vec<u8> {
        let mut body = self.handshake.encode();
        append_response(&mut body, self.receive_delay_ms, self.send_delay_ms);
        if let Some(message) = &self.key_message {
            append_key_response(&mut body, message);
        }
        body
    }
}

impl Connection {
    /// Packets that found no room in its buffer.
    pub(super) fn overflowed(&self) -> u64 {
        match &self.flow {
            Flow::In(receiver) => receiver.counters.overflowed,
            Flow::Out(sender) => sender.counters.overflowed,
        }
    }

    /// Packets and media bytes that it holds.
    pub(super) fn holds(&self) -> (usize, usize) {
        match &self.flow {
            Flow::In(receiver) => (receiver.held_packets(), receiver.held_bytes()),
            Flow::Out(sender) => (sender.queued_packets(), sender.queued_bytes()),
        }
    }

    /// Sends a control packet.
    pub(super) fn send_control(
        &mut self,
        now: Micros,
        kind: ControlKind,
        info: u32,
        body: &[u8],
        out: &mut Vec<Outgoing>,
    ) {
        self.last_sent = now;
        let timestamp = (now - self.opened).timestamp();
        let packet = control(kind, info, timestamp, self.peer_socket_id, body);
        out.push(Outgoing::Control(self.peer, packet));
    }

    /// Answers the conclusion, the first time and when the caller repeats it. The timestamp is current
    /// each time, because a player sets its clock by it.
    pub(super) fn send_answer(&mut self, now: Micros, out: &mut Vec<Outgoing>) {
        let body = self.answer.body();
        self.send_control(now, ControlKind::Handshake, 0, &body, out);
    }

    /// Whether a data packet can be used as far as encryption goes.
    pub(super) fn can_decrypt(&self, packet: &DataPacket<'_>) -> bool {
        match &self.flow {
            Flow::In(receiver) => receiver.can_decrypt(packet),
            Flow::Out(_) => true,
        }
    }

    /// A data packet came. Answers with an event when it is the first.
    pub(super) fn on_data(
        &mut self,
        now: Micros,
        packet: &DataPacket<'_>,
    ) -> Option<ConnectionEvent> {
        self.last_heard = now;
        let Flow::In(receiver) = &mut self.flow else {
            return None;
        };
        let is_first = receiver.last_media().is_none();
        receiver.on_data(now, packet);
        is_first.then_some(ConnectionEvent::FirstMedia {
            id: self.id,
            slot_id: self.slot_id,
        })
    }

    /// A control packet came, SHUTDOWN and handshakes excepted. It is read now and arrived a moment ago,
    /// which matters only where time is measured.
    pub(super) fn on_control(
        &mut self,
        (now, arrived): (Micros, Micros),
        packet: &ControlPacket<'_>,
        scratch: &mut Scratch,
        out: &mut Vec<Outgoing>,
    ) {
        self.last_heard = now;
        match (&mut self.flow, packet.kind) {
            (Flow::In(receiver), ControlKind::AckAck) => receiver.on_ackack(arrived, packet.info),
            (Flow::In(receiver), ControlKind::DropRequest) => {
                if let (Some(first), Some(last)) = (word(packet.body, 0), word(packet.body, 4)) {
                    receiver.on_drop_request(Sequence::new(first), Sequence::new(last));
                }
            }
            (Flow::In(receiver), ControlKind::KeyRequest) => {
                scratch
                    .control
                    .extend(receiver.on_key_request(now, packet.body));
            }
            (Flow::Out(sender), ControlKind::KeyResponse) => sender.on_key_response(packet.body),
            (Flow::Out(sender), ControlKind::Ack) => {
                let answer = sender.on_ack(now, packet.info, packet.body, &mut scratch.data);
                scratch.control.extend(answer);
            }
            (Flow::Out(sender), ControlKind::Nak) => {
                let answers = sender.on_nak(now, packet.body, &mut scratch.data);
                scratch.control.extend(answers);
            }
            // Keepalives are answered by being heard; the rest says nothing to this side.
            _ => {}
        }
        self.send_scratch(now, scratch, out);
    }

    /// Does what is due: ACK, NAK, repetition, keepalive, delivery; and finds the next deadline.
    pub(super) fn advance(
        &mut self,
        now: Micros,
        scratch: &mut Scratch,
        out: &mut Vec<Outgoing>,
        events: &mut Vec<ConnectionEvent>,
    ) {
        let flow_deadline = match &mut self.flow {
            Flow::In(receiver) => {
                receiver.poll(now, &mut scratch.control);
                deliver(receiver, now, (self.id, self.slot_id), events);
                receiver.next_deadline()
            }
            Flow::Out(sender) => {
                sender.poll(now, &mut scratch.data);
                scratch.control.extend(sender.key_request(now));
                sender.next_deadline(now)
            }
        };
        self.send_scratch(now, scratch, out);
        if now - self.last_sent >= KEEPALIVE_INTERVAL {
            self.send_control(now, ControlKind::Keepalive, 0, &[], out);
        }
        self.deadline = flow_deadline.min(self.last_sent + KEEPALIVE_INTERVAL);
    }

    /// Hands media to a player.
    pub(super) fn push(
        &mut self,
        now: Micros,
        media: &[(Micros, Bytes)],
        scratch: &mut Scratch,
        out: &mut Vec<Outgoing>,
    ) {
        if let Flow::Out(sender) = &mut self.flow {
            for (origin, payload) in media {
                sender.push(now, *origin, payload.clone(), &mut scratch.data);
            }
            self.deadline = self.deadline.min(sender.next_deadline(now));
            self.send_scratch(now, scratch, out);
        }
    }

    /// Hands on what a publisher has left, and says what became of the connection. Of one that was cut
    /// off nothing more is handed on.
    pub(super) fn finish(&mut self, cause: CloseCause, events: &mut Vec<ConnectionEvent>) {
        let media = match &mut self.flow {
            Flow::In(receiver) => {
                if cause != CloseCause::Disconnected {
                    deliver(receiver, Micros::MAX, (self.id, self.slot_id), events);
                }
                Traffic {
                    packets: receiver.counters.packets,
                    bytes: receiver.counters.bytes,
                }
            }
            Flow::Out(sender) => Traffic {
                packets: sender.counters.packets,
                bytes: sender.counters.bytes,
            },
        };
        events.push(ConnectionEvent::Closed(Closed {
            id: self.id,
            peer: self.peer,
            slot_id: self.slot_id,
            cause,
            media,
        }));
    }

    fn send_scratch(&mut self, now: Micros, scratch: &mut Scratch, out: &mut Vec<Outgoing>) {
        for message in scratch.control.drain(..) {
            self.send_control(now, message.kind, message.info, &message.body, out);
        }
        for packet in scratch.data.drain(..) {
            self.last_sent = now;
            out.push(Outgoing::Data(self.peer, packet));
        }
    }

    /// When the last media packet of a publisher came.
    pub(crate) fn last_media(&self) -> Option<Micros> {
        match &self.flow {
            Flow::In(receiver) => receiver.last_media(),
            Flow::Out(_) => None,
        }
    }
}

fn deliver(
    receiver: &mut Receiver,
    until: Micros,
    (id, slot_id): (ConnectionId, SlotId),
    events: &mut Vec<ConnectionEvent>,
) {
    while let Some((origin, payload)) = receiver.pop(until) {
        events.push(ConnectionEvent::Media {
            id,
            slot_id,
            origin,
            payload,
        });
    }
}
