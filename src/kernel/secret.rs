//! Random tokens, their digests, and comparisons that tell nothing by their duration.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
pub use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Fills an array with random bytes of the operating system.
///
/// # Panics
/// When the operating system has no random source: nothing may go on without one.
#[must_use]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// A random opaque token of `N` bytes in URL-safe base64 without padding (24 bytes are 32 characters).
#[must_use]
pub fn random_token<const N: usize>() -> SecretString {
    SecretString::from(URL_SAFE_NO_PAD.encode(random_bytes::<N>()))
}

/// A random token of `N` bytes in lower-case hexadecimal, for keys that people read or type.
#[must_use]
pub fn random_hex<const N: usize>() -> SecretString {
    SecretString::from(hex(&random_bytes::<N>()))
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| {
            [
                DIGITS[usize::from(byte >> 4)],
                DIGITS[usize::from(byte & 15)],
            ]
        })
        .map(char::from)
        .collect()
}

/// Whether two secrets are equal, in a time that depends on their lengths only.
#[must_use]
pub fn secrets_match(given: &str, expected: &SecretString) -> bool {
    given
        .as_bytes()
        .ct_eq(expected.expose_secret().as_bytes())
        .into()
}

/// SHA-256 of an opaque random token: what the store keeps instead of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// The digest of `token`.
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// Wraps 32 bytes that are a digest already.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// In lower-case hexadecimal, for a digest that goes out as a proof.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex(&self.0)
    }

    /// Whether both are equal, in constant time.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(***)")
    }
}

impl ToSql for TokenDigest {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(&self.0[..]))
    }
}

impl FromSql for TokenDigest {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        <[u8; 32]>::try_from(value.as_blob()?)
            .map(Self)
            .map_err(|_| FromSqlError::InvalidBlobSize {
                expected_size: 32,
                blob_size: 0,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_the_promised_length_and_differ() {
        assert_eq!(random_token::<24>().expose_secret().len(), 32);
        assert_eq!(random_token::<32>().expose_secret().len(), 43);
        assert_eq!(random_hex::<16>().expose_secret().len(), 32);
        assert_ne!(
            random_hex::<16>().expose_secret(),
            random_hex::<16>().expose_secret()
        );
    }

    #[test]
    fn a_secret_and_a_digest_do_not_print() {
        let token = SecretString::from("canary");
        assert!(!format!("{token:?}").contains("canary"));
        assert_eq!(
            format!("{:?}", TokenDigest::of("canary")),
            "TokenDigest(***)"
        );
    }
}
