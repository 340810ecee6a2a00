//! Secrets at rest: sealed with AES-256-GCM, found again by a keyed hash.
//!
//! The associated data names table, column and row, so a ciphertext that was moved to another row does
//! not open. A version byte leaves room for another key.

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::error::Error;
use super::secret::{ExposeSecret, SecretString, TokenDigest, random_bytes};

const VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;

/// A sealed value that does not open: another key, another row, or damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sealed value does not open: it was made with another sealing key, or is damaged")]
pub struct Unsealable;

impl From<Unsealable> for Error {
    fn from(error: Unsealable) -> Self {
        Self::internal(error)
    }
}

/// Seals secrets and hashes them for look-up. Cheap to share behind an `Arc`.
pub struct Vault {
    cipher: Aes256Gcm,
    lookup: Hmac<Sha256>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault(***)")
    }
}

impl Vault {
    /// Derives both keys from the sealing key.
    #[must_use]
    pub fn new(sealing_key: &[u8; 32]) -> Self {
        let cipher_key = derive(sealing_key, b"glb sealing v1");
        let lookup_key = derive(sealing_key, b"glb look-up v1");
        Self {
            cipher: Aes256Gcm::new(&cipher_key.into()),
            lookup: keyed(&lookup_key),
        }
    }

    /// Seals `secret` for the place that `context` names, such as `slot.publish_key:slt_...`.
    #[must_use]
    pub fn seal(&self, secret: &SecretString, context: &str) -> Vec<u8> {
        let nonce: [u8; NONCE_BYTES] = random_bytes();
        let payload = Payload {
            msg: secret.expose_secret().as_bytes(),
            aad: context.as_bytes(),
        };
        let sealed = self
            .cipher
            .encrypt(&Nonce::from(nonce), payload)
            .expect("AES-GCM seals anything shorter than 64 GiB");
        [&[VERSION][..], &nonce, &sealed].concat()
    }

    /// Opens what [`Self::seal`] made for the same `context`.
    ///
    /// # Errors
    /// [`Unsealable`] for anything else.
    pub fn open(&self, sealed: &[u8], context: &str) -> Result<SecretString, Unsealable> {
        let rest = sealed.strip_prefix(&[VERSION]).ok_or(Unsealable)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(Unsealable)?;
        let payload = Payload {
            msg: sealed,
            aad: context.as_bytes(),
        };
        let plain = self
            .cipher
            .decrypt(&Nonce::from(*nonce), payload)
            .map_err(|_| Unsealable)?;
        String::from_utf8(plain)
            .map(SecretString::from)
            .map_err(|_| Unsealable)
    }

    /// The keyed hash under which `secret` is found; useless without the sealing key.
    #[must_use]
    pub fn lookup(&self, secret: &str) -> TokenDigest {
        let mut mac = self.lookup.clone();
        mac.update(secret.as_bytes());
        TokenDigest::from_bytes(mac.finalize().into_bytes().into())
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length")
}

fn derive(key: &[u8; 32], label: &[u8]) -> [u8; 32] {
    let mut mac = keyed(key);
    mac.update(label);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_secret_opens_only_in_its_own_row() {
        let vault = Vault::new(&[7; 32]);
        let secret = SecretString::from("live_abc");
        let sealed = vault.seal(&secret, "slot.publish_key:slt_1");
        let opened = vault.open(&sealed, "slot.publish_key:slt_1").unwrap();
        assert_eq!(opened.expose_secret(), "live_abc");
        assert!(vault.open(&sealed, "slot.publish_key:slt_2").is_err());
        assert!(
            Vault::new(&[8; 32])
                .open(&sealed, "slot.publish_key:slt_1")
                .is_err()
        );
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let vault = Vault::new(&[7; 32]);
        let sealed = vault.seal(&SecretString::from("live_abc"), "x");
        for position in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[position] ^= 1;
            assert!(vault.open(&damaged, "x").is_err(), "byte {position}");
        }
        assert!(vault.open(&[], "x").is_err());
    }

    #[test]
    fn look_up_depends_on_key_and_secret() {
        let (one, other) = (Vault::new(&[7; 32]), Vault::new(&[8; 32]));
        assert_eq!(one.lookup("a"), one.lookup("a"));
        assert_ne!(one.lookup("a"), one.lookup("b"));
        assert_ne!(one.lookup("a"), other.lookup("a"));
    }
}
