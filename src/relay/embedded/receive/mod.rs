//! The receiving side of one connection: reorder buffer, timed delivery, too-late drop, ACK and NAK.
//!
//! Invariant: every packet of the stream is handed on in order at most once, or counted as dropped; the
//! buffer never holds more than [`ReceiveLimits`] says.

mod acknowledge;
mod arena;
mod encrypted;
mod losses;
mod playout;
mod reorder;
#[cfg(test)]
mod tests;
mod types;

use bytes::Bytes;

use self::acknowledge::{Acknowledger, Due};
use self::arena::{Arena, BLOCK_BYTES};
use self::losses::{LossList, ReportPacing};
use self::playout::PlayoutClock;
use self::reorder::{Held, ReorderBuffer};
pub(crate) use self::types::{ControlMessage, ReceiveCounters, ReceiveLimits, ReceiverSetup};
use super::crypto::ReceivingKeys;
use super::meter::Meter;
use super::sequence::Sequence;
use super::time::Micros;
use super::wire::{ControlKind, DataPacket, loss_report};

/// Bonded links differ in delay by tens of milliseconds; younger gaps are mostly reordering.
const BONDED_HOLD: Micros = Micros::from_millis(100);
/// A sender that leaves our window this many packets long has lost track of us, or is hostile.
const FAR_AHEAD_MAX: u32 = 2000;
const SPREAD_DECAY_INTERVAL: Micros = Micros::from_secs(1);

/// The receiving side of one connection.
#[derive(Debug)]
pub(crate) struct Receiver {
    /// Figures.
    pub(crate) counters: ReceiveCounters,
    /// Unique media by arrival.
    pub(crate) meter: Meter,
    latency: Micros,
    limits: ReceiveLimits,
    is_bonded: bool,
    ignores_early_repeats: bool,
    clock: PlayoutClock,
    /// The index of the next packet to hand on.
    head: u64,
    /// One past the newest index seen.
    frontier: u64,
    held: ReorderBuffer,
    arena: Arena,
    losses: LossList,
    acks: Acknowledger,
    /// How long reordered packets were missing, at most, lately.
    spread: Micros,
    spread_decayed: Micros,
    far_ahead: u32,
    last_media: Option<Micros>,
    last_drop: String,
    keys: Option<Box<ReceivingKeys>>,
}

impl Receiver {
    /// A receiver that waits for the first packet.
    pub(crate) fn new(setup: ReceiverSetup) -> Self {
        let head = setup.initial.first_index();
        Self {
            counters: ReceiveCounters::default(),
            meter: Meter::default(),
            latency: setup.latency,
            limits: setup.limits,
            is_bonded: setup.is_bonded,
            ignores_early_repeats: setup.ignores_early_repeats,
            clock: PlayoutClock::new(setup.now, setup.timestamp, setup.latency),
            head,
            frontier: head,
            held: ReorderBuffer::default(),
            arena: Arena::default(),
            losses: LossList::default(),
            acks: Acknowledger::new(setup.now, head),
            spread: Micros::ZERO,
            spread_decayed: setup.now,
            far_ahead: 0,
            last_media: None,
            last_drop: String::new(),
            keys: None,
        }
    }

    /// A data packet came.
    pub(crate) fn on_data(&mut self, now: Micros, packet: &DataPacket<'_>) {
        if !self.can_decrypt(packet) {
            // As if it had never come: it is asked for again, and its key may be known by then.
            self.counters.undecryptable += 1;
            return;
        }
        self.counters.packets += 1;
        self.counters.bytes += u64::try_from(packet.payload.len()).unwrap_or(0);
        self.counters.retransmitted += u64::from(packet.is_retransmitted);
        self.last_media = Some(now);
        self.acks.count_packet();
        let index = packet.sequence.index_near(self.head);
        if index < self.head || self.held.contains(index) {
            return;
        }
        if !self.has_room(index, packet.payload.len()) {
            return;
        }
        if index < self.frontier {
            self.fill_gap(now, index, packet.is_retransmitted);
        } else {
            self.extend(now, index);
        }
        self.hold(now, index, packet);
    }

