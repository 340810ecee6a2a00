//! Encryption of media: key messages, stream keys, and how both sides renew them.
//!
//! ```text
//!  passphrase + salt ──PBKDF2──► key-encryption key ──unwraps──► even and odd stream key ──AES-CTR──► media
//!                                (secret)                        (message carries them)    (stream_key)
//! ```
//!
//! The caller makes the first stream key and brings it in its conclusion, whichever way media go. From then
//! on each sender renews its own: it announces the next key, even and odd in turn, goes over to it when the
//! peer has confirmed, and a packet's header says which of the two it needs.
//!
//! * [`unseal`] opens the key message of a conclusion; it takes PBKDF2 half a millisecond, so it comes after
//!   everything else that can refuse a caller.
//! * [`ReceivingKeys`] decrypts what a publisher sends and takes its renewals.
//! * [`SendingKeys`] encrypts what a player is sent and renews the key.
//!
//! Which code does what: PBKDF2 and AES-CTR come from `aws-lc-rs`, which has them in assembly (0.25 µs for the
//! media of a packet with 128 bits, 0.27 µs with 256; the `aes` and `ctr` crates take 0.28 and 0.32 µs). The
//! key wrap comes from `aes-kw`, because `aws-lc-rs` has none for 192 bits, and two ways would be one too many
//! for a microsecond a key.
//!
//! Source: draft-sharabayko-srt-01, sections 3.2.2 (key message) and 6 (encryption); libsrt's `haicrypt` for
//! what the draft leaves open (read November 2026).
//!
//! Invariant: no passphrase and no key is in `Debug` output, and all of them are wiped when dropped.

mod message;
mod receiving;
mod secret;
mod sending;
mod stream_key;
#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;

use secrecy::SecretString;

pub(crate) use self::message::{BadKeyMessage, KeyMessage};
pub(crate) use self::receiving::{KeyAnswer, ReceivingKeys};
use self::secret::{KeyEncryptionKey, StreamSecrets};
pub(crate) use self::sending::{RefreshRate, SendingKeys};
pub(crate) use self::stream_key::StreamKey;

/// Which AES.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeySize {
    /// AES-128.
    Aes128,
    /// AES-192.
    Aes192,
    /// AES-256.
    Aes256,
}

impl KeySize {
    /// The largest key.
    pub(super) const MAX_BYTES: usize = 32;

    /// Bytes of a key.
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes192 => 24,
            Self::Aes256 => 32,
        }
    }

    /// Bits of a key.
    pub(crate) const fn bits(self) -> u16 {
        match self {
            Self::Aes128 => 128,
            Self::Aes192 => 192,
            Self::Aes256 => 256,
        }
    }

    const fn of_bytes(bytes: usize) -> Option<Self> {
        match bytes {
            16 => Some(Self::Aes128),
            24 => Some(Self::Aes192),
            32 => Some(Self::Aes256),
            _ => None,
        }
    }
}

/// Which of the two keys that are in use around a renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parity {
    /// The even key, the first one.
    Even,
    /// The odd key.
    Odd,
}

impl Parity {
    /// The flags of a data packet's header, or of a key message with one key.
    pub(crate) const fn flags(self) -> u8 {
        match self {
            Self::Even => 1,
            Self::Odd => 2,
        }
    }

    /// The key that a data packet's header names; `None` for no key, and for both, which makes no sense.
    pub(crate) const fn of_flags(flags: u8) -> Option<Self> {
        match flags {
            1 => Some(Self::Even),
            2 => Some(Self::Odd),
            _ => None,
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::Even => Self::Odd,
            Self::Odd => Self::Even,
        }
    }
}

/// Something for each of the two keys.
#[derive(Debug)]
struct Pair<T> {
    even: Option<T>,
    odd: Option<T>,
}

impl<T> Pair<T> {
    const EMPTY: Self = Self {
        even: None,
        odd: None,
    };

    fn get(&self, parity: Parity) -> Option<&T> {
        match parity {
            Parity::Even => self.even.as_ref(),
            Parity::Odd => self.odd.as_ref(),
        }
    }

    fn set(&mut self, parity: Parity, value: T) {
        match parity {
            Parity::Even => self.even = Some(value),
            Parity::Odd => self.odd = Some(value),
        }
    }
}

/// The passphrase does not open the key message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WrongPassphrase;

/// An opened key message, and what is needed to open or seal the next.
#[derive(Debug)]
pub(crate) struct Unsealed {
    /// The message; it goes back to the peer as the confirmation.
    pub(crate) message: KeyMessage,
    kek: KeyEncryptionKey,
    secrets: StreamSecrets,
    passphrase: SecretString,
}

/// Opens the key message of a conclusion. Takes about half a millisecond, see [`secret`].
pub(crate) fn unseal(
    passphrase: &SecretString,
    message: KeyMessage,
) -> Result<Unsealed, WrongPassphrase> {
    let kek = KeyEncryptionKey::derive(passphrase, message.size(), message.salt());
    let secrets = kek.unwrap(&message).ok_or(WrongPassphrase)?;
    Ok(Unsealed {
        message,
        kek,
        secrets,
        passphrase: passphrase.clone(),
    })
}
