//! The keys of a publisher: decryption, and the renewals it announces.
//!
//! Invariant: a peer makes us derive a key at most once a second, however many messages it sends; a message
//! that cannot be opened changes nothing.

use secrecy::SecretString;

use super::secret::{KeyEncryptionKey, StreamSecrets};
use super::{KeyMessage, KeySize, Pair, Parity, StreamKey, Unsealed};
use crate::relay::embedded::time::Micros;

/// libsrt keeps the salt when it renews a key, so that nothing needs to be derived. Another salt is legal,
/// and expensive.
const DERIVE_INTERVAL: Micros = Micros::from_secs(1);

/// What to say to a key message in mid-stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyAnswer {
    /// The keys are known now: the message goes back.
    Confirmed,
    /// It was sealed with another passphrase.
    WrongPassphrase,
    /// Nothing; the peer repeats its message.
    Nothing,
}

/// The keys that media come under.
#[derive(Debug)]
pub(crate) struct ReceivingKeys {
    passphrase: SecretString,
    kek: KeyEncryptionKey,
    derived: Micros,
    keys: Pair<StreamKey>,
    size: KeySize,
    renewals: u32,
    /// The message that was opened last; libsrt may repeat it up to ten times.
    latest: KeyMessage,
}

impl ReceivingKeys {
    /// The keys that a publisher has brought.
    pub(crate) fn new(now: Micros, unsealed: Unsealed) -> Self {
        let mut keys = Pair::EMPTY;
        take(&mut keys, &unsealed.secrets);
        Self {
            passphrase: unsealed.passphrase,
            kek: unsealed.kek,
            derived: now,
            keys,
            size: unsealed.secrets.size(),
            renewals: 0,
            latest: unsealed.message,
        }
    }

    /// The key that a packet's header names, when we have it.
    pub(crate) fn key(&self, flags: u8) -> Option<&StreamKey> {
        self.keys.get(Parity::of_flags(flags)?)
    }

    /// How many renewals were taken.
    pub(crate) fn renewals(&self) -> u32 {
        self.renewals
    }

    /// Bits of a key.
    pub(crate) fn bits(&self) -> u16 {
        self.size.bits()
    }

    /// Takes a renewal.
    pub(crate) fn renew(&mut self, now: Micros, message: &KeyMessage) -> KeyAnswer {
        if *message == self.latest {
            return KeyAnswer::Confirmed;
        }
        if !self.kek.fits(message) {
            if now - self.derived < DERIVE_INTERVAL {
                return KeyAnswer::Nothing;
            }
            self.derived = now;
            let kek = KeyEncryptionKey::derive(&self.passphrase, message.size(), message.salt());
            let Some(secrets) = kek.unwrap(message) else {
                return KeyAnswer::WrongPassphrase;
            };
            self.kek = kek;
            return self.accept(&secrets, message);
        }
        match self.kek.unwrap(message) {
            Some(secrets) => self.accept(&secrets, message),
            None => KeyAnswer::WrongPassphrase,
        }
    }

    fn accept(&mut self, secrets: &StreamSecrets, message: &KeyMessage) -> KeyAnswer {
        take(&mut self.keys, secrets);
        self.size = secrets.size();
        self.latest = *message;
        self.renewals = self.renewals.saturating_add(1);
        KeyAnswer::Confirmed
    }
}

fn take(keys: &mut Pair<StreamKey>, secrets: &StreamSecrets) {
    for parity in [Parity::Even, Parity::Odd] {
        if let Some(key) = secrets.stream_key(parity) {
            keys.set(parity, key);
        }
    }
}