    fn has_room(&mut self, index: u64, bytes: usize) -> bool {
        if index - self.head >= u64::from(self.limits.window_packets) {
            self.far_ahead += 1;
            self.counters.overflowed += 1;
            return false;
        }
        self.far_ahead = 0;
        // The next packet is always let in: it is the one that makes room.
        let is_full = self.held.bytes() + bytes > self.limits.bytes
            || self.arena.bytes() > self.limits.bytes + 2 * BLOCK_BYTES;
        if index != self.head && is_full {
            self.counters.overflowed += 1;
            "the receive buffer is full".clone_into(&mut self.last_drop);
            return false;
        }
        true
    }

    fn fill_gap(&mut self, now: Micros, index: u64, is_retransmitted: bool) {
        let found = self.losses.remove(index);
        if is_retransmitted {
            self.counters.lost += 1;
            return;
        }
        self.counters.reordered += 1;
        if let Some(found) = found {
            self.spread = self.spread.max(now - found);
        }
    }

    fn extend(&mut self, now: Micros, index: u64) {
        if index > self.frontier {
            let hold = self.report_hold();
            self.losses.add(self.frontier, index - 1, now, hold);
        }
        self.frontier = index + 1;
    }

    /// How long a gap is let be before it is reported.
    fn report_hold(&self) -> Micros {
        if !self.is_bonded {
            return Micros::ZERO;
        }
        let measured = self.spread + self.spread / 4;
        BONDED_HOLD.max(measured).min(self.latency / 3)
    }

    fn hold(&mut self, now: Micros, index: u64, packet: &DataPacket<'_>) {
        let due = self
            .clock
            .playout_time(now, packet.timestamp, packet.is_retransmitted);
        // The one copy of the media: players share it.
        let (payload, block) = self.store_plain(packet);
        self.meter.add(now, payload.len());
        self.held.insert(
            index,
            Held {
                due,
                payload,
                block,
            },
        );
    }

    /// The peer answered a full ACK.
    pub(crate) fn on_ackack(&mut self, now: Micros, number: u32) {
        self.acks.answered(now, number);
    }

    /// The sender has given up these: they are not asked for again, and skipped when their time comes.
    pub(crate) fn on_drop_request(&mut self, first: Sequence, last: Sequence) {
        let (first, last) = (first.index_near(self.head), last.index_near(self.head));
        if first <= last {
            self.losses.remove_range(first, last);
        }
    }

    /// Adds the control packets that are due.
    pub(crate) fn poll(&mut self, now: Micros, out: &mut Vec<ControlMessage>) {
        if now - self.spread_decayed >= SPREAD_DECAY_INTERVAL {
            self.spread_decayed = now;
            self.spread -= self.spread / 16;
        }
        let position = self.position();
        if let Some(due) = self.acks.due(now, position) {
            out.push(self.ack(now, due));
        }
        let pacing = self.report_pacing();
        let ranges: Vec<_> = self
            .losses
            .due(now, pacing)
            .into_iter()
            .map(|(first, last)| (Sequence::of_index(first), Sequence::of_index(last)))
            .collect();
        if !ranges.is_empty() {
            out.push(ControlMessage {
                kind: ControlKind::Nak,
                info: 0,
                body: loss_report(&ranges),
            });
        }
    }

    /// Everything before this has come or was given up.
    fn position(&self) -> u64 {
        self.losses.first().unwrap_or(self.frontier)
    }

    fn report_pacing(&self) -> ReportPacing {
        let rtt = &self.acks.rtt;
        let patience = if self.ignores_early_repeats {
            rtt.patience() / 2
        } else {
            rtt.patience()
        };
        let shortest = Micros::from_millis(20);
        // A spike of the round-trip time must not starve recovery: at least six tries in the latency.
        let interval =
            (patience.max(shortest) + Micros::from_millis(5)).min((self.latency / 6).max(shortest));
        ReportPacing {
            interval,
            final_interval: (interval / 2).max(Micros::from_millis(10)),
            final_span: rtt.mean() * 3,
            latency: self.latency,
        }
    }

