//! The whole relay without sockets: ports, slots, and the way of media from publisher to players.
//!
//! The reactor puts datagrams in with [`Hub::on_datagram`], calls [`Hub::advance`] after each batch and at
//! [`Hub::next_deadline`], and sends what [`Hub::drain_outgoing`] gives.
//!
//! Invariant: a slot has at most one publisher; players of a slot outlive its publishers.

mod admission;
#[cfg(test)]
mod bound_tests;
#[cfg(test)]
mod hostile_tests;
mod keys;
mod limits;
mod slot;
mod stats;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::SocketAddr;

use bytes::Bytes;

use self::keys::KeyTable;
pub(crate) use self::keys::KeyTaken;
pub(crate) use self::limits::window_packets;
use self::limits::{play_limits, publish_limits};
use self::slot::Slot;
use super::config::EmbeddedConfig;
use super::listener::{CloseCause, Closed, ConnectionEvent, ConnectionId, Listener, Outgoing};
use super::srtla::{Srtla, SrtlaLimits};
use super::time::Micros;
use super::wire::DATAGRAM_MAX_BYTES;
use super::{Direction, Peer, Port};
use crate::kernel::ids::SlotId;
use crate::relay::engine::{Ended, EngineEvent, StreamSpec, Target};

/// The relay without sockets.
#[derive(Debug)]
pub(crate) struct Hub {
    /// What happened to publishers since this was read last.
    pub(crate) events: Vec<EngineEvent>,
    is_open: bool,
    publish: Listener,
    play: Listener,
    srtla: Srtla,
    keys: KeyTable,
    slots: HashMap<SlotId, Slot>,
    /// Slots of which an ended publisher has left media; at most as many as there may be publishers.
    with_tail: Vec<SlotId>,
    tails_max: usize,
    /// Packets of ended publishers that found no room.
    tails_overflowed: u64,
    /// Media in a row of one publisher, on their way to the players of its slot.
    run: Vec<(Micros, Bytes)>,
    run_of: Option<SlotId>,
    latency_max: Micros,
    takeover_after: Micros,
    players_per_slot_max: usize,
    /// Where an encrypted datagram is put together.
    scratch: Vec<u8>,
}

impl Hub {
    /// A relay that answers nobody yet. `secret` is random and of this process only.
    pub(crate) fn new(now: Micros, config: &EmbeddedConfig, secret: [u8; 32]) -> Self {
        Self {
            events: Vec::new(),
            is_open: false,
            publish: Listener::new(now, Direction::Publish, publish_limits(config), secret),
            play: Listener::new(now, Direction::Play, play_limits(config), secret),
            srtla: Srtla::new(
                now,
                SrtlaLimits {
                    groups_max: config.srtla_groups_max,
                    links_max: config.srtla_links_max,
                    waiting_groups_max: config.srtla_waiting_groups_max,
                    invitations_per_second: config.first_handshakes_per_second,
                    registrations_per_second: config.registrations_per_second,
                },
                secret,
            ),
            keys: KeyTable::new(secret),
            slots: HashMap::new(),
            with_tail: Vec::new(),
            tails_max: config.publishers_max,
            tails_overflowed: 0,
            run: Vec::new(),
            run_of: None,
            latency_max: config.latency_max.into(),
            takeover_after: config.takeover_after.into(),
            players_per_slot_max: config.players_per_slot_max,
            scratch: Vec::with_capacity(DATAGRAM_MAX_BYTES),
        }
    }

    /// From now on callers are admitted or refused. Before, they get no answer and call again, every
    /// 250 ms: a key that is not registered yet must not be called unknown.
    pub(crate) fn open(&mut self) {
        self.is_open = true;
    }

    /// Begins anew after a panic: of what it knew only keys and totals are kept, nobody is connected.
    pub(crate) fn renew(&mut self, now: Micros, config: &EmbeddedConfig, secret: [u8; 32]) {
        let old = std::mem::replace(self, Self::new(now, config, secret));
        self.is_open = old.is_open;
        self.keys = old.keys;
        self.events = old.events;
        self.publish.counters = old.publish.counters;
        self.play.counters = old.play.counters;
        self.srtla.counters = old.srtla.counters;
        self.tails_overflowed = old.tails_overflowed;
        for (slot_id, slot) in old.slots {
            if slot.publisher.is_some() {
                self.events
                    .push(EngineEvent::PublisherGone(slot_id, Ended::Error));
            }
            self.slots.insert(slot_id, slot.renewed());
        }
    }

    /// Datagrams that follow may have waited to be read for so long.
    pub(crate) fn set_waited(&mut self, waited: Micros) {
        self.publish.set_waited(waited);
        self.play.set_waited(waited);
    }

