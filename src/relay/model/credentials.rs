//! Tokens that only old clients read.

use crate::kernel::secret::{ExposeSecret, SecretString, random_bytes, random_token};

/// Tokens that a session carries for old clients; nothing of ours reads them.
#[derive(Debug, Clone)]
pub struct SessionCredentials {
    /// Eight characters of A to Z and 0 to 9.
    pub pair_token: SecretString,
    /// 24 random bytes in URL-safe base64.
    pub relay_ws_token: SecretString,
}

/// Characters of a pair token.
const PAIR_TOKEN_CHARS: usize = 8;

impl SessionCredentials {
    /// Draws both.
    #[must_use]
    pub fn generate() -> Self {
        const ALPHABET: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        let mut random = u64::from_le_bytes(random_bytes::<8>());
        let pair_token: String = (0..PAIR_TOKEN_CHARS)
            .map(|_| {
                let digit = usize::try_from(random % 36).unwrap_or(0);
                random /= 36;
                char::from(ALPHABET[digit])
            })
            .collect();
        Self {
            pair_token: SecretString::from(pair_token),
            relay_ws_token: random_token::<24>(),
        }
    }

    /// Both in one text, for sealing.
    pub(in crate::relay) fn joined(&self) -> SecretString {
        let (pair, ws) = (
            self.pair_token.expose_secret(),
            self.relay_ws_token.expose_secret(),
        );
        SecretString::from(format!("{pair}{ws}"))
    }

    /// What [`Self::joined`] made; `None` for anything shorter.
    pub(in crate::relay) fn split(joined: &SecretString) -> Option<Self> {
        let (pair, ws) = joined.expose_secret().split_at_checked(PAIR_TOKEN_CHARS)?;
        Some(Self {
            pair_token: SecretString::from(pair),
            relay_ws_token: SecretString::from(ws),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_token_is_eight_capitals_or_digits_and_survives_sealing() {
        let credentials = SessionCredentials::generate();
        let pair = credentials.pair_token.expose_secret();
        assert_eq!(pair.len(), 8);
        assert!(
            pair.bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        );
        let again = SessionCredentials::split(&credentials.joined()).unwrap();
        assert_eq!(again.pair_token.expose_secret(), pair);
        assert_eq!(
            again.relay_ws_token.expose_secret(),
            credentials.relay_ws_token.expose_secret()
        );
    }
}
