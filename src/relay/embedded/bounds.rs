//! How much memory the relay takes at the worst, from its configuration.
//!
//! | who | makes it hold at most | why |
//! |---|---|---|
//! | strangers | [`MemoryBound::strangers_bytes`] | tables of fixed size, SRTLA groups and links, one batch of answers |
//! | a publisher | [`MemoryBound::publisher_bytes`] | its buffer, and once more what it left when it ended |
//! | a player | [`MemoryBound::player_bytes`] | its queue, if nobody shared its media |
//!
//! Callers that wait for an answer are none: a handshake is answered at once or forgotten. What the kernel
//! holds for the three sockets comes on top: up to twice `socket_buffer_bytes` each way.
//!
//! Invariant: nothing that a peer sends makes the relay hold more than [`MemoryBound::total_bytes`].

use super::config::EmbeddedConfig;
use super::hub::window_packets;
use super::limiter::AddressLimiter;
use super::send::BUFFER_MAX_PACKETS;

/// A packet beside its media: places in ordered maps and lists, the allocation's head and its rounding.
const PACKET_OVERHEAD_BYTES: usize = 160;
/// Media stand in blocks of 32 KiB: the ones at both ends and the one being filled are not full.
const UNFILLED_BYTES: usize = 3 * 32 * 1024;
/// A connection beside its packets: rates over five seconds, loss list, clocks, the answer to its handshake.
const CONNECTION_BYTES: usize = 4096;
/// An SRTLA group beside its links, its id twice.
const GROUP_BYTES: usize = 1536;
/// A link: rates, packets to acknowledge, its place by address.
const LINK_BYTES: usize = 1024;
/// Inductions and conclusions on two ports, invitations and registrations on the third.
const ADDRESS_LIMITERS: usize = 6;
/// Answers to one batch of datagrams of each port, before they are sent.
const ANSWERS_BYTES: usize = 3 * 4096 * 512;

/// The most that the relay takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryBound {
    /// What anybody can make it take who has no key.
    pub strangers_bytes: usize,
    /// What one publisher can.
    pub publisher_bytes: usize,
    /// What one player can.
    pub player_bytes: usize,
    /// As many publishers and players as there may be, and strangers.
    pub total_bytes: usize,
}

impl MemoryBound {
    /// The bound for a configuration.
    #[must_use]
    pub fn of(config: &EmbeddedConfig) -> Self {
        let group_bytes = GROUP_BYTES + config.srtla_links_max * LINK_BYTES;
        let strangers_bytes = ADDRESS_LIMITERS * AddressLimiter::BYTES
            + config.srtla_groups_max * group_bytes
            + ANSWERS_BYTES;
        let window_packets = usize::try_from(window_packets(config)).unwrap_or(usize::MAX);
        let buffer_bytes =
            config.publisher_buffer_bytes + UNFILLED_BYTES + window_packets * PACKET_OVERHEAD_BYTES;
        let publisher_bytes = CONNECTION_BYTES + 2 * buffer_bytes;
        let player_bytes = CONNECTION_BYTES
            + config.player_queue_bytes
            + UNFILLED_BYTES
            + BUFFER_MAX_PACKETS * PACKET_OVERHEAD_BYTES;
        let total_bytes = strangers_bytes
            .saturating_add(config.publishers_max.saturating_mul(publisher_bytes))
            .saturating_add(config.players_max.saturating_mul(player_bytes));
        Self {
            strangers_bytes,
            publisher_bytes,
            player_bytes,
            total_bytes,
        }
    }
}

impl std::fmt::Display for MemoryBound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let megabytes = |bytes: usize| bytes.div_ceil(1_000_000);
        write!(
            f,
            "strangers at most {} MB, each publisher {} MB, each player {} MB, all places taken {} MB",
            megabytes(self.strangers_bytes),
            megabytes(self.publisher_bytes),
            megabytes(self.player_bytes),
            megabytes(self.total_bytes)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_have_a_small_bound_by_default_and_every_place_counts() {
        let config = EmbeddedConfig::default();
        let bound = MemoryBound::of(&config);
        assert!(bound.strangers_bytes < 16_000_000, "{bound}");
        let more = EmbeddedConfig {
            publishers_max: config.publishers_max + 1,
            players_max: config.players_max + 1,
            ..config
        };
        let grown = MemoryBound::of(&more).total_bytes - bound.total_bytes;
        assert_eq!(grown, bound.publisher_bytes + bound.player_bytes);
    }
}
