//! What encryption adds to receiving.
//!
//! Media are decrypted when they are stored, in the one buffer that they are stored in: what comes twice or
//! too late is never decrypted, and everything behind this knows plain media only.
//!
//! Invariant: a packet that cannot be decrypted is as good as lost: it is neither stored nor acknowledged.

use bytes::Bytes;

use super::arena::Block;
use super::{ControlMessage, Receiver};
use crate::relay::embedded::crypto::{KeyAnswer, KeyMessage, ReceivingKeys};
use crate::relay::embedded::time::Micros;
use crate::relay::embedded::wire::{ControlKind, DataPacket};

/// libsrt's number for a wrong passphrase. Source: `SRT_KM_STATE` in `srt.h`.
const KEY_STATE_BAD_SECRET: u32 = 4;

impl Receiver {
    /// Decrypts with these keys from now on. Who publishes encrypted sends nothing plain.
    pub(crate) fn with_keys(mut self, keys: ReceivingKeys) -> Self {
        self.keys = Some(Box::new(keys));
        self
    }

    /// Whether media are encrypted the way that was agreed, under a key that we have.
    pub(crate) fn can_decrypt(&self, packet: &DataPacket<'_>) -> bool {
        match &self.keys {
            None => packet.key_flags == 0,
            Some(keys) => keys.key(packet.key_flags).is_some(),
        }
    }

    /// Bits of the stream key; 0 when media come plain.
    pub(crate) fn key_bits(&self) -> u16 {
        self.keys.as_ref().map_or(0, |keys| keys.bits())
    }

    /// How often the stream key was renewed.
    pub(crate) fn key_renewals(&self) -> u32 {
        self.keys.as_ref().map_or(0, |keys| keys.renewals())
    }

    /// The peer renews its key; the answer, if there is one to give.
    pub(crate) fn on_key_request(&mut self, now: Micros, body: &[u8]) -> Option<ControlMessage> {
        let keys = self.keys.as_mut()?;
        let message = KeyMessage::parse(body).ok()?;
        let body = match keys.renew(now, &message) {
            KeyAnswer::Confirmed => message.bytes().to_vec(),
            // libsrt sends this one number in the order of its own machine, which is little-endian.
            KeyAnswer::WrongPassphrase => KEY_STATE_BAD_SECRET.to_le_bytes().to_vec(),
            KeyAnswer::Nothing => return None,
        };
        Some(ControlMessage {
            kind: ControlKind::KeyResponse,
            info: 0,
            body,
        })
    }

    /// Keeps a packet's media as they were before encryption.
    pub(super) fn store_plain(&mut self, packet: &DataPacket<'_>) -> (Bytes, Block) {
        let key = self.keys.as_ref().and_then(|x| x.key(packet.key_flags));
        self.arena.store(packet.payload, |media| {
            if let Some(key) = key {
                key.apply(packet.sequence, media);
            }
        })
    }
}
