//! What an operator may set of the embedded relay, and its bounds.
//!
//! Invariant: [`EmbeddedConfig::default`] is a working configuration.

use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::crypto::RefreshRate;

/// Settings of the embedded relay.
#[derive(Debug, Clone)]
pub struct EmbeddedConfig {
    /// UDP address for bonded (SRTLA) publishers; default `[::]:5000`, which takes IPv4 too, and is
    /// `0.0.0.0:5000` on a system without IPv6. Port 0 takes any free one.
    pub srtla_listen: SocketAddr,
    /// UDP address for SRT publishers; default `[::]:4001`.
    pub publish_listen: SocketAddr,
    /// UDP address for SRT players; default `[::]:4000`.
    pub play_listen: SocketAddr,
    /// The least latency agreed with anyone; default 120 ms, which is libsrt's.
    pub latency_min: Duration,
    /// The most; a publisher that wants more is refused, a player gets this much. Default 15 s.
    pub latency_max: Duration,
    /// A second publisher is refused while the first delivered media within this; default 3 s.
    pub takeover_after: Duration,
    /// A publisher that was silent for so long is gone; default 6 s.
    pub publisher_idle: Duration,
    /// A player that was silent for so long is gone; default 6 s.
    pub player_idle: Duration,
    /// A publisher that sends no media for this and its latency, from the start or later, is let go even if
    /// it says that it is there; default 15 s.
    pub first_media: Duration,
    /// Publishers at a time; default 256.
    pub publishers_max: usize,
    /// Players at a time, of all slots; default 256.
    pub players_max: usize,
    /// Players at a time of one slot; default 16. Whoever has a play key could else take every place.
    pub players_per_slot_max: usize,
    /// Media bytes that one publisher may make the relay hold; default 24 MB.
    pub publisher_buffer_bytes: usize,
    /// Media bytes that may wait for one player; default 16 MB. They are shared among players.
    pub player_queue_bytes: usize,
    /// First handshakes and SRTLA invitations answered per second and source address; default 100. They
    /// carry no proof of the address, so this also bounds what a forger can make us send to one.
    pub first_handshakes_per_second: u32,
    /// SRT connection attempts per second and source address, after the cookie; default 20.
    pub handshakes_per_second: u32,
    /// Packets after which the key of an encrypted player is renewed; default 2^24, which is libsrt's.
    pub key_refresh_packets: u64,
    /// SRTLA groups at a time; default 200.
    pub srtla_groups_max: usize,
    /// Links of one SRTLA group; default 16.
    pub srtla_links_max: usize,
    /// SRTLA groups of one network that have no admitted stream yet; default 4, so that a few addresses
    /// cannot take every place.
    pub srtla_waiting_groups_max: usize,
    /// SRTLA registrations per second and source address; default 20.
    pub registrations_per_second: u32,
    /// Receive and send buffer asked of the kernel for each port; default 8 MB.
    pub socket_buffer_bytes: usize,
    /// Packets that come within this are handled together; default 20 ms. Longer saves processor time and adds
    /// delay, so the relay pauses for no more than a part of the least latency that anyone has, and for half of
    /// this while much comes at once.
    pub wake_interval: Duration,
}

impl Default for EmbeddedConfig {
    fn default() -> Self {
        let any = |port| SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        Self {
            srtla_listen: any(5000),
            publish_listen: any(4001),
            play_listen: any(4000),
            latency_min: Duration::from_millis(120),
            latency_max: Duration::from_secs(15),
            takeover_after: Duration::from_secs(3),
            publisher_idle: Duration::from_secs(6),
            player_idle: Duration::from_secs(6),
            first_media: Duration::from_secs(15),
            publishers_max: 256,
            players_max: 256,
            players_per_slot_max: 16,
            publisher_buffer_bytes: 24_000_000,
            player_queue_bytes: 16_000_000,
            first_handshakes_per_second: 100,
            handshakes_per_second: 20,
            key_refresh_packets: RefreshRate::DEFAULT_PACKETS,
            srtla_groups_max: 200,
            srtla_links_max: 16,
            srtla_waiting_groups_max: 4,
            registrations_per_second: 20,
            socket_buffer_bytes: 8_000_000,
            wake_interval: Duration::from_millis(20),
        }
    }
}
