//! What goes in and out of a port: requests, events, datagrams, bounds and figures.
//!
//! Invariant: none of it holds a reference into a port.

use bytes::Bytes;

use crate::kernel::ids::SlotId;
use crate::relay::embedded::Peer;
use crate::relay::embedded::crypto::RefreshRate;
use crate::relay::embedded::handshake::{Extension, Handshake};
use crate::relay::embedded::receive::ReceiveLimits;
use crate::relay::embedded::send::OutgoingData;
use crate::relay::embedded::time::Micros;
use crate::relay::engine::Traffic;

/// A connection's name on its port; the socket id on the wire.
pub(crate) type ConnectionId = u32;

/// A datagram to send.
#[derive(Debug, Clone)]
pub(crate) enum Outgoing {
    /// A whole packet.
    Control(Peer, Bytes),
    /// A data packet.
    Data(Peer, OutgoingData),
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseCause {
    /// The peer said so.
    Shutdown,
    /// Nothing came of it for too long, or never any media.
    Idle,
    /// Its packets made no sense any more, or its links are gone.
    Lost,
    /// We ended it.
    Disconnected,
    /// A newer publisher took its place.
    Replaced,
}

/// The end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed {
    /// Which one.
    pub(crate) id: ConnectionId,
    /// Where its packets came from.
    pub(crate) peer: Peer,
    /// Whose it was.
    pub(crate) slot_id: SlotId,
    /// Why.
    pub(crate) cause: CloseCause,
    /// The media that it carried.
    pub(crate) media: Traffic,
}

/// Something that happened on a connection.
#[derive(Debug, Clone)]
pub(crate) enum ConnectionEvent {
    /// The first media packet of a publisher came.
    FirstMedia {
        /// Which connection.
        id: ConnectionId,
        /// Whose it is.
        slot_id: SlotId,
    },
    /// Media are to be handed to the players.
    Media {
        /// Of which connection they came.
        id: ConnectionId,
        /// Whose they are.
        slot_id: SlotId,
        /// The moment they belong to. It lies ahead for what a publisher left when it ended.
        origin: Micros,
        /// The media.
        payload: Bytes,
    },
    /// The connection is gone.
    Closed(Closed),
}

/// A caller that could be served, if its key is right.
#[derive(Debug)]
pub(crate) struct ConnectRequest {
    /// Where it calls from.
    pub(crate) peer: Peer,
    /// What it says of itself.
    pub(crate) handshake: Handshake,
    /// The latency that both would have.
    pub(crate) latency: Micros,
    /// The connection that the same caller had before it began anew.
    pub(crate) replaces: Option<ConnectionId>,
    pub(super) extension: Extension,
    pub(super) timestamp: u32,
}

/// Bounds of a port.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListenerLimits {
    /// The least latency we agree to.
    pub(crate) latency_min: Micros,
    /// The most.
    pub(crate) latency_max: Micros,
    /// Connections at a time.
    pub(crate) connections_max: usize,
    /// First handshakes per second and source address.
    pub(crate) first_handshakes_per_second: u32,
    /// Conclusions per second and source address.
    pub(crate) handshakes_per_second: u32,
    /// A peer that is silent for so long is gone.
    pub(crate) idle: Micros,
    /// A publisher may be without media for this and the latency.
    pub(crate) first_media: Micros,
    /// Bounds of a publisher's buffer.
    pub(crate) receive: ReceiveLimits,
    /// Bound of a player's queue.
    pub(crate) queue_bytes: usize,
    /// When the key of an encrypted player is renewed.
    pub(crate) key_refresh: RefreshRate,
}

/// What connections hold in memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Holdings {
    /// How many there are.
    pub(crate) connections: usize,
    /// Media packets.
    pub(crate) packets: usize,
    /// Media bytes.
    pub(crate) bytes: usize,
}

/// What has happened on a port.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ListenerCounters {
    /// Datagrams that are no SRT packet.
    pub(crate) malformed: u64,
    /// Media that are encrypted with a key we do not have, or plain and must not be.
    pub(crate) undecryptable: u64,
    /// Packets for no connection of their sender.
    pub(crate) stray: u64,
    /// Conclusions with a wrong cookie.
    pub(crate) bad_cookie: u64,
    /// First handshakes beyond the rate of their address.
    pub(crate) first_limited: u64,
    /// Conclusions beyond the rate of their address.
    pub(crate) limited: u64,
    /// Callers with a good key for whom the port had no place.
    pub(crate) no_place: u64,
    /// Players for whom their slot had no place.
    pub(crate) no_place_in_slot: u64,
    /// Packets that found no room in the buffer of a connection that is closed.
    pub(crate) overflowed: u64,
    /// Callers refused.
    pub(crate) rejected: u64,
    /// Callers accepted.
    pub(crate) accepted: u64,
}
