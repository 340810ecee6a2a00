//! One SRT port: handshakes, connections and their timers, without sockets.
//!
//! A datagram goes in; datagrams, events and the next deadline come out. Who may connect is not decided
//! here: a conclusion that could be served comes out as a [`ConnectRequest`], and the caller answers with
//! [`Listener::accept`] or [`Listener::refuse`] before the next datagram goes in.
//!
//! Invariant: nothing is stored for a caller that was not accepted, but its share of the address limit.

mod admission;
mod connection;
mod cookie;
#[cfg(test)]
mod field_tests;
mod latency;
#[cfg(test)]
mod tests;
mod types;

use std::collections::HashMap;
use std::net::IpAddr;

use bytes::Bytes;

use self::connection::Scratch;
pub(crate) use self::connection::{Connection, Flow};
use self::cookie::CookieJar;
pub(crate) use self::types::{
    CloseCause, Closed, ConnectRequest, ConnectionEvent, ConnectionId, Holdings, ListenerCounters,
    ListenerLimits, Outgoing,
};
use super::limiter::AddressLimiter;
use super::time::Micros;
use super::wire::{ControlKind, ControlPacket, DataPacket, Packet, parse};
use super::{Direction, Peer};

/// One SRT port.
#[derive(Debug)]
pub(crate) struct Listener {
    /// Figures.
    pub(crate) counters: ListenerCounters,
    /// Datagrams to send, in order.
    pub(crate) outgoing: Vec<Outgoing>,
    /// What happened, in order.
    pub(crate) events: Vec<ConnectionEvent>,
    direction: Direction,
    limits: ListenerLimits,
    cookies: CookieJar,
    inductions: AddressLimiter,
    callers: AddressLimiter,
    connections: HashMap<ConnectionId, Connection>,
    /// By caller and its socket id, to know a repeated conclusion.
    by_caller: HashMap<(Peer, u32), ConnectionId>,
    dirty: Vec<ConnectionId>,
    scratch: Scratch,
    /// The least latency of all connections.
    least_latency: Micros,
    waited: Micros,
}

impl Listener {
    /// A port without connections. `secret` is random and of this process only.
    pub(crate) fn new(
        now: Micros,
        direction: Direction,
        limits: ListenerLimits,
        secret: [u8; 32],
    ) -> Self {
        Self {
            counters: ListenerCounters::default(),
            outgoing: Vec::new(),
            events: Vec::new(),
            direction,
            limits,
            cookies: CookieJar::new(),
            inductions: AddressLimiter::new(now, limits.first_handshakes_per_second, secret),
            callers: AddressLimiter::new(now, limits.handshakes_per_second, secret),
            connections: HashMap::new(),
            by_caller: HashMap::new(),
            dirty: Vec::new(),
            scratch: Scratch::default(),
            least_latency: Micros::MAX,
            waited: Micros::ZERO,
        }
    }

    /// Datagrams that follow may have waited to be read for so long.
    pub(crate) fn set_waited(&mut self, waited: Micros) {
        self.waited = waited;
    }

    /// The least latency of all connections; [`Micros::MAX`] without any.
    pub(crate) fn least_latency(&self) -> Micros {
        self.least_latency
    }

    /// A datagram came. `source` is the address it came from, also when the peer is a bonded group.
    pub(crate) fn on_datagram(
        &mut self,
        now: Micros,
        peer: Peer,
        source: IpAddr,
        datagram: &[u8],
    ) -> Option<ConnectRequest> {
        match parse(datagram) {
            None => self.counters.malformed += 1,
            Some(Packet::Data(packet)) => self.on_data(now, peer, &packet),
            Some(Packet::Control(packet)) if packet.kind == ControlKind::Handshake => {
                return self.on_handshake(now, peer, source, &packet);
            }
            Some(Packet::Control(packet)) => self.on_control(now, peer, &packet),
        }
        None
    }

    fn on_data(&mut self, now: Micros, peer: Peer, packet: &DataPacket<'_>) {
        let Some(connection) = own_connection(&mut self.connections, peer, packet.destination)
        else {
            self.counters.stray += 1;
            return;
        };
        if !connection.can_decrypt(packet) {
            self.counters.undecryptable += 1;
        }
        self.events.extend(connection.on_data(now, packet));
        mark_dirty(connection, &mut self.dirty);
    }

    fn on_control(&mut self, now: Micros, peer: Peer, packet: &ControlPacket<'_>) {
        let Some(connection) = own_connection(&mut self.connections, peer, packet.destination)
        else {
            self.counters.stray += 1;
            return;
        };
        if packet.kind == ControlKind::Shutdown {
            self.remove(packet.destination, CloseCause::Shutdown);
            return;
        }
        // On average it came in the middle of the time in which nobody looked.
        let arrived = now - self.waited / 2;
        connection.on_control(
            (now, arrived),
            packet,
            &mut self.scratch,
            &mut self.outgoing,
        );
        mark_dirty(connection, &mut self.dirty);
    }

