//! A key that encrypts and decrypts media: AES in counter mode.
//!
//! Counter mode adds the same bytes again to decrypt, keeps the length, and gives the same bytes for the same
//! packet each time: a repetition can be encrypted anew and is what it was.
//!
//! Source: draft-sharabayko-srt-01, sections 6.2.2 and 6.3.2.
//!
//! Invariant: the counter block depends on salt and sequence number alone, so one key must never see two
//! media under one sequence number; [`super::SendingKeys`] renews it long before the numbers wrap.

use std::fmt;

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;

use super::message::SALT_BYTES;
use super::{KeySize, Parity};
use crate::relay::embedded::sequence::Sequence;

/// Where the sequence number goes in the counter block; after it the blocks of a packet are counted.
const SEQUENCE_AT: usize = 10;
const COUNTER_BYTES: usize = 2;

/// A key ready for use. The key schedule is wiped when it is dropped.
pub(crate) struct StreamKey {
    parity: Parity,
    cipher: EncryptingKey,
    /// The salt, with zeros where blocks are counted.
    nonce: [u8; SALT_BYTES],
}

impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamKey")
            .field("parity", &self.parity)
            .finish_non_exhaustive()
    }
}

impl StreamKey {
    /// `key` has the bytes of its size.
    pub(super) fn new(parity: Parity, key: &[u8], size: KeySize, salt: &[u8; SALT_BYTES]) -> Self {
        let algorithm = match size {
            KeySize::Aes128 => &AES_128,
            KeySize::Aes192 => &AES_192,
            KeySize::Aes256 => &AES_256,
        };
        let key = UnboundCipherKey::new(algorithm, key).expect("the key has the size");
        let mut nonce = *salt;
        nonce[SALT_BYTES - COUNTER_BYTES..].fill(0);
        Self {
            parity,
            cipher: EncryptingKey::ctr(key).expect("every size has a counter mode"),
            nonce,
        }
    }

    /// How a packet's header names it.
    pub(crate) fn parity(&self) -> Parity {
        self.parity
    }

    /// Encrypts the media of a packet in place; decrypts them when they are encrypted.
    pub(crate) fn apply(&self, sequence: Sequence, media: &mut [u8]) {
        let mut block = self.nonce;
        let places = &mut block[SEQUENCE_AT..SALT_BYTES - COUNTER_BYTES];
        for (place, byte) in places.iter_mut().zip(sequence.get().to_be_bytes()) {
            *place ^= byte;
        }
        let context = EncryptionContext::Iv128(FixedLength::from(block));
        self.cipher
            .less_safe_encrypt(media, context)
            .expect("counter mode takes any length and a block of 16 bytes");
    }
}
