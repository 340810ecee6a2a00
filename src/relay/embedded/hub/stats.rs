//! Figures of the whole relay, gathered when someone asks.
//!
//! Invariant: reading figures changes nothing.

use super::{Hub, Slot};
use crate::kernel::ids::SlotId;
use crate::relay::embedded::Peer;
use crate::relay::embedded::listener::{Connection, Flow, ListenerCounters};
use crate::relay::embedded::receive::Receiver;
use crate::relay::embedded::time::Micros;
use crate::relay::engine::{
    EngineCounters, LinkStats, PlayerStats, PublisherStats, StreamStats, Traffic,
};

const SECOND: Micros = Micros::from_secs(1);

impl Hub {
    /// Figures of every slot that has a publisher or a player.
    pub(crate) fn stats(&self, now: Micros) -> Vec<StreamStats> {
        self.slots
            .iter()
            .filter(|(_, slot)| slot.publisher.is_some() || !slot.players.is_empty())
            .map(|(slot_id, slot)| self.stream_stats(now, *slot_id, slot))
            .collect()
    }

    fn stream_stats(&self, now: Micros, slot_id: SlotId, slot: &Slot) -> StreamStats {
        let publisher = slot
            .publisher
            .and_then(|id| self.publish.connection(id))
            .and_then(|connection| self.publisher_stats(now, connection));
        let players: Vec<PlayerStats> = slot
            .players
            .iter()
            .filter_map(|id| self.play.connection(*id))
            .filter_map(|connection| player_stats(now, connection))
            .collect();
        let received = publisher
            .as_ref()
            .map_or_else(Traffic::default, |open| Traffic {
                packets: open.packets,
                bytes: open.bytes,
            });
        let sent = players.iter().map(|open| Traffic {
            packets: open.packets,
            bytes: open.bytes,
        });
        let sent = sent.fold(slot.finished_sent, |total, player| total + player);
        StreamStats {
            slot_id,
            publisher,
            players,
            received: slot.finished_received + received,
            sent,
        }
    }

    fn publisher_stats(&self, now: Micros, connection: &Connection) -> Option<PublisherStats> {
        let Flow::In(receiver) = &connection.flow else {
            return None;
        };
        let counters = receiver.counters;
        Some(PublisherStats {
            links: self.links(now, connection, receiver),
            is_bonded: matches!(connection.peer, Peer::Srtla(_)),
            uptime: (now - connection.opened).duration(),
            since_last_media: receiver.last_media().map(|time| (now - time).duration()),
            bitrate_1s_kbps: receiver.meter.kbps(now, SECOND),
            bitrate_5s_kbps: receiver.meter.kbps(now, SECOND * 5),
            rtt: receiver.rtt().duration(),
            latency: connection.latency.duration(),
            buffer: receiver.held_span().duration(),
            buffer_packets: u32::try_from(receiver.held_packets()).unwrap_or(u32::MAX),
            packets: counters.packets,
            bytes: counters.bytes,
            lost_packets: counters.lost,
            reordered_packets: counters.reordered,
            retransmitted_packets: counters.retransmitted,
            dropped_packets: counters.dropped,
            dropped_bytes: receiver.dropped_bytes(),
            // Packets are read in bursts, so their spacing says nothing about the path.
            bandwidth_kbps: 0,
            last_drop: receiver.last_drop().to_owned(),
        })
    }

    fn links(&self, now: Micros, connection: &Connection, receiver: &Receiver) -> Vec<LinkStats> {
        match connection.peer {
            Peer::Srtla(group) => self.srtla.links(now, group),
            Peer::Udp(address) => vec![LinkStats {
                address,
                bytes: receiver.counters.bytes,
                packets: receiver.counters.packets,
                share_percent: 100.0,
                bitrate_kbps: receiver.meter.kbps(now, SECOND),
                since_last_packet: (now - connection.last_heard).duration(),
                uptime: (now - connection.opened).duration(),
                sender: None,
                carrier: None,
            }],
        }
    }

    /// Counters of the ports; `publish_` counts bonded publishers too.
    pub(crate) fn counters(&self) -> EngineCounters {
        let srtla = self.srtla.counters;
        let mut counters = vec![
            ("srtla_malformed", srtla.malformed),
            ("srtla_stray", srtla.stray),
            ("srtla_limited", srtla.limited),
            ("srtla_refused", srtla.refused),
            ("srtla_no_group", srtla.no_group),
            ("srtla_opened", srtla.opened),
        ];
        counters.extend(publish_counters(self.publish.counters));
        counters.extend(play_counters(self.play.counters));
        counters
    }
}

fn player_stats(now: Micros, connection: &Connection) -> Option<PlayerStats> {
    let (Flow::Out(sender), Peer::Udp(address)) = (&connection.flow, connection.peer) else {
        return None;
    };
    Some(PlayerStats {
        address,
        uptime: (now - connection.opened).duration(),
        rtt: sender.rtt.mean().duration(),
        latency: connection.latency.duration(),
        packets: sender.counters.packets,
        bytes: sender.counters.bytes,
        retransmitted_packets: sender.counters.retransmitted,
        dropped_packets: sender.counters.dropped,
        buffer: sender.queued_span().duration(),
    })
}

fn publish_counters(counters: ListenerCounters) -> [(&'static str, u64); 6] {
    [
        ("publish_malformed", counters.malformed),
        ("publish_stray", counters.stray),
        ("publish_bad_cookie", counters.bad_cookie),
        ("publish_limited", counters.limited),
        ("publish_rejected", counters.rejected),
        ("publish_accepted", counters.accepted),
    ]
}

fn play_counters(counters: ListenerCounters) -> [(&'static str, u64); 6] {
    [
        ("play_malformed", counters.malformed),
        ("play_stray", counters.stray),
        ("play_bad_cookie", counters.bad_cookie),
        ("play_limited", counters.limited),
        ("play_rejected", counters.rejected),
        ("play_accepted", counters.accepted),
    ]
}