    fn ack(&self, now: Micros, due: Due) -> ControlMessage {
        let position = Sequence::of_index(self.position()).get();
        let Due::Full(number) = due else {
            return ControlMessage {
                kind: ControlKind::Ack,
                info: 0,
                body: position.to_be_bytes().to_vec(),
            };
        };
        let bytes_per_second =
            u32::try_from(self.meter.bytes_within(now, Micros::from_secs(1))).unwrap_or(u32::MAX);
        let packets_per_second = (bytes_per_second / 1316).max(1);
        let span = u32::try_from(self.frontier - self.head).unwrap_or(u32::MAX);
        let words = [
            position,
            self.acks.rtt.mean().saturating_u32(),
            self.acks.rtt.variation().saturating_u32(),
            self.limits.window_packets.saturating_sub(span).max(2),
            packets_per_second,
            // Capacity is not measured: packets are read in bursts. A live sender does not use it.
            packets_per_second.max(1000).saturating_mul(4),
            bytes_per_second,
        ];
        ControlMessage {
            kind: ControlKind::Ack,
            info: number,
            body: words.iter().flat_map(|value| value.to_be_bytes()).collect(),
        }
    }

    /// The next payload whose time has come, with that time. A gap before it is given up.
    pub(crate) fn pop(&mut self, now: Micros) -> Option<(Micros, Bytes)> {
        if self.held.first()?.1.due > now {
            return None;
        }
        let (index, held) = self.held.pop_first()?;
        self.arena.release(held.block);
        if index > self.head {
            self.give_up_before(now, index);
        }
        self.head = index + 1;
        self.counters.delivered += 1;
        Some((held.due, held.payload))
    }

    fn give_up_before(&mut self, now: Micros, index: u64) {
        let missing = index - self.head;
        self.counters.dropped += missing;
        self.counters.lost += missing;
        let age = self
            .losses
            .first_found()
            .map(|found| (now - found).get() / 1000);
        let rtt_ms = self.acks.rtt.mean().get() / 1000;
        self.last_drop = match age {
            Some(age_ms) => {
                format!(
                    "{missing} packets too late: missing for {age_ms} ms, round trip {rtt_ms} ms"
                )
            }
            None => format!("{missing} packets given up by the sender"),
        };
        self.losses.remove_range(self.head, index - 1);
    }

    /// When [`Receiver::poll`] or [`Receiver::pop`] has something to do.
    pub(crate) fn next_deadline(&self) -> Micros {
        let delivery = self.held.first().map_or(Micros::MAX, |(_, held)| held.due);
        let ack = self.acks.next_deadline(self.position());
        delivery.min(ack).min(self.losses.next_deadline())
    }

    /// Whether the sender is so far off that the connection is of no use.
    pub(crate) fn has_lost_track(&self) -> bool {
        self.far_ahead > FAR_AHEAD_MAX
    }

    /// When the last data packet came.
    pub(crate) fn last_media(&self) -> Option<Micros> {
        self.last_media
    }

    /// The smoothed round-trip time.
    pub(crate) fn rtt(&self) -> Micros {
        self.acks.rtt.mean()
    }

    /// Packets held.
    pub(crate) fn held_packets(&self) -> usize {
        self.held.packets()
    }

    /// Media bytes held.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held.bytes()
    }

    /// From the playout time of the next packet to that of the newest one.
    pub(crate) fn held_span(&self) -> Micros {
        match (self.held.first(), self.held.last()) {
            (Some((_, first)), Some(last)) => (last.due - first.due).max(Micros::ZERO),
            _ => Micros::ZERO,
        }
    }

    /// Why something was dropped last; empty when nothing was.
    pub(crate) fn last_drop(&self) -> &str {
        &self.last_drop
    }

    /// The media bytes that were dropped, by the mean packet size.
    pub(crate) fn dropped_bytes(&self) -> u64 {
        let counters = &self.counters;
        counters
            .bytes
            .checked_div(counters.packets)
            .unwrap_or(0)
            .saturating_mul(counters.dropped)
    }
}
