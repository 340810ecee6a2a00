//! The sending side of one connection: live media with repetition on request and too-late drop.
//!
//! Invariant: the buffer is bounded by age, bytes and packets; repetitions are at most twice the originals
//! and a burst, so a player cannot make us flood anyone.

mod encrypted;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

pub(crate) use self::encrypted::OutgoingData;
use super::crypto::{Parity, SendingKeys, StreamKey};
use super::receive::ControlMessage;
use super::rtt::RoundTrip;
use super::sequence::Sequence;
use super::time::Micros;
use super::wire::{ControlKind, MESSAGE_NUMBER_MAX, data_header, loss_ranges, word};

/// libsrt drops what is older than the latency, but nothing younger than this.
const DROP_AGE_MIN: Micros = Micros::from_millis(1020);
const DROP_AGE_MARGIN: Micros = Micros::from_millis(40);
const WINDOW_MIN_PACKETS: u32 = 32;
/// Packets that may wait for one player.
pub(crate) const BUFFER_MAX_PACKETS: usize = 65_536;
/// Sequence numbers looked at for one loss report, whatever it claims.
const REPORT_WORK_MAX: u64 = 8192;
/// Ranges given up that are told in answer to one loss report.
const DROP_REQUESTS_MAX: usize = 32;
/// A packet is not repeated sooner than this after its last sending.
const REPEAT_MIN: Micros = Micros::from_millis(10);
const REPEAT_CREDIT_MAX: u32 = 8192;
const REPEAT_CREDIT_PER_PACKET: u32 = 2;
const TAIL_CHECK_INTERVAL: Micros = Micros::from_millis(50);

/// How a connection begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SenderSetup {
    /// Now; timestamps count from here.
    pub(crate) now: Micros,
    /// The first sequence number.
    pub(crate) initial: Sequence,
    /// The peer's socket id.
    pub(crate) destination: u32,
    /// The peer's latency.
    pub(crate) latency: Micros,
    /// Packets the peer takes in flight.
    pub(crate) window_packets: u32,
    /// Media bytes that may wait.
    pub(crate) queue_bytes: usize,
}

/// What has happened since the connection began.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SendCounters {
    /// Packets, repetitions not included.
    pub(crate) packets: u64,
    /// Media bytes, repetitions not included.
    pub(crate) bytes: u64,
    /// Repetitions.
    pub(crate) retransmitted: u64,
    /// Packets that were too late or did not fit.
    pub(crate) dropped: u64,
    /// Those of them that did not fit.
    pub(crate) overflowed: u64,
}

#[derive(Debug)]
struct Queued {
    /// The moment the media belong to.
    origin: Micros,
    timestamp: u32,
    message_number: u32,
    payload: Bytes,
    /// The key it was sent under; repetitions stay with it.
    key: Option<Arc<StreamKey>>,
    sent: Option<Micros>,
    is_repeated: bool,
}

/// The sending side of one connection.
#[derive(Debug)]
pub(crate) struct Sender {
    /// Figures.
    pub(crate) counters: SendCounters,
    /// The smoothed round-trip time, as the peer reports it.
    pub(crate) rtt: RoundTrip,
    start: Micros,
    destination: u32,
    drop_age: Micros,
    queue_bytes_max: usize,
    window_packets: u32,
    /// The index of the oldest packet in the buffer.
    base: u64,
    buffer: VecDeque<Queued>,
    buffer_bytes: usize,
    /// How many of the buffer, from the front, were sent.
    sent_packets: usize,
    next_message_number: u32,
    repeat_credit: u32,
    last_progress: Micros,
    keys: Option<Box<SendingKeys>>,
}

