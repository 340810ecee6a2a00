//! The engine port: what the appliance needs of a relay, in our words.
//!
//! An engine carries media from one publisher of a slot to its players. Callers ask it what it *can*
//! ([`Capabilities`]), never which one it is; only the operator's page shows [`Engine::name`].
//!
//! Invariant: no type of a transport, a container host or an HTTP client appears here.

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use tokio::sync::broadcast;

use crate::kernel::ids::SlotId;

/// One slot as an engine must know it.
#[derive(Debug, Clone)]
pub struct StreamSpec {
    /// The slot whose publisher and players this is about.
    pub slot_id: SlotId,
    /// The whole publish key as an encoder sends it, `live_` included.
    pub publish_key: SecretString,
    /// The whole play key as a player sends it, `play_` included.
    pub play_key: SecretString,
    /// Encrypts the streams of publisher and players; `None` for a slot whose streams are not encrypted.
    /// It has [`PASSPHRASE_BYTES`] bytes; whoever makes a `StreamSpec` has seen to that.
    pub passphrase: Option<SecretString>,
}

/// How long a passphrase may be, in bytes.
///
/// Source: libsrt, `SRTO_PASSPHRASE` in `API-socket-options.md` (read November 2026).
pub const PASSPHRASE_BYTES: RangeInclusive<usize> = 10..=79;

/// What an engine is able to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent abilities, each asked by its name"
)]
pub struct Capabilities {
    /// A publisher or player can be cut off while it is connected.
    pub can_disconnect: bool,
    /// Statistics name each link of a bonded publisher.
    pub has_links: bool,
    /// A slot may ask for an encrypted stream.
    pub has_passphrase: bool,
    /// A registration that was confirmed lasts as long as this process, so it need not be repeated.
    pub keeps_streams: bool,
}

/// Whom [`Engine::disconnect`] cuts off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The slot's publisher only.
    Publisher,
    /// The slot's players only.
    Players,
    /// Publisher and players.
    Everyone,
}

/// Why a publisher is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The encoder said goodbye.
    Clean,
    /// The network or the encoder failed.
    Error,
    /// We cut it off: disconnect, rotation or a dropped stream.
    Disconnected,
}

/// Something that happened to a slot's publisher, told at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineEvent {
    /// The first media packet of a publisher arrived (each takeover and reconnect counts anew).
    MediaStarted(SlotId),
    /// The publisher is gone.
    PublisherGone(SlotId, Ended),
}

/// Health of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineHealth {
    /// Media can flow.
    Ready,
    /// Media may not flow; the text says why, for an operator.
    Degraded(String),
}

/// What a caller can do about a failed engine call.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The engine does not answer now; the call may be repeated.
    #[error("the relay engine does not answer")]
    Unavailable,
    /// The engine will not do this, and why.
    #[error("the relay engine refused: {reason}")]
    Rejected {
        /// For an operator.
        reason: String,
    },
}

/// Figures of one stream; counters are since the publisher connected unless they say otherwise.
#[derive(Debug, Clone)]
pub struct StreamStats {
    /// The slot.
    pub slot_id: SlotId,
    /// The publisher, when one is connected.
    pub publisher: Option<PublisherStats>,
    /// The players, in no order.
    pub players: Vec<PlayerStats>,
    /// Media received for this slot since the engine started, retransmissions included.
    pub received: Traffic,
    /// Media sent to players of this slot since the engine started, retransmissions not included.
    pub sent: Traffic,
}

/// How much media was carried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Media packets.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Traffic {
    /// What came on top of `earlier`. A counter that fell began anew.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        let growth = |now: u64, before| now.checked_sub(before).unwrap_or(now);
        Self {
            packets: growth(self.packets, earlier.packets),
            bytes: growth(self.bytes, earlier.bytes),
        }
    }
}

impl std::ops::Add for Traffic {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            packets: self.packets + other.packets,
            bytes: self.bytes + other.bytes,
        }
    }
}

/// Figures of a publisher.
#[derive(Debug, Clone, Default)]
pub struct PublisherStats {
    /// The links it arrives on: one for plain SRT, one per network for a bonded publisher.
    pub links: Vec<LinkStats>,
    /// Whether it arrives over SRTLA.
    pub is_bonded: bool,
    /// Time since it was accepted.
    pub uptime: Duration,
    /// Time since its last media packet; `None` before the first.
    pub since_last_media: Option<Duration>,
    /// Media rate over the last second.
    pub bitrate_1s_kbps: u32,
    /// Media rate over the last five seconds.
    pub bitrate_5s_kbps: u32,
    /// Smoothed round-trip time.
    pub rtt: Duration,
    /// Negotiated receive latency.
    pub latency: Duration,
    /// Time span of media held in the receive buffer.
    pub buffer: Duration,
    /// Packets held in the receive buffer.
    pub buffer_packets: u32,
    /// Media packets received, retransmissions included.
    pub packets: u64,
    /// Media bytes received, retransmissions included.
    pub bytes: u64,
    /// Packets that were missing when a later one arrived and that were not merely reordered.
    pub lost_packets: u64,
    /// Packets that arrived after a later one, without having been asked for again.
    pub reordered_packets: u64,
    /// Retransmitted packets received.
    pub retransmitted_packets: u64,
    /// Packets given up because their time had passed.
    pub dropped_packets: u64,
    /// Media bytes given up with them, estimated by the mean packet size.
    pub dropped_bytes: u64,
    /// Estimated link capacity in kbit/s; 0 when unknown.
    pub bandwidth_kbps: u32,
    /// The reason of the last drop, for an operator; empty when nothing was dropped.
    pub last_drop: String,
    /// Length of the key that its media are encrypted with, in bits: 128, 192 or 256; 0 when they are plain.
    pub key_bits: u16,
    /// How often that key was renewed since it connected.
    pub key_renewals: u32,
    /// Packets left out because the relay has no key for them, or because they came plain.
    pub undecryptable_packets: u64,
}

