//! The bounds of the ports, from the configuration.
//!
//! Invariant: every bound of a port comes from [`EmbeddedConfig`].

use crate::relay::embedded::config::EmbeddedConfig;
use crate::relay::embedded::crypto::RefreshRate;
use crate::relay::embedded::listener::ListenerLimits;
use crate::relay::embedded::receive::ReceiveLimits;
use crate::relay::embedded::wire::PAYLOAD_MAX_BYTES;

/// Bounds of the publish port.
pub(super) fn publish_limits(config: &EmbeddedConfig) -> ListenerLimits {
    ListenerLimits {
        latency_min: config.latency_min.into(),
        latency_max: config.latency_max.into(),
        connections_max: config.publishers_max,
        first_handshakes_per_second: config.first_handshakes_per_second,
        handshakes_per_second: config.handshakes_per_second,
        idle: config.publisher_idle.into(),
        first_media: config.first_media.into(),
        receive: ReceiveLimits {
            window_packets: window_packets(config),
            bytes: config.publisher_buffer_bytes,
        },
        queue_bytes: config.player_queue_bytes,
        key_refresh: RefreshRate::every(config.key_refresh_packets),
    }
}

/// Packets between the next and the newest one that a publisher may make us hold.
pub(crate) fn window_packets(config: &EmbeddedConfig) -> u32 {
    u32::try_from(config.publisher_buffer_bytes / PAYLOAD_MAX_BYTES)
        .unwrap_or(u32::MAX)
        .clamp(1024, 65_536)
}

/// Bounds of the play port.
pub(super) fn play_limits(config: &EmbeddedConfig) -> ListenerLimits {
    ListenerLimits {
        connections_max: config.players_max,
        idle: config.player_idle.into(),
        ..publish_limits(config)
    }
}
