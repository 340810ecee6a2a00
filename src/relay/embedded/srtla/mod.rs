//! The SRTLA receiver: groups of links in front of the publish port, without sockets.
//!
//! SRT packets are handed on in process under their group's name, so the publish port knows that they are
//! bonded. What SRT answers comes back through [`Srtla::route`].
//!
//! Invariant: groups, links and registrations are bounded by [`SrtlaLimits`]; a stranger's packet costs a
//! counter.

mod group;
mod invitation;
mod packet;
mod registering;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::SocketAddr;

use bytes::Bytes;

use self::group::{Group, Link};
use self::invitation::Inviter;
use self::packet::{ID_BYTES, Packet, SenderReport, parse};
use super::GroupId;
use super::limiter::AddressLimiter;
use super::time::Micros;
use crate::relay::engine::LinkStats;

/// A link that was silent for so long is gone; so is a group without links.
const LINK_TIMEOUT: Micros = Micros::from_secs(10);
const SWEEP_INTERVAL: Micros = Micros::from_secs(1);
/// First two bytes of an SRT ACK.
const SRT_ACK: [u8; 2] = [0x80, 0x02];

/// Bounds of the SRTLA port.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SrtlaLimits {
    /// Groups at a time.
    pub(crate) groups_max: usize,
    /// Links of one group.
    pub(crate) links_max: usize,
    /// Groups of one network that have no admitted stream yet; so a few addresses cannot take every place.
    pub(crate) waiting_groups_max: usize,
    /// Invitations per second and source address. What asks for one carries no proof of the address, so
    /// this also bounds what a forger can make us send to one.
    pub(crate) invitations_per_second: u32,
    /// Registrations per second and source address.
    pub(crate) registrations_per_second: u32,
}

/// What has happened on the SRTLA port.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SrtlaCounters {
    /// Datagrams that are nothing a sender sends.
    pub(crate) malformed: u64,
    /// Packets from addresses that are no link.
    pub(crate) stray: u64,
    /// Wishes for a group beyond the rate of their address.
    pub(crate) invitations_limited: u64,
    /// Registrations beyond the rate of their address.
    pub(crate) limited: u64,
    /// Groups refused because there are so many.
    pub(crate) groups_refused: u64,
    /// Links refused because their group has so many.
    pub(crate) links_refused: u64,
    /// Joins refused because the address is a link of another group.
    pub(crate) address_taken: u64,
    /// Joins of groups that are not there.
    pub(crate) no_group: u64,
    /// Groups opened.
    pub(crate) opened: u64,
}

/// The SRTLA receiver.
#[derive(Debug)]
pub(crate) struct Srtla {
    /// Figures.
    pub(crate) counters: SrtlaCounters,
    /// Datagrams to send, in order.
    pub(crate) outgoing: Vec<(SocketAddr, Bytes)>,
    /// Groups that are gone since this was read last.
    pub(crate) gone: Vec<GroupId>,
    limits: SrtlaLimits,
    groups: HashMap<GroupId, Group>,
    by_id: HashMap<Box<[u8; ID_BYTES]>, GroupId>,
    by_address: HashMap<SocketAddr, GroupId>,
    inviter: Inviter,
    invitations: AddressLimiter,
    registrations: AddressLimiter,
    last_group: u32,
    next_sweep: Micros,
}

impl Srtla {
    /// A receiver without groups. `secret` is random and of this process only.
    pub(crate) fn new(now: Micros, limits: SrtlaLimits, secret: [u8; 32]) -> Self {
        Self {
            counters: SrtlaCounters::default(),
            outgoing: Vec::new(),
            gone: Vec::new(),
            limits,
            groups: HashMap::new(),
            by_id: HashMap::new(),
            by_address: HashMap::new(),
            inviter: Inviter::new(secret),
            invitations: AddressLimiter::new(now, limits.invitations_per_second, secret),
            registrations: AddressLimiter::new(now, limits.registrations_per_second, secret),
            last_group: 0,
            next_sweep: now + SWEEP_INTERVAL,
        }
    }

    /// A datagram came. Answers with the group when it is an SRT packet to be handed on.
    pub(crate) fn on_datagram(
        &mut self,
        now: Micros,
        source: SocketAddr,
        datagram: &[u8],
    ) -> Option<GroupId> {
        let Some(packet) = parse(datagram) else {
            self.counters.malformed += 1;
            return None;
        };
        match packet {
            Packet::Open(half) => self.on_open(now, source, half),
            Packet::Join(id) => self.on_join(now, source, id),
            Packet::Keepalive(report) => self.on_keepalive(now, source, datagram, report),
            Packet::SrtControl => return self.on_link_packet(now, source, datagram, None),
            Packet::SrtData(sequence) => {
                return self.on_link_packet(now, source, datagram, Some(sequence));
            }
        }
        None
    }

