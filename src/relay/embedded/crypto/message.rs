//! The key message: stream keys on their way, wrapped so that only who has the passphrase can use them.
//!
//! ```text
//!  0     version 1, type 2 (0x12)      8     cipher: 2 is AES-CTR    14    salt length / 4
//!  1..3  signature 0x2029              9     authentication: none    15    key length / 4
//!  3     which keys: 1 even, 2 odd     10    encapsulation: 2, SRT   16..  salt
//!  4..8  key-encryption key index: 0   11..  reserved                32..  wrapped keys, even one first
//! ```
//!
//! Source: draft-sharabayko-srt-01, section 3.2.2; libsrt `haicrypt/hcrypt_msg.h`.
//!
//! Invariant: a [`KeyMessage`] is exactly as long as its length fields say, and goes out byte for byte as it
//! came in: libsrt takes nothing else for a confirmation.

use std::fmt;

use super::{KeySize, Parity};

const VERSION_AND_TYPE: u8 = 0x12;
const SIGNATURE: [u8; 2] = [0x20, 0x29];
const CIPHER_AES_CTR: u8 = 2;
const AUTHENTICATION_NONE: u8 = 0;
const ENCAPSULATION_SRT: u8 = 2;
/// The only length that the draft knows.
pub(super) const SALT_BYTES: usize = 16;
const SALT_AT: usize = 16;
const WRAPPED_AT: usize = SALT_AT + SALT_BYTES;
/// What the key wrap adds.
pub(super) const WRAP_BYTES: usize = 8;
/// Two wrapped keys of the largest size.
pub(super) const WRAPPED_MAX_BYTES: usize = 2 * KeySize::MAX_BYTES + WRAP_BYTES;
const MESSAGE_MAX_BYTES: usize = WRAPPED_AT + WRAPPED_MAX_BYTES;

/// Why a key message cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadKeyMessage {
    /// It makes no sense.
    Malformed,
    /// Another cipher than AES in counter mode.
    OtherCipher,
}

/// Which keys a message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carried {
    /// One.
    One(Parity),
    /// Both, the even one first.
    Both,
}

impl Carried {
    const fn of_flags(flags: u8) -> Option<Self> {
        match flags {
            1 => Some(Self::One(Parity::Even)),
            2 => Some(Self::One(Parity::Odd)),
            3 => Some(Self::Both),
            _ => None,
        }
    }

    const fn flags(self) -> u8 {
        match self {
            Self::One(parity) => parity.flags(),
            Self::Both => 3,
        }
    }

    const fn count(self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Both => 2,
        }
    }
}

/// A key message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyMessage {
    bytes: [u8; MESSAGE_MAX_BYTES],
    length: usize,
    size: KeySize,
    carried: Carried,
    salt: [u8; SALT_BYTES],
}

impl fmt::Debug for KeyMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyMessage")
            .field("size", &self.size)
            .field("carried", &self.carried)
            .finish_non_exhaustive()
    }
}

impl KeyMessage {
    /// Parses what a peer sent. Allocates nothing, so it may be done for a stranger.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, BadKeyMessage> {
        let malformed = BadKeyMessage::Malformed;
        let head = body.first_chunk::<SALT_AT>().ok_or(malformed)?;
        if head[0] != VERSION_AND_TYPE || head[1..3] != SIGNATURE {
            return Err(malformed);
        }
        if head[8] != CIPHER_AES_CTR || head[9] != AUTHENTICATION_NONE {
            return Err(BadKeyMessage::OtherCipher);
        }
        let carried = Carried::of_flags(head[3] & 3).ok_or(malformed)?;
        let size = KeySize::of_bytes(usize::from(head[15]) * 4).ok_or(malformed)?;
        let has_salt = usize::from(head[14]) * 4 == SALT_BYTES;
        let length = WRAPPED_AT + carried.count() * size.bytes() + WRAP_BYTES;
        if head[10] != ENCAPSULATION_SRT || !has_salt || body.len() != length {
            return Err(malformed);
        }
        let salt = body[SALT_AT..].first_chunk().ok_or(malformed)?;
        let mut bytes = [0; MESSAGE_MAX_BYTES];
        bytes[..length].copy_from_slice(body);
        Ok(Self {
            bytes,
            length,
            size,
            carried,
            salt: *salt,
        })
    }

    /// A message that carries wrapped keys of this size.
    pub(super) fn assemble(
        size: KeySize,
        carried: Carried,
        salt: [u8; SALT_BYTES],
        wrapped: &[u8],
    ) -> Self {
        let mut bytes = [0; MESSAGE_MAX_BYTES];
        bytes[0] = VERSION_AND_TYPE;
        bytes[1..3].copy_from_slice(&SIGNATURE);
        bytes[3] = carried.flags();
        bytes[8] = CIPHER_AES_CTR;
        bytes[9] = AUTHENTICATION_NONE;
        bytes[10] = ENCAPSULATION_SRT;
        bytes[14] = words(SALT_BYTES);
        bytes[15] = words(size.bytes());
        bytes[SALT_AT..WRAPPED_AT].copy_from_slice(&salt);
        let length = WRAPPED_AT + wrapped.len();
        bytes[WRAPPED_AT..length].copy_from_slice(wrapped);
        Self {
            bytes,
            length,
            size,
            carried,
            salt,
        }
    }

    /// The message on the wire; a multiple of four bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The size of its keys.
    pub(crate) fn size(&self) -> KeySize {
        self.size
    }

    pub(super) fn salt(&self) -> &[u8; SALT_BYTES] {
        &self.salt
    }

    pub(super) fn carried(&self) -> Carried {
        self.carried
    }

    pub(super) fn wrapped(&self) -> &[u8] {
        &self.bytes[WRAPPED_AT..self.length]
    }
}

fn words(bytes: usize) -> u8 {
    u8::try_from(bytes / 4).expect("salts and keys are short")
}