    /// Hands media, each with the moment it belongs to, to a player.
    pub(crate) fn push(&mut self, now: Micros, id: ConnectionId, media: &[(Micros, Bytes)]) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.push(now, media, &mut self.scratch, &mut self.outgoing);
        }
    }

    /// Does what is due now: after a batch of datagrams, and when [`Listener::next_deadline`] has come.
    pub(crate) fn advance(&mut self, now: Micros) {
        let mut due = std::mem::take(&mut self.dirty);
        for connection in self.connections.values_mut() {
            let ends = connection.last_heard + self.limits.idle;
            if !connection.is_dirty && connection.deadline.min(ends) <= now {
                mark_dirty(connection, &mut due);
            }
        }
        for id in due.drain(..) {
            self.advance_one(now, id);
        }
        self.dirty = due;
    }

    fn advance_one(&mut self, now: Micros, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.is_dirty = false;
        if let Some(cause) = end_of(connection, now, self.limits) {
            self.close(now, id, cause);
            return;
        }
        connection.advance(now, &mut self.scratch, &mut self.outgoing, &mut self.events);
    }

    /// When [`Listener::advance`] has something to do.
    pub(crate) fn next_deadline(&self) -> Micros {
        let deadlines = self
            .connections
            .values()
            .map(|connection| connection.deadline);
        deadlines.min().unwrap_or(Micros::MAX)
    }

    /// Packets that found no room, of all connections since the start.
    pub(crate) fn overflowed(&self) -> u64 {
        let open: u64 = self.connections.values().map(Connection::overflowed).sum();
        self.counters.overflowed + open
    }

    /// What all connections hold: how many there are, packets and media bytes.
    pub(crate) fn holds(&self) -> Holdings {
        let mut sum = Holdings {
            connections: self.connections.len(),
            ..Holdings::default()
        };
        for connection in self.connections.values() {
            let (packets, bytes) = connection.holds();
            sum.packets += packets;
            sum.bytes += bytes;
        }
        sum
    }

    /// Whether a peer has a connection.
    pub(crate) fn has_peer(&self, peer: Peer) -> bool {
        self.by_caller.keys().any(|(known, _)| *known == peer)
    }

    /// Ends a connection and tells the peer; answers whether it was there.
    pub(crate) fn close(&mut self, now: Micros, id: ConnectionId, cause: CloseCause) -> bool {
        let Some(connection) = self.connections.get_mut(&id) else {
            return false;
        };
        connection.send_control(now, ControlKind::Shutdown, 0, &[], &mut self.outgoing);
        self.remove(id, cause);
        true
    }

    fn remove(&mut self, id: ConnectionId, cause: CloseCause) {
        let Some(mut connection) = self.connections.remove(&id) else {
            return;
        };
        self.by_caller
            .remove(&(connection.peer, connection.peer_socket_id));
        self.counters.overflowed += connection.overflowed();
        connection.finish(cause, &mut self.events);
        let latencies = self.connections.values().map(|one| one.latency);
        self.least_latency = latencies.min().unwrap_or(Micros::MAX);
    }

    /// Ends every connection that a test holds for; answers how many.
    pub(crate) fn close_where(
        &mut self,
        now: Micros,
        cause: CloseCause,
        is_meant: impl Fn(&Connection) -> bool,
    ) -> usize {
        let meant = self
            .connections
            .values()
            .filter(|connection| is_meant(connection));
        let ids: Vec<ConnectionId> = meant.map(|connection| connection.id).collect();
        for id in &ids {
            self.close(now, *id, cause);
        }
        ids.len()
    }

    /// A connection by its name.
    pub(crate) fn connection(&self, id: ConnectionId) -> Option<&Connection> {
        self.connections.get(&id)
    }
}

fn own_connection(
    connections: &mut HashMap<ConnectionId, Connection>,
    peer: Peer,
    id: ConnectionId,
) -> Option<&mut Connection> {
    connections
        .get_mut(&id)
        .filter(|connection| connection.peer == peer)
}

fn mark_dirty(connection: &mut Connection, dirty: &mut Vec<ConnectionId>) {
    if !connection.is_dirty {
        connection.is_dirty = true;
        dirty.push(connection.id);
    }
}

fn end_of(connection: &Connection, now: Micros, limits: ListenerLimits) -> Option<CloseCause> {
    if now - connection.last_heard >= limits.idle {
        return Some(CloseCause::Idle);
    }
    let receiver = match &connection.flow {
        Flow::In(receiver) => receiver,
        Flow::Out(sender) => return sender.is_key_spent().then_some(CloseCause::Lost),
    };
    if receiver.has_lost_track() {
        return Some(CloseCause::Lost);
    }
    let patience = connection.latency + limits.first_media;
    // Keepalives alone are no stream: it never began, or stands still for too long.
    let last_media = receiver.last_media().unwrap_or(connection.opened);
    (now - last_media > patience).then_some(CloseCause::Idle)
}