    /// The link that an address is; counts a stray packet when it is none.
    fn heard(&mut self, now: Micros, source: SocketAddr) -> Option<(GroupId, &mut Link)> {
        let known = self.by_address.get(&source).copied();
        let link = known
            .and_then(|id| self.groups.get_mut(&id).map(|group| (id, group)))
            .and_then(|(id, group)| {
                group.last_address = source;
                group.link(source).map(|link| (id, link))
            });
        let Some((group_id, link)) = link else {
            self.counters.stray += 1;
            return None;
        };
        link.last_heard = now;
        Some((group_id, link))
    }

    fn on_keepalive(
        &mut self,
        now: Micros,
        source: SocketAddr,
        datagram: &[u8],
        report: Option<SenderReport>,
    ) {
        let Some((_, link)) = self.heard(now, source) else {
            return;
        };
        if let Some(report) = report {
            link.take_report(now, report);
        }
        let echo = Bytes::copy_from_slice(datagram);
        self.outgoing.push((source, echo));
    }

    fn on_link_packet(
        &mut self,
        now: Micros,
        source: SocketAddr,
        datagram: &[u8],
        sequence: Option<u32>,
    ) -> Option<GroupId> {
        let (group_id, link) = self.heard(now, source)?;
        link.count(now, datagram.len());
        let full_batch = sequence.and_then(|sequence| link.note(now, sequence));
        self.outgoing
            .extend(full_batch.map(|packet| (source, packet)));
        Some(group_id)
    }

    /// Sends an SRT packet to a group. ACKs go to every link, because each judges itself by them; the
    /// rest goes to the link heard last, which is the likeliest to work.
    pub(crate) fn route(&mut self, group_id: GroupId, packet: Bytes) {
        let Some(group) = self.groups.get(&group_id) else {
            return;
        };
        if packet.starts_with(&SRT_ACK) {
            let addresses = group.links.iter().map(|link| link.address);
            self.outgoing
                .extend(addresses.map(|address| (address, packet.clone())));
        } else {
            self.outgoing.push((group.last_address, packet));
        }
    }

    /// The stream of a group was admitted.
    pub(crate) fn admit(&mut self, group_id: GroupId) {
        if let Some(group) = self.groups.get_mut(&group_id) {
            group.is_admitted = true;
        }
    }

    /// The stream of a group has ended.
    pub(crate) fn dismiss(&mut self, group_id: GroupId) {
        if let Some(group) = self.groups.get_mut(&group_id) {
            group.is_admitted = false;
        }
    }

    /// How many groups and links there are.
    pub(crate) fn holds(&self) -> (usize, usize) {
        (self.groups.len(), self.by_address.len())
    }

    /// Figures of a group's links.
    pub(crate) fn links(&self, now: Micros, group_id: GroupId) -> Vec<LinkStats> {
        self.groups
            .get(&group_id)
            .map_or_else(Vec::new, |group| group.stats(now))
    }

    /// Does what is due now.
    pub(crate) fn advance(&mut self, now: Micros) {
        for link in self.groups.values_mut().flat_map(|group| &mut group.links) {
            let address = link.address;
            self.outgoing
                .extend(link.flush(now).map(|packet| (address, packet)));
        }
        if self.next_sweep <= now {
            self.next_sweep = now + SWEEP_INTERVAL;
            self.sweep(now);
        }
    }

    fn sweep(&mut self, now: Micros) {
        let mut dead = Vec::new();
        for (group_id, group) in &mut self.groups {
            let by_address = &mut self.by_address;
            group.links.retain(|link| {
                let is_alive = now - link.last_heard <= LINK_TIMEOUT;
                if !is_alive {
                    by_address.remove(&link.address);
                }
                is_alive
            });
            if group.links.is_empty() && now - group.opened > LINK_TIMEOUT {
                dead.push(*group_id);
            }
        }
        for group_id in dead {
            self.remove(group_id);
        }
    }

    fn remove(&mut self, group_id: GroupId) {
        let Some(group) = self.groups.remove(&group_id) else {
            return;
        };
        self.by_id.remove(&group.id);
        for link in &group.links {
            self.by_address.remove(&link.address);
        }
        self.gone.push(group_id);
    }

    /// When [`Srtla::advance`] has something to do.
    pub(crate) fn next_deadline(&self) -> Micros {
        if self.groups.is_empty() {
            return Micros::MAX;
        }
        let links = self.groups.values().flat_map(|group| &group.links);
        let flushes = links.map(Link::flush_deadline);
        flushes.min().unwrap_or(Micros::MAX).min(self.next_sweep)
    }
}
