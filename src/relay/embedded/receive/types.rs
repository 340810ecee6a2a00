//! What goes in and out of a receiver: set-up, bounds, figures, control packets.
//!
//! Invariant: plain values, no behaviour.

use crate::relay::embedded::sequence::Sequence;
use crate::relay::embedded::time::Micros;
use crate::relay::embedded::wire::ControlKind;

/// What one publisher may make us hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReceiveLimits {
    /// Packets between the next and the newest one.
    pub(crate) window_packets: u32,
    /// Media bytes.
    pub(crate) bytes: usize,
}

/// How a connection begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReceiverSetup {
    /// When its conclusion came.
    pub(crate) now: Micros,
    /// The timestamp of the conclusion.
    pub(crate) timestamp: u32,
    /// The first sequence number.
    pub(crate) initial: Sequence,
    /// From origin to delivery.
    pub(crate) latency: Micros,
    /// Bounds of the buffer.
    pub(crate) limits: ReceiveLimits,
    /// Whether packets take several links, so that most gaps are only reordering.
    pub(crate) is_bonded: bool,
    /// Whether the peer ignores a second request within a round trip (libsrt from 1.5.0): then asking
    /// twice per round trip costs nothing and a lost report costs half.
    pub(crate) ignores_early_repeats: bool,
}

/// What has happened since the connection began.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ReceiveCounters {
    /// Data packets, repetitions included.
    pub(crate) packets: u64,
    /// Media bytes, repetitions included.
    pub(crate) bytes: u64,
    /// Repetitions.
    pub(crate) retransmitted: u64,
    /// Packets that came only as a repetition, or never.
    pub(crate) lost: u64,
    /// Originals that came after a later one.
    pub(crate) reordered: u64,
    /// Packets that were given up.
    pub(crate) dropped: u64,
    /// Packets that found no room in the buffer.
    pub(crate) overflowed: u64,
    /// Packets that were left out because we have no key for them, or because they are plain and must not
    /// be; not among `packets`.
    pub(crate) undecryptable: u64,
    /// Packets that were handed on.
    pub(crate) delivered: u64,
}

/// A control packet that the state machine wants to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ControlMessage {
    /// Its kind.
    pub(crate) kind: ControlKind,
    /// Its type-specific word.
    pub(crate) info: u32,
    /// Its body.
    pub(crate) body: Vec<u8>,
}
