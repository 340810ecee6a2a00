//! A pair of tokens that can be handed out again, because its answer may be lost.

use crate::accounts::model::AccessId;
use crate::kernel::UnixMillis;
use crate::kernel::seal::{Unsealable, Vault};
use crate::kernel::secret::{ExposeSecret, SecretString, TokenDigest, random_token};

/// A pair of tokens as it was issued: enough to hand out the same pair again.
#[derive(Debug, Clone)]
pub struct Issued {
    pub(super) refresh_token: SecretString,
    pub(super) access_id: AccessId,
    pub(super) at: UnixMillis,
}

impl Issued {
    /// A fresh pair.
    pub(super) fn new(now: UnixMillis) -> Self {
        Self {
            refresh_token: random_token::<32>(),
            access_id: AccessId::generate(),
            at: now,
        }
    }

    /// What the store keeps of the refresh token.
    pub(super) fn digest(&self) -> TokenDigest {
        TokenDigest::of(self.refresh_token.expose_secret())
    }

    /// Seals the pair for the row that `context` names.
    #[must_use]
    pub fn seal(&self, vault: &Vault, context: &str) -> Vec<u8> {
        let (token, id, at) = (
            self.refresh_token.expose_secret(),
            self.access_id,
            self.at.0,
        );
        vault.seal(&SecretString::from(format!("{token} {id} {at}")), context)
    }

    /// Opens what [`Self::seal`] made.
    ///
    /// # Errors
    /// [`Unsealable`].
    pub fn open(sealed: &[u8], vault: &Vault, context: &str) -> Result<Self, Unsealable> {
        let text = vault.open(sealed, context)?;
        let mut words = text.expose_secret().split(' ');
        let mut word = || words.next().ok_or(Unsealable);
        Ok(Self {
            refresh_token: SecretString::from(word()?),
            access_id: word()?.parse().map_err(|_| Unsealable)?,
            at: UnixMillis(word()?.parse().map_err(|_| Unsealable)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_pair_opens_only_in_its_own_row() {
        let vault = Vault::new(&[7; 32]);
        let issued = Issued::new(UnixMillis(1_774_300_000_123));
        let sealed = issued.seal(&vault, "row 1");
        let opened = Issued::open(&sealed, &vault, "row 1").unwrap();
        assert_eq!(
            opened.refresh_token.expose_secret(),
            issued.refresh_token.expose_secret()
        );
        assert_eq!((opened.access_id, opened.at), (issued.access_id, issued.at));
        assert!(Issued::open(&sealed, &vault, "row 2").is_err());
        let damaged = vault.seal(&SecretString::from("token only"), "row 1");
        assert!(Issued::open(&damaged, &vault, "row 1").is_err());
    }
}
