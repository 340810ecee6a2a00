//! Offers to merge two accounts of one person.

use super::OAuthService;
use crate::accounts::oauth::model::{Outcome, STATE_LIFE};
use crate::accounts::oauth::store;
use crate::db::Tx;
use crate::kernel::Result;
use crate::kernel::ids::UserId;
use crate::kernel::secret::{ExposeSecret, TokenDigest, random_token};

impl OAuthService {
    /// Notes that one browser proved to be both users, of whom `kept` may take over what `other` has.
    pub(super) async fn offer_merge(&self, kept: UserId, other: UserId) -> Result<Outcome> {
        let accounts = &self.deps().accounts;
        let user = accounts.user(other).await?;
        let other_has_second_factor = accounts.second_factors().is_enrolled(other).await?;
        let (token, expires_at) = (random_token::<32>(), self.now() + STATE_LIFE);
        let digest = TokenDigest::of(token.expose_secret());
        let job = move |tx: &Tx<'_>| store::merge_insert(tx, digest, kept, other, expires_at);
        self.deps().store.write(job).await?;
        Ok(Outcome::MergeOffered {
            token,
            other: user,
            other_has_second_factor,
        })
    }
}
