//! The other side of an encrypted connection, for tests: a caller that makes keys and renews them.

use super::message::SALT_BYTES;
use super::secret::{KeyEncryptionKey, StreamSecrets};
use super::{KeyMessage, KeySize, Parity, StreamKey};

/// A caller's keys.
#[derive(Debug)]
pub(in crate::relay::embedded) struct CallerKeys {
    kek: KeyEncryptionKey,
    secrets: StreamSecrets,
}

impl CallerKeys {
    /// A random even key.
    pub(in crate::relay::embedded) fn new(passphrase: &str, size: KeySize) -> Self {
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt).unwrap();
        let mut secrets = StreamSecrets::none(size, salt);
        secrets.renew(Parity::Even).unwrap();
        Self {
            kek: KeyEncryptionKey::derive(&passphrase.into(), size, &salt),
            secrets,
        }
    }

    /// The message that carries the keys.
    pub(in crate::relay::embedded) fn message(&self) -> KeyMessage {
        self.kek.wrap(&self.secrets).unwrap()
    }

    /// Puts a new key in this place.
    pub(in crate::relay::embedded) fn renew(&mut self, parity: Parity) -> KeyMessage {
        self.secrets.renew(parity).unwrap();
        self.message()
    }

    /// Takes the keys of a message that was sealed with the same passphrase and salt.
    pub(in crate::relay::embedded) fn take(&mut self, message: &KeyMessage) {
        assert!(self.kek.fits(message), "the salt stays");
        self.secrets = self.kek.unwrap(message).expect("the same passphrase");
    }

    /// A key.
    pub(in crate::relay::embedded) fn key(&self, parity: Parity) -> StreamKey {
        self.secrets.stream_key(parity).unwrap()
    }
}