    /// The least latency that anyone connected has; [`Micros::MAX`] when nobody is.
    pub(crate) fn least_latency(&self) -> Micros {
        self.publish.least_latency().min(self.play.least_latency())
    }

    /// A datagram came on a port.
    pub(crate) fn on_datagram(
        &mut self,
        now: Micros,
        port: Port,
        source: SocketAddr,
        datagram: &[u8],
    ) {
        let (direction, peer) = match port {
            Port::Srtla => match self.srtla.on_datagram(now, source, datagram) {
                Some(group) => (Direction::Publish, Peer::Srtla(group)),
                None => return,
            },
            Port::Publish => (Direction::Publish, Peer::Udp(source)),
            Port::Play => (Direction::Play, Peer::Udp(source)),
        };
        let listener = self.listener(direction);
        if let Some(request) = listener.on_datagram(now, peer, source.ip(), datagram) {
            self.on_request(now, direction, request);
        }
    }

    fn listener(&mut self, direction: Direction) -> &mut Listener {
        match direction {
            Direction::Publish => &mut self.publish,
            Direction::Play => &mut self.play,
        }
    }

    /// Does what is due: after a batch of datagrams, and when the deadline has come.
    pub(crate) fn advance(&mut self, now: Micros) {
        self.srtla.advance(now);
        for group in std::mem::take(&mut self.srtla.gone) {
            let peer = Peer::Srtla(group);
            self.publish
                .close_where(now, CloseCause::Lost, |connection| connection.peer == peer);
        }
        self.publish.advance(now);
        self.dispatch(now, Direction::Publish);
        self.play_tails(now);
        self.play.advance(now);
        self.dispatch(now, Direction::Play);
    }

    fn dispatch(&mut self, now: Micros, direction: Direction) {
        let mut events = std::mem::take(&mut self.listener(direction).events);
        for event in events.drain(..) {
            match event {
                ConnectionEvent::FirstMedia { id, slot_id } => self.on_first_media(id, slot_id),
                ConnectionEvent::Media {
                    id,
                    slot_id,
                    origin,
                    payload,
                } => self.on_media(now, id, slot_id, origin, payload),
                ConnectionEvent::Closed(closed) => {
                    // Players that stay get first what came before.
                    self.hand_out(now);
                    self.on_closed(direction, closed);
                }
            }
        }
        self.hand_out(now);
        let listener = self.listener(direction);
        // What came meanwhile stays; else the emptied vector goes back, to be filled again.
        if listener.events.is_empty() {
            listener.events = events;
        }
    }

    fn on_first_media(&mut self, id: ConnectionId, slot_id: SlotId) {
        let publisher = self.slots.get(&slot_id).and_then(|slot| slot.publisher);
        if publisher == Some(id) {
            self.events.push(EngineEvent::MediaStarted(slot_id));
        }
    }

    fn on_media(
        &mut self,
        now: Micros,
        id: ConnectionId,
        slot_id: SlotId,
        origin: Micros,
        payload: Bytes,
    ) {
        if self.run_of != Some(slot_id) {
            self.hand_out(now);
        }
        let Some(slot) = self.slots.get_mut(&slot_id) else {
            return;
        };
        match slot.take_in(now, id, origin, payload) {
            Some((origin, payload)) => {
                self.run_of = Some(slot_id);
                self.run.push((slot.monotonic(origin), payload));
            }
            None if self.with_tail.contains(&slot_id) => {}
            None if self.with_tail.len() < self.tails_max => self.with_tail.push(slot_id),
            None => {
                slot.clear_tail();
                self.tails_overflowed += 1;
            }
        }
    }

    /// Hands the run of media to the players of its slot, to one after the other: so each gets its packets
    /// in one piece, which the kernel sends as one.
    fn hand_out(&mut self, now: Micros) {
        let slot = self.run_of.take().and_then(|id| self.slots.get(&id));
        for player in slot.iter().flat_map(|slot| &slot.players) {
            self.play.push(now, *player, &self.run);
        }
        self.run.clear();
    }

    /// Hands out what ended publishers have left, when its time has come.
    fn play_tails(&mut self, now: Micros) {
        let (play, slots, run) = (&mut self.play, &mut self.slots, &mut self.run);
        self.with_tail.retain(|slot_id| {
            let Some(slot) = slots.get_mut(slot_id) else {
                return false;
            };
            while let Some((origin, payload)) = slot.next_of_tail(now) {
                run.push((slot.monotonic(origin), payload));
            }
            for player in &slot.players {
                play.push(now, *player, run);
            }
            run.clear();
            slot.tail_deadline() < Micros::MAX
        });
    }

