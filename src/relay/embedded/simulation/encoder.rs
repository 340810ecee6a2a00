//! An encoder for simulations: our own sending machine on a clock of its own, over one line or bonded links.
//!
//! Invariant: it sends a numbered packet per interval whatever happens, and gives one up only as the
//! protocol allows: when it is older than the latency.

use std::net::SocketAddr;

use bytes::Bytes;

use super::network::{Network, Way};
use crate::relay::embedded::Port;
use crate::relay::embedded::receive::ControlMessage;
use crate::relay::embedded::send::{OutgoingData, Sender};
use crate::relay::embedded::time::Micros;
use crate::relay::embedded::wire::{ControlKind, Packet, control, parse};

/// Bytes of a simulated packet's media.
pub(super) const PAYLOAD_BYTES: usize = 100;
const KEEPALIVE_INTERVAL: Micros = Micros::from_secs(1);
/// A bonding sender leaves a link alone that was silent for so long, and asks to join again.
const LINK_PATIENCE: Micros = Micros::from_millis(2500);

/// The encoder's clock: off by a step and by a rate.
#[derive(Debug, Clone, Copy)]
pub(super) struct EncoderClock {
    /// World time when it was set.
    pub(super) set_at: Micros,
    /// What it read then.
    pub(super) reading: Micros,
    /// How much too fast it runs.
    pub(super) parts_per_million: i64,
}

impl EncoderClock {
    /// Sets the clock forward, or back.
    pub(super) fn step(&mut self, span: Micros) {
        self.reading += span;
    }

    fn read(&self, now: Micros) -> Micros {
        let elapsed = now - self.set_at;
        self.reading + elapsed + elapsed * self.parts_per_million / 1_000_000
    }
}

/// One line of the encoder.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) address: SocketAddr,
    pub(super) last_heard: Micros,
}

/// The encoder.
#[derive(Debug)]
pub(super) struct Encoder {
    pub(super) sender: Sender,
    pub(super) clock: EncoderClock,
    pub(super) lines: Vec<Line>,
    /// The id of its group when it is bonded.
    pub(super) group: Option<Vec<u8>>,
    pub(super) remote_id: u32,
    pub(super) interval: Micros,
    pub(super) next_media: Micros,
    /// When each packet was made, in world time.
    pub(super) made: Vec<Micros>,
    pub(super) is_closed: bool,
    /// It lost its network, or crashed.
    pub(super) is_silent: bool,
    /// Loss reports that reached it.
    pub(super) naks: u64,
    /// Acknowledgements that reached it.
    pub(super) acks: u64,
    pub(super) next_keepalive: Micros,
    /// The line that took the last packet.
    pub(super) last_line: usize,
}

impl Encoder {
    fn port(&self) -> Port {
        if self.group.is_some() {
            Port::Srtla
        } else {
            Port::Publish
        }
    }

    /// Makes and sends what is due.
    pub(super) fn work(&mut self, now: Micros, network: &mut Network) {
        if self.is_silent {
            return;
        }
        let mut out = Vec::new();
        let reading = self.clock.read(now);
        while self.next_media <= now {
            let mut payload = vec![0x47; PAYLOAD_BYTES];
            payload[..8].copy_from_slice(&(self.made.len() as u64).to_be_bytes());
            self.made.push(now);
            self.sender
                .push(reading, reading, Bytes::from(payload), &mut out);
            self.next_media += self.interval;
        }
        self.sender.poll(reading, &mut out);
        self.send_media(now, out, network);
        if self.next_keepalive <= now {
            self.next_keepalive = now + KEEPALIVE_INTERVAL;
            self.keep_alive(now, network);
        }
    }

    fn keep_alive(&mut self, now: Micros, network: &mut Network) {
        let packet = control(ControlKind::Keepalive, 0, 0, self.remote_id, &[]);
        self.send(now, &packet, network);
        let Some(group) = self.group.clone() else {
            return;
        };
        for line in &self.lines {
            let is_silent = now - line.last_heard > LINK_PATIENCE;
            let datagram = if is_silent {
                [&[0x92, 0x01][..], &group].concat()
            } else {
                vec![0x90, 0x00, 1, 2, 3, 4, 5, 6, 7, 8]
            };
            network.send(now, (Way::ToRelay, Port::Srtla, line.address), &datagram);
        }
    }

    fn send_media(&mut self, now: Micros, out: Vec<OutgoingData>, network: &mut Network) {
        let mut scratch = Vec::new();
        for media in out {
            media.emit(&mut scratch, |head, body| {
                self.send(now, &[head, body].concat(), network);
            });
        }
    }

    fn send_control(&mut self, now: Micros, message: &ControlMessage, network: &mut Network) {
        let time = self.clock.read(now).timestamp();
        let packet = control(
            message.kind,
            message.info,
            time,
            self.remote_id,
            &message.body,
        );
        self.send(now, &packet, network);
    }

    /// Sends on the next line that was heard lately; when none was, the datagram is lost.
    fn send(&mut self, now: Micros, datagram: &[u8], network: &mut Network) {
        let (port, count) = (self.port(), self.lines.len());
        let is_bonded = self.group.is_some();
        let next = (1..=count)
            .map(|step| (self.last_line + step) % count)
            .find(|at| !is_bonded || now - self.lines[*at].last_heard <= LINK_PATIENCE);
        if let Some(at) = next {
            self.last_line = at;
            network.send(now, (Way::ToRelay, port, self.lines[at].address), datagram);
        }
    }

    /// A datagram of the relay came.
    pub(super) fn hear(
        &mut self,
        now: Micros,
        address: SocketAddr,
        datagram: &[u8],
        network: &mut Network,
    ) {
        if let Some(line) = self.lines.iter_mut().find(|line| line.address == address) {
            line.last_heard = now;
        }
        if self.group.is_some() && (0x90..=0x92).contains(&datagram[0]) {
            return;
        }
        let Some(Packet::Control(packet)) = parse(datagram) else {
            panic!("the relay sends an encoder control packets only");
        };
        if self.is_silent {
            return;
        }
        let reading = self.clock.read(now);
        let mut out = Vec::new();
        let answers: Vec<ControlMessage> = match packet.kind {
            ControlKind::Ack => {
                self.acks += 1;
                let answer = self
                    .sender
                    .on_ack(reading, packet.info, packet.body, &mut out);
                answer.into_iter().collect()
            }
            ControlKind::Nak => {
                self.naks += 1;
                self.sender.on_nak(reading, packet.body, &mut out)
            }
            ControlKind::Shutdown => {
                self.is_closed = true;
                Vec::new()
            }
            _ => Vec::new(),
        };
        self.send_media(now, out, network);
        for answer in answers {
            self.send_control(now, &answer, network);
        }
    }
}
