//! From a passphrase to stream keys: derivation, unwrapping, wrapping.
//!
//! The derivation repeats a hash 2,048 times for each 20 bytes of key, so that guessing is slow; it is slow
//! for us too: 0.4 ms for a key of 128 bits, 0.7 ms for a longer one (measured, release build).
//!
//! Source: draft-sharabayko-srt-01, section 6.1.4 and 6.1.5; RFC 8018 (PBKDF2), RFC 3394 (AES key wrap).
//!
//! Invariant: nothing here touches media.

use std::fmt;
use std::num::NonZeroU32;

use aes_kw::{KeyInit, KwAes128, KwAes192, KwAes256};
use aws_lc_rs::pbkdf2;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::message::{Carried, KeyMessage, SALT_BYTES, WRAP_BYTES, WRAPPED_MAX_BYTES};
use super::stream_key::StreamKey;
use super::{KeySize, Pair, Parity};

const ITERATIONS: NonZeroU32 = NonZeroU32::new(2048).expect("it is not zero");
/// Only the end of the salt goes into the derivation.
const DERIVATION_SALT_BYTES: usize = 8;

type KeyBytes = Zeroizing<[u8; KeySize::MAX_BYTES]>;

/// The key that stream keys are wrapped with.
pub(super) struct KeyEncryptionKey {
    bytes: KeyBytes,
    size: KeySize,
    salt: [u8; SALT_BYTES],
}

impl fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyEncryptionKey")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl KeyEncryptionKey {
    /// Derives the key. Slow, see the module.
    pub(super) fn derive(
        passphrase: &SecretString,
        size: KeySize,
        salt: &[u8; SALT_BYTES],
    ) -> Self {
        let mut bytes = KeyBytes::default();
        let salt_end = &salt[SALT_BYTES - DERIVATION_SALT_BYTES..];
        let into = &mut bytes[..size.bytes()];
        stretch(passphrase, ITERATIONS, salt_end, into);
        Self {
            bytes,
            size,
            salt: *salt,
        }
    }

    #[cfg(test)]
    pub(super) fn of_bytes(key: &[u8], size: KeySize) -> Self {
        let mut bytes = KeyBytes::default();
        bytes[..size.bytes()].copy_from_slice(key);
        Self {
            bytes,
            size,
            salt: [0; SALT_BYTES],
        }
    }

    /// Whether it is the one that this message is wrapped with, if the passphrase is right.
    pub(super) fn fits(&self, message: &KeyMessage) -> bool {
        self.size == message.size() && self.salt == *message.salt()
    }

    /// The keys in a message; `None` when they were wrapped with another key.
    pub(super) fn unwrap(&self, message: &KeyMessage) -> Option<StreamSecrets> {
        let mut keys = Zeroizing::new([0; WRAPPED_MAX_BYTES]);
        let key = &self.bytes[..self.size.bytes()];
        let (wrapped, into) = (message.wrapped(), &mut keys[..]);
        let keys = match self.size {
            KeySize::Aes128 => KwAes128::new_from_slice(key)
                .ok()?
                .unwrap_key(wrapped, into),
            KeySize::Aes192 => KwAes192::new_from_slice(key)
                .ok()?
                .unwrap_key(wrapped, into),
            KeySize::Aes256 => KwAes256::new_from_slice(key)
                .ok()?
                .unwrap_key(wrapped, into),
        };
        let mut keys = keys.ok()?.chunks_exact(self.size.bytes());
        let mut secrets = StreamSecrets::none(self.size, self.salt);
        let carried: &[Parity] = match message.carried() {
            Carried::One(Parity::Even) => &[Parity::Even],
            Carried::One(Parity::Odd) => &[Parity::Odd],
            Carried::Both => &[Parity::Even, Parity::Odd],
        };
        for parity in carried {
            secrets.set(*parity, keys.next()?);
        }
        Some(secrets)
    }

    /// A message that carries the keys.
    pub(super) fn wrap(&self, secrets: &StreamSecrets) -> Option<KeyMessage> {
        let (carried, keys) = secrets.joined()?;
        let mut wrapped = [0; WRAPPED_MAX_BYTES];
        let bytes = carried_bytes(carried, self.size);
        let (keys, into) = (&keys[..bytes], &mut wrapped[..bytes + WRAP_BYTES]);
        let key = &self.bytes[..self.size.bytes()];
        let wrapped = match self.size {
            KeySize::Aes128 => KwAes128::new_from_slice(key).ok()?.wrap_key(keys, into),
            KeySize::Aes192 => KwAes192::new_from_slice(key).ok()?.wrap_key(keys, into),
            KeySize::Aes256 => KwAes256::new_from_slice(key).ok()?.wrap_key(keys, into),
        };
        let wrapped = wrapped.ok()?;
        Some(KeyMessage::assemble(self.size, carried, self.salt, wrapped))
    }
}

/// PBKDF2 with HMAC-SHA-1.
pub(super) fn stretch(
    passphrase: &SecretString,
    iterations: NonZeroU32,
    salt: &[u8],
    into: &mut [u8],
) {
    let secret = passphrase.expose_secret().as_bytes();
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA1, iterations, salt, secret, into);
}

fn carried_bytes(carried: Carried, size: KeySize) -> usize {
    match carried {
        Carried::One(_) => size.bytes(),
        Carried::Both => 2 * size.bytes(),
    }
}

/// Stream keys as bytes.
pub(super) struct StreamSecrets {
    size: KeySize,
    salt: [u8; SALT_BYTES],
    keys: Pair<KeyBytes>,
}

impl fmt::Debug for StreamSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamSecrets")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl StreamSecrets {
    /// No keys yet, of this size.
    pub(super) fn none(size: KeySize, salt: [u8; SALT_BYTES]) -> Self {
        Self {
            size,
            salt,
            keys: Pair::EMPTY,
        }
    }

    /// Puts a key in its place.
    pub(super) fn set(&mut self, parity: Parity, key: &[u8]) {
        let mut bytes = KeyBytes::default();
        bytes[..key.len()].copy_from_slice(key);
        self.keys.set(parity, bytes);
    }

    /// Puts a fresh random key in this place.
    pub(super) fn renew(&mut self, parity: Parity) -> Result<(), getrandom::Error> {
        let mut key = KeyBytes::default();
        getrandom::fill(&mut key[..self.size.bytes()])?;
        self.keys.set(parity, key);
        Ok(())
    }

    /// A key ready for use.
    pub(super) fn stream_key(&self, parity: Parity) -> Option<StreamKey> {
        let key = self.keys.get(parity)?;
        let key = &key[..self.size.bytes()];
        Some(StreamKey::new(parity, key, self.size, &self.salt))
    }

    /// The size of the keys.
    pub(super) fn size(&self) -> KeySize {
        self.size
    }

    /// The keys one after the other.
    fn joined(&self) -> Option<(Carried, Zeroizing<[u8; 2 * KeySize::MAX_BYTES]>)> {
        let mut joined = Zeroizing::new([0; 2 * KeySize::MAX_BYTES]);
        let bytes = self.size.bytes();
        let (even, odd) = (self.keys.get(Parity::Even), self.keys.get(Parity::Odd));
        let carried = match (even, odd) {
            (Some(_), Some(_)) => Carried::Both,
            (Some(_), None) => Carried::One(Parity::Even),
            (None, Some(_)) => Carried::One(Parity::Odd),
            (None, None) => return None,
        };
        let places = joined.chunks_exact_mut(bytes);
        for (place, key) in places.zip([even, odd].into_iter().flatten()) {
            place.copy_from_slice(&key[..bytes]);
        }
        Some((carried, joined))
    }
}
