//! The keys of a player: encryption, and our own renewals.
//!
//! ```text
//!            packets ≥ rate - lead            the peer confirms          packets ≥ rate
//!   Steady ───────────────────────► Announced ─────────────────► Confirmed ────────────► Steady, other key
//!                                   (repeated)
//! ```
//!
//! Source: draft-sharabayko-srt-01, section 6.1.6; libsrt's defaults for rate and lead (`SRTO_KMREFRESHRATE`,
//! `SRTO_KMPREANNOUNCE`). libsrt goes over whether it was confirmed or not; we wait, because a player
//! that has no key has no picture.
//!
//! Invariant: a key encrypts at most [`PACKETS_PER_KEY_MAX`] packets, so no counter block is used twice.

use std::sync::Arc;

use super::secret::{KeyEncryptionKey, StreamSecrets};
use super::{KeyMessage, Parity, StreamKey, Unsealed};
use crate::relay::embedded::time::Micros;

/// Half of the sequence numbers. A peer that confirms no renewal until then is let go.
const PACKETS_PER_KEY_MAX: u64 = 1 << 30;

/// How often a key is renewed, in packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RefreshRate {
    /// Packets under one key.
    pub(crate) packets: u64,
    /// How many packets before the change the next key is announced.
    pub(crate) lead_packets: u64,
}

impl RefreshRate {
    /// libsrt's default: 2^24 packets, about eight hours of 6 Mbit/s, announced 2^12 packets ahead.
    pub(crate) const DEFAULT_PACKETS: u64 = 1 << 24;
    const LEAD_MAX_PACKETS: u64 = 1 << 12;

    /// A key every `packets`, announced as early as libsrt would, but not before half of them.
    pub(crate) fn every(packets: u64) -> Self {
        Self {
            packets,
            lead_packets: Self::LEAD_MAX_PACKETS.min(packets / 2),
        }
    }
}

#[derive(Debug)]
enum Stage {
    /// One key is in use and no other is needed soon.
    Steady,
    /// The next key was made, and the peer has to confirm it.
    Announced {
        next: Arc<StreamKey>,
        message: Box<KeyMessage>,
        /// When it was sent last.
        sent: Option<Micros>,
    },
    /// The peer has the next key.
    Confirmed { next: Arc<StreamKey> },
}

/// The keys that media go out under.
#[derive(Debug)]
pub(crate) struct SendingKeys {
    kek: KeyEncryptionKey,
    rate: RefreshRate,
    secrets: StreamSecrets,
    /// Shared with the packets that were sent under it and may have to be repeated.
    current: Arc<StreamKey>,
    /// Packets under the current key.
    packets: u64,
    renewals: u32,
    stage: Stage,
}

impl SendingKeys {
    /// Begins with the key that the player has brought; with the even one when it has brought both.
    pub(crate) fn new(unsealed: Unsealed, rate: RefreshRate) -> Self {
        let secrets = unsealed.secrets;
        let brought = [Parity::Even, Parity::Odd]
            .into_iter()
            .find_map(|parity| secrets.stream_key(parity));
        Self {
            kek: unsealed.kek,
            rate,
            secrets,
            current: Arc::new(brought.expect("a key message carries one key at least")),
            packets: 0,
            renewals: 0,
            stage: Stage::Steady,
        }
    }

    /// How often the key was changed.
    pub(crate) fn renewals(&self) -> u32 {
        self.renewals
    }

    /// Bits of a key.
    pub(crate) fn bits(&self) -> u16 {
        self.secrets.size().bits()
    }

    /// The key of the next packet that was never sent before.
    pub(crate) fn take(&mut self) -> Arc<StreamKey> {
        if let Stage::Confirmed { next } = &self.stage
            && self.packets >= self.rate.packets
        {
            self.current = Arc::clone(next);
            self.packets = 0;
            self.renewals += 1;
            self.stage = Stage::Steady;
        }
        self.packets += 1;
        Arc::clone(&self.current)
    }

    /// Whether the next key is due. It takes the place of the one before the current, which the peer must
    /// keep while packets under it may have to be repeated: `oldest` is the key of the oldest of those.
    fn is_next_due(&self, oldest: Option<Parity>) -> bool {
        let is_place_free = oldest.is_none_or(|parity| parity == self.current.parity());
        self.packets + self.rate.lead_packets >= self.rate.packets && is_place_free
    }

    /// The key message that is to be sent now. `oldest` is the key of the oldest packet that may have to be
    /// repeated, `interval` the time that the peer is given to answer.
    pub(crate) fn announcement(
        &mut self,
        now: Micros,
        interval: Micros,
        oldest: Option<Parity>,
    ) -> Option<KeyMessage> {
        if matches!(self.stage, Stage::Steady) && self.is_next_due(oldest) {
            self.prepare();
        }
        let Stage::Announced { message, sent, .. } = &mut self.stage else {
            return None;
        };
        if sent.is_some_and(|sent| now - sent < interval) {
            return None;
        }
        *sent = Some(now);
        Some(**message)
    }

    /// Makes the next key. Without random numbers there is none; it is tried again.
    fn prepare(&mut self) {
        let next = self.current.parity().other();
        if self.secrets.renew(next).is_err() {
            return;
        }
        let key = self.secrets.stream_key(next);
        let message = self.kek.wrap(&self.secrets);
        if let (Some(key), Some(message)) = (key, message) {
            self.stage = Stage::Announced {
                next: Arc::new(key),
                message: Box::new(message),
                sent: None,
            };
        }
    }

    /// The peer answers to a key message. Only the same message is a confirmation.
    pub(crate) fn on_response(&mut self, body: &[u8]) {
        if let Stage::Announced { next, message, .. } = &self.stage
            && message.bytes() == body
        {
            let next = Arc::clone(next);
            self.stage = Stage::Confirmed { next };
        }
    }

    /// Whether the current key must not be used any longer.
    pub(crate) fn is_spent(&self) -> bool {
        self.packets >= PACKETS_PER_KEY_MAX
    }
}
