//! Sign-ins that wait for a code.

use rusqlite::Connection;

use super::SecondFactors;
use crate::accounts::second_factor::model::PENDING_LIFE;
use crate::accounts::second_factor::store;
use crate::db::Tx;
use crate::kernel::ids::UserId;
use crate::kernel::secret::{ExposeSecret, SecretString, TokenDigest, random_token};
use crate::kernel::{Error, Result};

impl SecondFactors {
    /// Notes that `user` gave their password or came through a provider, and owes the code. The token goes into
    /// a cookie.
    ///
    /// # Errors
    /// The store's.
    pub async fn begin_sign_in(&self, user: UserId) -> Result<SecretString> {
        let (token, expires_at) = (random_token::<32>(), self.0.clock.now() + PENDING_LIFE);
        let digest = TokenDigest::of(token.expose_secret());
        let job = move |tx: &Tx<'_>| store::pending_insert(tx, digest, user, expires_at);
        self.0.store.write(job).await?;
        Ok(token)
    }

    /// Whether a sign-in waits under this token.
    ///
    /// # Errors
    /// The store's.
    pub async fn is_waiting(&self, token: &str) -> Result<bool> {
        Ok(self.waiting_user(token).await?.is_some())
    }

    async fn waiting_user(&self, token: &str) -> Result<Option<UserId>> {
        let (digest, now) = (TokenDigest::of(token), self.0.clock.now());
        let read = move |conn: &Connection| store::pending_user(conn, digest, now);
        Ok(self.0.store.read(read).await?)
    }

    /// Whose sign-in is complete with this code.
    ///
    /// # Errors
    /// `Unauthenticated` when nothing waits under the token any more, `Invalid` with field `code`,
    /// `LimitReached` after too many.
    pub async fn finish_sign_in(&self, token: &str, code: &str) -> Result<UserId> {
        let over = || Error::unauthenticated("this sign-in took too long: begin it again");
        let user = self.waiting_user(token).await?.ok_or_else(over)?;
        self.check(user, code).await?;
        let digest = TokenDigest::of(token);
        let job = move |tx: &Tx<'_>| store::pending_delete(tx, digest);
        self.0.store.write(job).await?;
        Ok(user)
    }

    /// Forgets sign-ins that waited in vain; returns how many.
    ///
    /// # Errors
    /// The store's.
    pub async fn delete_old(&self) -> Result<usize> {
        let now = self.0.clock.now();
        let job = move |tx: &Tx<'_>| store::pending_delete_old(tx, now);
        Ok(self.0.store.write(job).await?)
    }
}