impl Sender {
    /// A sender with nothing to send.
    pub(crate) fn new(setup: SenderSetup) -> Self {
        Self {
            counters: SendCounters::default(),
            rtt: RoundTrip::default(),
            start: setup.now,
            destination: setup.destination,
            drop_age: (setup.latency + DROP_AGE_MARGIN).max(DROP_AGE_MIN),
            queue_bytes_max: setup.queue_bytes,
            window_packets: setup.window_packets.max(WINDOW_MIN_PACKETS),
            base: setup.initial.first_index(),
            buffer: VecDeque::new(),
            buffer_bytes: 0,
            sent_packets: 0,
            next_message_number: 1,
            repeat_credit: REPEAT_CREDIT_MAX / 4,
            last_progress: setup.now,
            keys: None,
        }
    }

    /// Sends media that belong to the moment `origin`, or queues them while the window is full.
    pub(crate) fn push(
        &mut self,
        now: Micros,
        origin: Micros,
        payload: Bytes,
        out: &mut Vec<OutgoingData>,
    ) {
        self.expire(now);
        let is_full = self.buffer_bytes + payload.len() > self.queue_bytes_max
            || self.buffer.len() >= BUFFER_MAX_PACKETS;
        if is_full {
            self.counters.dropped += 1;
            self.counters.overflowed += 1;
            return;
        }
        let message_number = self.next_message_number;
        self.next_message_number = message_number % MESSAGE_NUMBER_MAX + 1;
        self.buffer_bytes += payload.len();
        self.buffer.push_back(Queued {
            origin,
            timestamp: (origin - self.start).max(Micros::ZERO).timestamp(),
            message_number,
            payload,
            key: None,
            sent: None,
            is_repeated: false,
        });
        self.send_window(now, out);
    }

    fn send_window(&mut self, now: Micros, out: &mut Vec<OutgoingData>) {
        let window = usize::try_from(self.window_packets).unwrap_or(usize::MAX);
        while self.sent_packets < window {
            let Some(queued) = self.buffer.get_mut(self.sent_packets) else {
                return;
            };
            if self.sent_packets == 0 {
                self.last_progress = now;
            }
            queued.sent = Some(now);
            queued.key = self.keys.as_mut().map(|keys| keys.take());
            let index = self.base + as_u64(self.sent_packets);
            out.push(packet(queued, index, self.destination));
            self.counters.packets += 1;
            self.counters.bytes += as_u64(queued.payload.len());
            self.repeat_credit =
                (self.repeat_credit + REPEAT_CREDIT_PER_PACKET).min(REPEAT_CREDIT_MAX);
            self.sent_packets += 1;
        }
    }

    /// Packets in the buffer.
    pub(crate) fn queued_packets(&self) -> usize {
        self.buffer.len()
    }

