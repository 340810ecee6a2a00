//! How much the engine's counters grew from one reading to the next.
//!
//! Invariant: a byte is counted once. A slot that nobody is connected to leaves the engine's list but keeps
//! its counters, so what was read of it is kept as long as the process runs (a few words per slot).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::kernel::ids::SlotId;
use crate::relay::engine::StreamStats;

/// Media bytes of one slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Carried {
    /// From its publisher.
    pub(super) received_bytes: u64,
    /// To its players.
    pub(super) sent_bytes: u64,
}

/// Packets, by direction and what became of them, in the order of [`PACKET_KINDS`].
pub(super) type Packets = [u64; PACKET_KINDS.len()];

/// Direction and kind of each number in [`Packets`].
pub(super) const PACKET_KINDS: [(&str, &str); 7] = [
    ("in", "received"),
    ("in", "retransmitted"),
    ("in", "lost"),
    ("in", "dropped"),
    ("out", "sent"),
    ("out", "retransmitted"),
    ("out", "dropped"),
];

/// A connection: of the publisher without an address, else of the player there.
type Connection = (SlotId, Option<SocketAddr>);

/// The newest reading: of every slot seen since the engine started, and of those who are connected.
#[derive(Debug, Default)]
pub(super) struct Readings {
    slots: HashMap<SlotId, Carried>,
    /// Uptime and packets; counters of a connection begin with it.
    connections: HashMap<Connection, (Duration, Packets)>,
}

impl Readings {
    /// Takes a reading and answers what came since the one before, or since the start of the engine.
    pub(super) fn grown(&mut self, stream: &StreamStats) -> Carried {
        let now = Carried {
            received_bytes: stream.bytes_in,
            sent_bytes: stream.bytes_out,
        };
        let before = self.slots.insert(stream.slot_id, now).unwrap_or_default();
        Carried {
            received_bytes: growth(before.received_bytes, now.received_bytes),
            sent_bytes: growth(before.sent_bytes, now.sent_bytes),
        }
    }

    /// Takes a reading of all connections and answers how many packets came since the one before.
    pub(super) fn grown_packets(&mut self, streams: &[StreamStats]) -> Packets {
        let now: HashMap<_, _> = streams.iter().flat_map(connections).collect();
        let mut total = Packets::default();
        for (connection, (uptime, packets)) in &now {
            let before = self.connections.get(connection);
            // Another one began in the same place when it is younger than the one before.
            let before = before.filter(|(was, _)| uptime >= was);
            let before = before.map_or(Packets::default(), |(_, packets)| *packets);
            for (sum, (before, now)) in total.iter_mut().zip(before.into_iter().zip(packets)) {
                *sum += growth(before, *now);
            }
        }
        self.connections = now;
        total
    }
}

fn connections(stream: &StreamStats) -> impl Iterator<Item = (Connection, (Duration, Packets))> {
    let publisher = stream.publisher.iter().map(|it| {
        let packets = [
            it.packets,
            it.retransmitted_packets,
            it.lost_packets,
            it.dropped_packets,
            0,
            0,
            0,
        ];
        ((stream.slot_id, None), (it.uptime, packets))
    });
    let players = stream.players.iter().map(|it| {
        let (sent, again) = (it.packets, it.retransmitted_packets);
        let packets = [0, 0, 0, 0, sent, again, it.dropped_packets];
        let connection = (stream.slot_id, Some(it.address));
        (connection, (it.uptime, packets))
    });
    publisher.chain(players)
}

/// A counter that fell began anew: the engine forgot the slot in between.
fn growth(before: u64, now: u64) -> u64 {
    now.checked_sub(before).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::engine::{PlayerStats, PublisherStats};

    #[test]
    fn packets_of_a_connection_are_counted_from_its_first_on() {
        let (mut readings, slot_id) = (Readings::default(), SlotId::generate());
        let mut reading = |uptime_s, packets, players: &[(u16, u64)]| {
            let uptime = Duration::from_secs(uptime_s);
            let player = |&(port, packets)| PlayerStats {
                address: ([203, 0, 113, 9], port).into(),
                uptime,
                rtt: Duration::ZERO,
                latency: Duration::ZERO,
                packets,
                bytes: 0,
                retransmitted_packets: 1,
                dropped_packets: 0,
                buffer: Duration::ZERO,
            };
            let stream = StreamStats {
                slot_id,
                publisher: Some(PublisherStats {
                    uptime,
                    packets,
                    lost_packets: 3,
                    ..PublisherStats::default()
                }),
                players: players.iter().map(player).collect(),
                bytes_in: 0,
                bytes_out: 0,
            };
            readings.grown_packets(&[stream])
        };
        assert_eq!(reading(1, 10, &[(1, 5)]), [10, 0, 3, 0, 5, 1, 0]);
        assert_eq!(reading(2, 15, &[(1, 7), (2, 4)]), [5, 0, 0, 0, 6, 1, 0]);
        // A player left, and another publisher took over.
        assert_eq!(reading(1, 20, &[]), [20, 0, 3, 0, 0, 0, 0]);
    }

    #[test]
    fn a_slot_is_counted_from_its_first_byte_on_and_anew_when_the_engine_forgot_it() {
        let (mut readings, slot_id) = (Readings::default(), SlotId::generate());
        let received: Vec<_> = [700, 700, 900, 0, 50]
            .map(|bytes_in| {
                let stream = StreamStats {
                    slot_id,
                    publisher: None,
                    players: Vec::new(),
                    bytes_in,
                    bytes_out: 2 * bytes_in,
                };
                let grown = readings.grown(&stream);
                assert_eq!(grown.sent_bytes, 2 * grown.received_bytes);
                grown.received_bytes
            })
            .into();
        assert_eq!(received, [700, 0, 200, 0, 50]);
    }
}
