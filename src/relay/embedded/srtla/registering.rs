//! How groups are opened and links join them.
//!
//! Invariant: what carries no proof of its address costs an answer and no memory.

use std::net::SocketAddr;

use super::group::Group;
use super::invitation::Invitation;
use super::packet::{HALF_ID_BYTES, ID_BYTES, joined, no_group, opened, refused};
use super::{GroupId, Srtla};
use crate::relay::embedded::limiter::origin_of;
use crate::relay::embedded::time::Micros;

/// A group may take so long to get its stream admitted before it makes room for others.
const ADMISSION_GRACE: Micros = Micros::from_secs(2);

/// Where a new group goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// There is a free place.
    Free,
    /// This group makes room.
    Of(GroupId),
    /// There is none.
    Nowhere,
}

impl Srtla {
    pub(super) fn on_open(&mut self, now: Micros, source: SocketAddr, half: &[u8; HALF_ID_BYTES]) {
        if !self.invitations.take(now, source.ip()) {
            self.counters.invitations_limited += 1;
            return;
        }
        // Also from a link: a sender that was begun anew has its old address, behind NAT too.
        let origin = origin_of(source.ip());
        if self.place(now, origin) == Place::Nowhere {
            self.counters.groups_refused += 1;
            self.refuse(source);
            return;
        }
        let id = self.inviter.invite(now, origin, half);
        self.outgoing.push((source, opened(&id)));
    }

    /// Where a new group of a network would go. A network with many groups makes room among its own.
    fn place(&self, now: Micros, origin: u64) -> Place {
        let of_origin = self.groups.values().filter(|group| group.origin == origin);
        let unadmitted = of_origin.filter(|group| !group.is_admitted).count();
        let oldest = if unadmitted >= self.limits.waiting_groups_max {
            self.oldest_idle(now, |group| group.origin == origin)
        } else if self.groups.len() >= self.limits.groups_max {
            self.oldest_idle(now, |_| true)
        } else {
            return Place::Free;
        };
        oldest.map_or(Place::Nowhere, Place::Of)
    }

    /// The group that makes room: the oldest that had its time and has no admitted stream.
    fn oldest_idle(&self, now: Micros, is_meant: impl Fn(&Group) -> bool) -> Option<GroupId> {
        self.groups
            .iter()
            .filter(|(_, group)| !group.is_admitted && now - group.opened > ADMISSION_GRACE)
            .filter(|(_, group)| is_meant(group))
            .min_by_key(|(_, group)| group.opened)
            .map(|(id, _)| *id)
    }

    pub(super) fn on_join(&mut self, now: Micros, source: SocketAddr, id: &[u8; ID_BYTES]) {
        let known = self.by_id.get(id).copied();
        if known.is_some() && self.by_address.get(&source).copied() == known {
            // Our answer was lost.
            self.outgoing.push((source, joined()));
            return;
        }
        let invited = match known {
            Some(_) => None,
            None => self.inviter.check(now, id),
        };
        if known.is_none() && invited.is_none() {
            self.counters.no_group += 1;
            self.outgoing.push((source, no_group()));
            return;
        }
        if !self.registrations.take(now, source.ip()) {
            self.counters.limited += 1;
            return;
        }
        if let Some(&former) = self.by_address.get(&source) {
            if !invited.is_some_and(|invited| self.may_leave(former, source, invited)) {
                self.counters.address_taken += 1;
                self.refuse(source);
                return;
            }
            self.remove(former);
        }
        let group_id =
            known.or_else(|| invited.and_then(|it| self.create(now, it.origin, source, id)));
        let Some(group_id) = group_id else {
            self.counters.groups_refused += 1;
            self.refuse(source);
            return;
        };
        self.let_in(now, group_id, source);
    }

    /// Whether a link that was invited to a new group may end its former one. Only an invitation that went to
    /// its address proves it, and only one made since then is no late repetition.
    fn may_leave(&self, former: GroupId, source: SocketAddr, invited: Invitation) -> bool {
        let opened = self.groups.get(&former).map(|group| group.opened);
        invited.origin == origin_of(source.ip())
            && opened.is_none_or(|opened| invited.made > opened)
    }

    fn let_in(&mut self, now: Micros, group_id: GroupId, source: SocketAddr) {
        let links_max = self.limits.links_max;
        let group = self.groups.get_mut(&group_id);
        let Some(group) = group.filter(|group| group.links.len() < links_max) else {
            self.counters.links_refused += 1;
            self.refuse(source);
            return;
        };
        group.join(now, source);
        group.last_address = source;
        self.by_address.insert(source, group_id);
        self.outgoing.push((source, joined()));
    }

    fn create(
        &mut self,
        now: Micros,
        origin: u64,
        source: SocketAddr,
        id: &[u8; ID_BYTES],
    ) -> Option<GroupId> {
        match self.place(now, origin) {
            Place::Free => {}
            Place::Of(idle) => self.remove(idle),
            Place::Nowhere => return None,
        }
        self.last_group = self.last_group.wrapping_add(1);
        let group_id = GroupId(self.last_group);
        let id = Box::new(*id);
        self.by_id.insert(id.clone(), group_id);
        self.groups
            .insert(group_id, Group::new(now, origin, id, source));
        self.counters.opened += 1;
        Some(group_id)
    }

    fn refuse(&mut self, source: SocketAddr) {
        self.outgoing.push((source, refused()));
    }
}