    /// Their media bytes.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.buffer_bytes
    }

    fn pop_front(&mut self) {
        if let Some(queued) = self.buffer.pop_front() {
            self.buffer_bytes -= queued.payload.len();
            self.base += 1;
            self.sent_packets = self.sent_packets.saturating_sub(1);
        }
    }

    fn expire(&mut self, now: Micros) {
        while self
            .buffer
            .front()
            .is_some_and(|queued| now - queued.origin > self.drop_age)
        {
            self.counters.dropped += 1;
            self.pop_front();
        }
    }

    /// The peer acknowledges; a full ACK is answered.
    pub(crate) fn on_ack(
        &mut self,
        now: Micros,
        number: u32,
        body: &[u8],
        out: &mut Vec<OutgoingData>,
    ) -> Option<ControlMessage> {
        let position = Sequence::new(word(body, 0)?).index_near(self.base);
        if position > self.base + as_u64(self.sent_packets) {
            // It acknowledges what was never sent.
            return None;
        }
        if position > self.base {
            self.last_progress = now;
        }
        while self.base < position {
            self.pop_front();
        }
        let answer = self.read_measurements(number, body);
        self.send_window(now, out);
        answer
    }

    fn read_measurements(&mut self, number: u32, body: &[u8]) -> Option<ControlMessage> {
        if number == 0 {
            return None;
        }
        let (mean, variation, free) = (word(body, 4)?, word(body, 8)?, word(body, 12)?);
        self.rtt
            .report(Micros::new(mean.into()), Micros::new(variation.into()));
        let most = u32::try_from(BUFFER_MAX_PACKETS).unwrap_or(u32::MAX);
        self.window_packets = free.clamp(WINDOW_MIN_PACKETS, most);
        Some(ControlMessage {
            kind: ControlKind::AckAck,
            info: number,
            body: Vec::new(),
        })
    }

    /// The peer misses packets: they are repeated; of what is gone it is told.
    pub(crate) fn on_nak(
        &mut self,
        now: Micros,
        body: &[u8],
        out: &mut Vec<OutgoingData>,
    ) -> Vec<ControlMessage> {
        self.expire(now);
        let mut work = REPORT_WORK_MAX;
        let mut gone = Vec::new();
        for (first, last) in loss_ranges(body) {
            let (first, last) = (first.index_near(self.base), last.index_near(self.base));
            if first < self.base && gone.len() < DROP_REQUESTS_MAX {
                gone.push(drop_request(first, last.min(self.base - 1)));
            }
            let from = first.max(self.base);
            let end = (last + 1)
                .min(self.base + as_u64(self.sent_packets))
                .min(from + work);
            for index in from..end {
                self.repeat(now, index, out);
            }
            work -= end.saturating_sub(from);
        }
        gone
    }

    fn repeat(&mut self, now: Micros, index: u64, out: &mut Vec<OutgoingData>) {
        let wait = self.rtt.mean().max(REPEAT_MIN);
        let Some(queued) = usize::try_from(index - self.base)
            .ok()
            .and_then(|offset| self.buffer.get_mut(offset))
        else {
            return;
        };
        // A repetition that is younger than a round trip may be on its way still.
        let is_under_way = queued.is_repeated && queued.sent.is_some_and(|sent| now - sent < wait);
        if is_under_way || self.repeat_credit == 0 {
            return;
        }
        self.repeat_credit -= 1;
        queued.sent = Some(now);
        queued.is_repeated = true;
        self.counters.retransmitted += 1;
        out.push(packet(queued, index, self.destination));
    }

    /// Drops what is too late, and repeats the last packet when nothing is acknowledged: a receiver
    /// cannot miss the tail of what it never saw.
    pub(crate) fn poll(&mut self, now: Micros, out: &mut Vec<OutgoingData>) {
        self.expire(now);
        let Some(last) = self.sent_packets.checked_sub(1) else {
            return;
        };
        let timeout = (self.rtt.patience() + Micros::from_millis(20)).max(Micros::from_millis(200));
        let is_quiet = self
            .buffer
            .get(last)
            .and_then(|queued| queued.sent)
            .is_some_and(|sent| now - sent > timeout);
        if is_quiet && now - self.last_progress > timeout {
            self.repeat(now, self.base + as_u64(last), out);
        }
    }

    /// When [`Sender::poll`] has something to do.
    pub(crate) fn next_deadline(&self, now: Micros) -> Micros {
        if self.buffer.is_empty() {
            Micros::MAX
        } else {
            now + TAIL_CHECK_INTERVAL
        }
    }

    /// From the oldest to the newest media in the buffer.
    pub(crate) fn queued_span(&self) -> Micros {
        match (self.buffer.front(), self.buffer.back()) {
            (Some(first), Some(last)) => (last.origin - first.origin).max(Micros::ZERO),
            _ => Micros::ZERO,
        }
    }
}

fn packet(queued: &Queued, index: u64, destination: u32) -> OutgoingData {
    let parity = queued.key.as_deref().map(StreamKey::parity);
    let header = data_header(
        Sequence::of_index(index),
        queued.message_number,
        queued.is_repeated,
        parity.map_or(0, Parity::flags),
        queued.timestamp,
        destination,
    );
    OutgoingData {
        header,
        payload: queued.payload.clone(),
        key: queued.key.clone(),
    }
}

fn drop_request(first: u64, last: u64) -> ControlMessage {
    let words = [
        Sequence::of_index(first).get(),
        Sequence::of_index(last).get(),
    ];
    ControlMessage {
        kind: ControlKind::DropRequest,
        info: 0,
        body: words.iter().flat_map(|value| value.to_be_bytes()).collect(),
    }
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