/// Figures of one link of a publisher.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkStats {
    /// Where its packets come from.
    pub address: SocketAddr,
    /// Bytes received on it since it joined.
    pub bytes: u64,
    /// Packets received on it since it joined.
    pub packets: u64,
    /// Its current share of the publisher's packets, 0 to 100.
    pub share_percent: f64,
    /// Its rate over the last second or so.
    pub bitrate_kbps: u32,
    /// Time since its last packet.
    pub since_last_packet: Duration,
    /// Time since it joined.
    pub uptime: Duration,
    /// What the sender itself says of the link, when it says anything.
    pub sender: Option<SenderLinkFigures>,
    /// The network's name, where a database tells it.
    pub carrier: Option<String>,
}

/// What a bonded sender measures on one of its links. Nobody checks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderLinkFigures {
    /// Round-trip time to the relay.
    pub rtt: Duration,
    /// Packets that it lets be in flight.
    pub window_packets: u32,
    /// Packets sent and not acknowledged yet.
    pub in_flight_packets: u32,
    /// Packets that were reported lost on it.
    pub lost_packets: u64,
    /// What it sends on it now.
    pub bitrate_kbps: u32,
}

/// Figures of a player.
#[derive(Debug, Clone, PartialEq)]
pub struct PlayerStats {
    /// Where it is.
    pub address: SocketAddr,
    /// Time since it was accepted.
    pub uptime: Duration,
    /// Smoothed round-trip time.
    pub rtt: Duration,
    /// Negotiated latency.
    pub latency: Duration,
    /// Packets sent, retransmissions not included.
    pub packets: u64,
    /// Bytes sent, retransmissions not included.
    pub bytes: u64,
    /// Packets sent again.
    pub retransmitted_packets: u64,
    /// Packets dropped because they were too late for it or its queue was full.
    pub dropped_packets: u64,
    /// Time span of media in its send buffer.
    pub buffer: Duration,
    /// Length of the key that its media are encrypted with, in bits: 128, 192 or 256; 0 when they are plain.
    pub key_bits: u16,
    /// How often that key was renewed since it connected.
    pub key_renewals: u32,
}

/// Counters of an engine's ports since it started, for the metrics page: name and value.
pub type EngineCounters = Vec<(&'static str, u64)>;

/// A relay.
#[async_trait]
pub trait Engine: Send + Sync + fmt::Debug {
    /// The engine's name, for the operator's page and the log only.
    fn name(&self) -> &'static str;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// A receiver of everything that happens from now on. A receiver that lags must read [`Engine::stats`].
    fn events(&self) -> broadcast::Receiver<EngineEvent>;

    /// Whether it carries media on while this process is down.
    fn outlives_us(&self) -> bool {
        true
    }

    /// Whether new sessions may be given to it now; one that cannot carry media is like a full one.
    fn takes_sessions(&self) -> bool {
        true
    }

    /// Whether media can flow.
    async fn health(&self) -> EngineHealth;

    /// Admits publisher and players of a slot. Idempotent. A registration with other keys than before
    /// replaces them: new callers need the new keys, and those who used a key that changed are cut off, if
    /// the engine [can](Capabilities::can_disconnect).
    /// A passphrase is a key of publisher and players alike.
    async fn register(&self, stream: StreamSpec) -> Result<(), EngineError>;

    /// Forgets a slot and cuts off whoever is connected, if it can. Unknown slots are no error.
    async fn drop_stream(&self, slot_id: SlotId) -> Result<(), EngineError>;

    /// Cuts off; answers how many connections were closed. They may connect again. An engine that cannot
    /// closes none, and lets nobody new in until the slot is registered again.
    async fn disconnect(&self, slot_id: SlotId, target: Target) -> Result<usize, EngineError>;

    /// The slots that it admits and that are ours, when it can tell; `None` when it cannot.
    async fn admitted(&self) -> Result<Option<Vec<SlotId>>, EngineError> {
        Ok(None)
    }

    /// Every slot that it shall have was registered once since it was made: a key that it does not know is
    /// unknown indeed, and it may forget other slots of ours. It may be told again.
    fn all_registered(&self) {}

    /// Figures of every stream that has a publisher or a player.
    async fn stats(&self) -> Result<Vec<StreamStats>, EngineError>;

    /// What an operator should know of and can mend, each with its remedy; empty when all is well.
    async fn notices(&self) -> Vec<String> {
        Vec::new()
    }

    /// Counters of its ports.
    async fn counters(&self) -> Result<EngineCounters, EngineError>;
}
