//! The codes that tell a caller why it is refused.
//!
//! Invariant: before a caller has shown a key that we know, no code tells anything about a key.

/// Why a caller is refused; the number goes to it in the handshake's `kind`.
///
/// Source: libsrt `srt_rejectreason` (1000 and up) and `access-control.md` (2000 and up).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RejectCode {
    /// The handshake makes no sense.
    Rogue = 1004,
    /// An older protocol version.
    Version = 1008,
    /// The key material was made with another passphrase.
    BadSecret = 1010,
    /// The slot has a passphrase and the caller has none, or the other way around.
    Unsecure = 1011,
    /// A byte stream (file mode) is asked for.
    MessageMode = 1012,
    /// Another congestion control than `live`.
    Congestion = 1013,
    /// A packet filter (forward error correction).
    Filter = 1014,
    /// libsrt's own bonding groups.
    Group = 1015,
    /// Encryption of a kind that we do not have.
    Cipher = 1017,
    /// The stream id is not of a form we know.
    BadRequest = 2400,
    /// The stream id is no key of this port.
    Unauthorized = 2401,
    /// No room for another connection, of the port or of the slot.
    Overload = 2402,
    /// The stream id asks for the other direction than the port has.
    BadMode = 2405,
    /// The latency asked for is beyond the limit.
    Unacceptable = 2406,
    /// Somebody publishes with this key already.
    Conflict = 2409,
}

impl RejectCode {
    /// The number on the wire.
    pub(crate) const fn number(self) -> u32 {
        self as u32
    }

    /// The same for a log line.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Rogue => "handshake without its extension",
            Self::Overload => "no room",
            Self::Version => "protocol version",
            Self::BadSecret => "wrong passphrase",
            Self::Unsecure => "one side has a passphrase and the other has none",
            Self::MessageMode => "file mode",
            Self::Congestion => "congestion control is not live",
            Self::Filter => "packet filter",
            Self::Group => "libsrt bonding group",
            Self::Cipher => "cipher is not AES in counter mode",
            Self::BadRequest => "stream id not understood",
            Self::Unauthorized => "unknown key",
            Self::BadMode => "stream id asks for the other direction",
            Self::Unacceptable => "latency too high",
            Self::Conflict => "already publishing",
        }
    }
}