    fn on_closed(&mut self, direction: Direction, closed: Closed) {
        let Some(slot) = self.slots.get_mut(&closed.slot_id) else {
            return;
        };
        match direction {
            Direction::Play => {
                slot.players.retain(|player| *player != closed.id);
                slot.finished_sent = slot.finished_sent + closed.media;
            }
            Direction::Publish => {
                slot.finished_received = slot.finished_received + closed.media;
                if slot.publisher == Some(closed.id) {
                    slot.publisher = None;
                    let ended = ended(closed.cause);
                    self.events
                        .push(EngineEvent::PublisherGone(closed.slot_id, ended));
                    if let Peer::Srtla(group) = closed.peer
                        && !self.publish.has_peer(closed.peer)
                    {
                        self.srtla.dismiss(group);
                    }
                }
            }
        }
    }

    /// Admits by these keys from now on; who used a key that changed is cut off.
    pub(crate) fn register(&mut self, now: Micros, stream: &StreamSpec) -> Result<(), KeyTaken> {
        let slot_id = stream.slot_id;
        let changed = self.keys.register(stream)?;
        self.slots.entry(slot_id).or_default();
        if changed.publish {
            self.disconnect(now, slot_id, Target::Publisher);
        }
        if changed.play {
            self.disconnect(now, slot_id, Target::Players);
        }
        Ok(())
    }

    /// Forgets a slot and cuts off who is connected.
    pub(crate) fn drop_stream(&mut self, now: Micros, slot_id: SlotId) {
        self.keys.forget(slot_id);
        self.disconnect(now, slot_id, Target::Everyone);
        self.slots.remove(&slot_id);
    }

    /// Cuts off; answers how many.
    pub(crate) fn disconnect(&mut self, now: Micros, slot_id: SlotId, target: Target) -> usize {
        let is_meant = |connection: &super::listener::Connection| connection.slot_id == slot_id;
        let cause = CloseCause::Disconnected;
        let mut closed = 0;
        if matches!(target, Target::Publisher | Target::Everyone) {
            closed += self.publish.close_where(now, cause, is_meant);
            if let Some(slot) = self.slots.get_mut(&slot_id) {
                slot.clear_tail();
            }
            self.dispatch(now, Direction::Publish);
        }
        if matches!(target, Target::Players | Target::Everyone) {
            closed += self.play.close_where(now, cause, is_meant);
            self.dispatch(now, Direction::Play);
        }
        closed
    }

    /// Says goodbye to everyone.
    pub(crate) fn close_all(&mut self, now: Micros, cause: CloseCause) {
        self.publish.close_where(now, cause, |_| true);
        self.dispatch(now, Direction::Publish);
        self.play.close_where(now, cause, |_| true);
        self.dispatch(now, Direction::Play);
    }

    /// When [`Hub::advance`] has something to do.
    pub(crate) fn next_deadline(&self) -> Micros {
        let listeners = self.publish.next_deadline().min(self.play.next_deadline());
        let tails = self
            .slots
            .values()
            .map(Slot::tail_deadline)
            .min()
            .unwrap_or(Micros::MAX);
        listeners.min(self.srtla.next_deadline()).min(tails)
    }

    /// Gives every datagram that is to be sent, in order for each port: port, address, and its two parts,
    /// the first of which may be empty.
    pub(crate) fn drain_outgoing(&mut self, mut send: impl FnMut(Port, SocketAddr, &[u8], &[u8])) {
        for (port, listener) in [
            (Port::Publish, &mut self.publish),
            (Port::Play, &mut self.play),
        ] {
            for outgoing in listener.outgoing.drain(..) {
                match outgoing {
                    Outgoing::Control(Peer::Udp(address), packet) => {
                        send(port, address, &[], &packet);
                    }
                    Outgoing::Control(Peer::Srtla(group), packet) => {
                        self.srtla.route(group, packet);
                    }
                    Outgoing::Data(Peer::Udp(address), packet) => {
                        packet.emit(&mut self.scratch, |head, body| {
                            send(port, address, head, body);
                        });
                    }
                    // Players are never bonded.
                    Outgoing::Data(Peer::Srtla(_), _) => {}
                }
            }
        }
        for (address, packet) in self.srtla.outgoing.drain(..) {
            send(Port::Srtla, address, &[], &packet);
        }
    }
}

fn ended(cause: CloseCause) -> Ended {
    match cause {
        CloseCause::Shutdown => Ended::Clean,
        CloseCause::Idle | CloseCause::Lost => Ended::Error,
        CloseCause::Disconnected | CloseCause::Replaced => Ended::Disconnected,
    }
}
