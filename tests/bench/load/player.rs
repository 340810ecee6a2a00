//! A player that costs next to nothing: counts payloads, acknowledges, asks for what is missing.
//!
//! Invariant: a payload counts once, at its place, and only when it is whole; what is called off or never
//! comes is missing.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::payload;
use crate::net::srt_probe::Connection;
use crate::net::srt_wire::{self, Control, ControlKind, Data, Packet};

/// Source: draft-sharabayko-srt-01, section 4.8.1.
const ACK_PAUSE: Duration = Duration::from_millis(10);
/// A gap is reported again so often.
const REPORT_PAUSE: Duration = Duration::from_millis(100);
const KEEPALIVE_PAUSE: Duration = Duration::from_secs(1);
/// Gaps in one report.
const GAPS_MAX: usize = 64;

/// One player.
#[derive(Debug)]
pub(crate) struct LoadPlayer {
    connection: Connection,
    stream: u32,
    /// Payloads that came, copies not counted.
    pub(crate) received: u64,
    /// Packets that are not a payload of the stream at its place.
    pub(crate) wrong: u64,
    /// Packets that were called off.
    pub(crate) called_off: u64,
    /// The number of the first payload.
    pub(crate) first_number: Option<u64>,
    /// True once the other side has ended the connection.
    pub(crate) is_closed: bool,
    /// Everything before this place is here or called off.
    next: u64,
    /// Places beyond it that are.
    ahead: BTreeSet<u64>,
    acknowledged: u64,
    ack_number: u32,
    acknowledged_at: Instant,
    reported_at: Instant,
    kept_alive: Instant,
}

impl LoadPlayer {
    /// Plays `stream` over an open connection.
    pub(crate) fn new(connection: Connection, stream: u32) -> Self {
        connection.set_waiting(false);
        let now = Instant::now();
        Self {
            connection,
            stream,
            received: 0,
            wrong: 0,
            called_off: 0,
            first_number: None,
            is_closed: false,
            next: 0,
            ahead: BTreeSet::new(),
            acknowledged: 0,
            ack_number: 0,
            acknowledged_at: now,
            reported_at: now,
            kept_alive: now,
        }
    }

    /// Reads what came and answers it.
    pub(crate) fn listen(&mut self, now: Instant) {
        let mut buffer = [0; 2_048];
        while let Some(datagram) = self.connection.receive_now(&mut buffer) {
            match srt_wire::parse(datagram) {
                Some(Packet::Data(data)) => self.on_data(now, &data),
                Some(Packet::Control(control)) => self.on_control(&control),
                None => self.wrong += 1,
            }
        }
        if self.next != self.acknowledged && now - self.acknowledged_at >= ACK_PAUSE {
            self.acknowledge(now);
        }
        if !self.ahead.is_empty() && now - self.reported_at >= REPORT_PAUSE {
            self.report(now);
        }
        if now - self.kept_alive >= KEEPALIVE_PAUSE {
            self.kept_alive = now;
            self.connection.send_control(ControlKind::Keepalive, 0, &[]);
        }
    }

    /// Ends the connection the polite way.
    pub(crate) fn close(&self) {
        self.connection.send_control(ControlKind::Shutdown, 0, &[]);
    }

    fn on_data(&mut self, now: Instant, data: &Data<'_>) {
        let distance = srt_wire::distance(self.connection.peer_first_sequence, data.sequence);
        let Ok(place) = u64::try_from(distance) else {
            self.wrong += 1;
            return;
        };
        if place < self.next || self.ahead.contains(&place) {
            return;
        }
        let number = payload::number_of(self.stream, data.payload);
        let first = number.and_then(|number| number.checked_sub(place));
        if self.first_number.is_none() {
            self.first_number = first;
        }
        if first.is_none() || first != self.first_number {
            self.wrong += 1;
            return;
        }
        self.received += 1;
        let opens_a_gap =
            place > self.next && self.ahead.last().is_none_or(|last| place > last + 1);
        self.take(place);
        if opens_a_gap {
            self.report(now);
        }
    }

    fn take(&mut self, place: u64) {
        if place != self.next {
            self.ahead.insert(place);
            return;
        }
        self.next += 1;
        while self.ahead.remove(&self.next) {
            self.next += 1;
        }
    }

    fn on_control(&mut self, control: &Control<'_>) {
        match control.kind {
            ControlKind::DropRequest => {
                let place = |index| {
                    let sequence = srt_wire::word(control.body, index)?;
                    let first = self.connection.peer_first_sequence;
                    u64::try_from(srt_wire::distance(first, sequence)).ok()
                };
                if let (Some(first), Some(last)) = (place(0), place(1)) {
                    self.call_off(first, last);
                }
            }
            ControlKind::Shutdown => self.is_closed = true,
            ControlKind::Handshake
            | ControlKind::Keepalive
            | ControlKind::Ack
            | ControlKind::Nak
            | ControlKind::AckAck
            | ControlKind::Other(_) => {}
        }
    }

    fn call_off(&mut self, first: u64, last: u64) {
        for place in first.max(self.next)..=last {
            if place >= self.next && !self.ahead.contains(&place) {
                self.called_off += 1;
                self.take(place);
            }
        }
    }

    fn acknowledge(&mut self, now: Instant) {
        self.acknowledged_at = now;
        self.acknowledged = self.next;
        self.ack_number += 1;
        let body = srt_wire::acknowledgement(self.sequence(self.next), 10_000);
        self.connection
            .send_control(ControlKind::Ack, self.ack_number, &body);
    }

    /// Asks for what is missing between what is here.
    fn report(&mut self, now: Instant) {
        self.reported_at = now;
        let mut gaps = Vec::new();
        let mut next = self.next;
        for &place in &self.ahead {
            if place > next && gaps.len() < GAPS_MAX {
                gaps.push((self.sequence(next), self.sequence(place - 1)));
            }
            next = place + 1;
        }
        self.connection
            .send_control(ControlKind::Nak, 0, &srt_wire::loss_report(&gaps));
    }

    fn sequence(&self, place: u64) -> u32 {
        let place = u32::try_from(place).expect("a bench ends before that");
        srt_wire::after(self.connection.peer_first_sequence, place)
    }
}
