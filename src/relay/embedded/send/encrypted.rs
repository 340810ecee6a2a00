//! What encryption adds to sending.
//!
//! A player with a key of its own shares the plain media with all others in memory. They are encrypted on
//! their way into the datagram, each time they are sent: counter mode gives a repetition the same bytes.
//!
//! Invariant: who has keys is sent nothing plain.

use std::sync::Arc;

use bytes::Bytes;

use super::{ControlMessage, Sender};
use crate::relay::embedded::crypto::{SendingKeys, StreamKey};
use crate::relay::embedded::sequence::Sequence;
use crate::relay::embedded::time::Micros;
use crate::relay::embedded::wire::{ControlKind, HEADER_BYTES, word};

/// A peer on the same machine is not asked to confirm a key more often than this.
const KEY_REQUEST_INTERVAL_MIN: Micros = Micros::from_millis(100);

/// A data packet on its way.
#[derive(Debug, Clone)]
pub(crate) struct OutgoingData {
    /// Its header.
    pub(crate) header: [u8; HEADER_BYTES],
    /// The media, plain and shared among players.
    pub(crate) payload: Bytes,
    /// What the media are to be encrypted with.
    pub(crate) key: Option<Arc<StreamKey>>,
}

impl OutgoingData {
    /// Gives the packet to `send` in two parts, the first of which may be empty. An encrypted one is put
    /// together in `scratch`.
    pub(crate) fn emit(&self, scratch: &mut Vec<u8>, send: impl FnOnce(&[u8], &[u8])) {
        let (Some(key), Some(sequence)) = (&self.key, word(&self.header, 0)) else {
            send(&self.header, &self.payload);
            return;
        };
        scratch.clear();
        scratch.extend_from_slice(&self.header);
        scratch.extend_from_slice(&self.payload);
        key.apply(Sequence::new(sequence), &mut scratch[HEADER_BYTES..]);
        send(&[], scratch);
    }
}

impl Sender {
    /// Encrypts with these keys from now on.
    pub(crate) fn with_keys(mut self, keys: SendingKeys) -> Self {
        self.keys = Some(Box::new(keys));
        self
    }

    /// Bits of the stream key; 0 when media go out plain.
    pub(crate) fn key_bits(&self) -> u16 {
        self.keys.as_ref().map_or(0, |keys| keys.bits())
    }

    /// How often the stream key was renewed.
    pub(crate) fn key_renewals(&self) -> u32 {
        self.keys.as_ref().map_or(0, |keys| keys.renewals())
    }

    /// The key message that is to be sent now, if one is.
    pub(crate) fn key_request(&mut self, now: Micros) -> Option<ControlMessage> {
        let interval = self.rtt.patience().max(KEY_REQUEST_INTERVAL_MIN);
        let oldest = self.buffer.front().and_then(|queued| queued.key.as_deref());
        let oldest = oldest.map(StreamKey::parity);
        let message = self.keys.as_mut()?.announcement(now, interval, oldest)?;
        Some(ControlMessage {
            kind: ControlKind::KeyRequest,
            info: 0,
            body: message.bytes().to_vec(),
        })
    }

    /// The peer answers to a key message.
    pub(crate) fn on_key_response(&mut self, body: &[u8]) {
        if let Some(keys) = &mut self.keys {
            keys.on_response(body);
        }
    }

    /// Whether the peer has let its key be used up, without taking a new one.
    pub(crate) fn is_key_spent(&self) -> bool {
        self.keys.as_ref().is_some_and(|keys| keys.is_spent())
    }
}
