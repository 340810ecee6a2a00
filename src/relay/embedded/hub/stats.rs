//! Figures of the whole relay, gathered when someone asks.
//!
//! Invariant: reading figures changes nothing.

use super::{Hub, Slot};
use crate::kernel::ids::SlotId;
use crate::relay::embedded::Peer;
use crate::relay::embedded::listener::{Connection, Flow, Listener};
use crate::relay::embedded::receive::Receiver;
use crate::relay::embedded::srtla::SrtlaCounters;
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
            key_bits: receiver.key_bits(),
            key_renewals: receiver.key_renewals(),
            undecryptable_packets: counters.undecryptable,
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

    /// Counters of the ports, `publish_` with bonded publishers; and what is held now.
    pub(crate) fn counters(&self) -> EngineCounters {
        let mut counters = srtla_counters(self.srtla.counters);
        counters.extend(publish_counters(&self.publish));
        counters.extend(play_counters(&self.play));
        counters.extend(self.held());
        counters
    }

    fn held(&self) -> [(&'static str, u64); 7] {
        let (publish, play) = (self.publish.holds(), self.play.holds());
        let (groups, links) = self.srtla.holds();
        let tails: usize = self.slots.values().map(Slot::tail_bytes).sum();
        [
            ("publishers_open", as_u64(publish.connections)),
            ("players_open", as_u64(play.connections)),
            ("srtla_groups_open", as_u64(groups)),
            ("srtla_links_open", as_u64(links)),
            ("publisher_bytes_held", as_u64(publish.bytes + tails)),
            ("player_bytes_queued", as_u64(play.bytes)),
            ("ended_publisher_overflow", self.tails_overflowed),
        ]
    }
}

fn as_u64(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
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
        key_bits: sender.key_bits(),
        key_renewals: sender.key_renewals(),
    })
}

fn srtla_counters(counters: SrtlaCounters) -> EngineCounters {
    vec![
        ("srtla_malformed", counters.malformed),
        ("srtla_stray", counters.stray),
        ("srtla_invitations_limited", counters.invitations_limited),
        ("srtla_limited", counters.limited),
        ("srtla_groups_refused", counters.groups_refused),
        ("srtla_links_refused", counters.links_refused),
        ("srtla_address_taken", counters.address_taken),
        ("srtla_no_group", counters.no_group),
        ("srtla_opened", counters.opened),
    ]
}

fn publish_counters(port: &Listener) -> [(&'static str, u64); 10] {
    let counters = port.counters;
    [
        ("publish_undecryptable", counters.undecryptable),
        ("publish_malformed", counters.malformed),
        ("publish_stray", counters.stray),
        ("publish_bad_cookie", counters.bad_cookie),
        ("publish_first_limited", counters.first_limited),
        ("publish_limited", counters.limited),
        ("publish_rejected", counters.rejected),
        ("publish_accepted", counters.accepted),
        ("publishers_refused", counters.no_place),
        ("publisher_buffer_full", port.overflowed()),
    ]
}

fn play_counters(port: &Listener) -> [(&'static str, u64); 10] {
    let counters = port.counters;
    [
        ("play_malformed", counters.malformed),
        ("play_stray", counters.stray),
        ("play_bad_cookie", counters.bad_cookie),
        ("play_first_limited", counters.first_limited),
        ("play_limited", counters.limited),
        ("play_rejected", counters.rejected),
        ("play_accepted", counters.accepted),
        ("players_refused", counters.no_place),
        ("slot_players_refused", counters.no_place_in_slot),
        ("player_queue_full", port.overflowed()),
    ]
}
