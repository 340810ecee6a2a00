//! A publisher that costs next to nothing: numbered payloads at a pace, repeated when asked for.
//!
//! Invariant: a payload and its time stamp follow from its number, so nothing is kept to send it again.

use std::time::{Duration, Instant};

use super::payload;
use crate::net::srt_probe::Connection;
use crate::net::srt_wire::{self, Control, ControlKind, Data, Packet};

/// 1,316 bytes each so often are 6 Mbit/s.
pub(crate) const PAUSE: Duration = Duration::from_micros(1_755);
const KEEPALIVE_PAUSE: Duration = Duration::from_secs(1);

/// One publisher.
#[derive(Debug)]
pub(crate) struct LoadPublisher {
    connection: Connection,
    stream: u32,
    pause: Duration,
    began: Instant,
    kept_alive: Instant,
    /// Payloads sent, copies not counted.
    pub(crate) sent: u64,
    /// Copies sent.
    pub(crate) resent: u64,
    acknowledged: u64,
    /// True once the other side has ended the connection.
    pub(crate) is_closed: bool,
}

impl LoadPublisher {
    /// Publishes `stream` over an open connection, from now on, a payload every `pause`.
    pub(crate) fn new(connection: Connection, stream: u32, pause: Duration) -> Self {
        let began = Instant::now();
        connection.set_waiting(false);
        Self {
            connection,
            stream,
            pause,
            began,
            kept_alive: began,
            sent: 0,
            resent: 0,
            acknowledged: 0,
            is_closed: false,
        }
    }

    /// Sends what is due now.
    pub(crate) fn send_due(&mut self, now: Instant) {
        while self.time_of(self.sent) <= now {
            self.send(self.sent, false);
            self.sent += 1;
        }
    }

    /// Says that it is still there, while it sends nothing.
    pub(crate) fn keep_alive(&mut self, now: Instant) {
        if now - self.kept_alive >= KEEPALIVE_PAUSE {
            self.kept_alive = now;
            self.connection.send_control(ControlKind::Keepalive, 0, &[]);
        }
    }

    /// Reads what came.
    pub(crate) fn listen(&mut self) {
        let mut buffer = [0; 2_048];
        while let Some(datagram) = self.connection.receive_now(&mut buffer) {
            if let Some(Packet::Control(control)) = srt_wire::parse(datagram) {
                self.on_control(&control);
            }
        }
    }

    /// Ends the connection the polite way.
    pub(crate) fn close(&self) {
        self.connection.send_control(ControlKind::Shutdown, 0, &[]);
    }

    fn time_of(&self, number: u64) -> Instant {
        let number = u32::try_from(number).expect("a bench ends before that");
        self.began + self.pause * number
    }

    fn send(&self, number: u64, is_retransmitted: bool) {
        let number_32 = u32::try_from(number).expect("a bench ends before that");
        let data = Data {
            sequence: srt_wire::after(self.connection.first_sequence, number_32),
            message: number_32 + 1,
            is_retransmitted,
            time_us: self.connection.time_us(self.time_of(number)),
            destination: self.connection.peer_socket(),
            payload: &payload::of(self.stream, number),
        };
        self.connection.send(&data.encode());
    }

    fn on_control(&mut self, control: &Control<'_>) {
        match control.kind {
            ControlKind::Ack => {
                // A light one has a single word and wants no answer.
                if srt_wire::word(control.body, 1).is_some() {
                    self.connection
                        .send_control(ControlKind::AckAck, control.info, &[]);
                }
                let next = srt_wire::word(control.body, 0).and_then(|next| self.number(next));
                self.acknowledged = self.acknowledged.max(next.unwrap_or(0));
            }
            ControlKind::Nak => {
                for sequence in srt_wire::lost_sequences(control.body) {
                    let number = self.number(sequence);
                    let wanted =
                        number.filter(|number| (self.acknowledged..self.sent).contains(number));
                    if let Some(number) = wanted {
                        self.send(number, true);
                        self.resent += 1;
                    }
                }
            }
            ControlKind::Shutdown => self.is_closed = true,
            ControlKind::Handshake
            | ControlKind::Keepalive
            | ControlKind::AckAck
            | ControlKind::DropRequest
            | ControlKind::Other(_) => {}
        }
    }

    fn number(&self, sequence: u32) -> Option<u64> {
        let distance = srt_wire::distance(self.connection.first_sequence, sequence);
        u64::try_from(distance).ok()
    }
}
