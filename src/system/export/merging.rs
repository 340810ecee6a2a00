//! Merging two accounts: the account that goes is deleted as when somebody leaves.

use super::Departures;
use crate::accounts::oauth::model::{MergeWish, Merged};
use crate::accounts::oauth::service::not_mergeable;
use crate::kernel::ids::UserId;
use crate::kernel::{Actor, Result};

impl Departures {
    /// Merges two accounts that the caller's browser proved. From the answer on the one that goes is signed out for
    /// good; what a silent node holds up is carried through by a job.
    ///
    /// # Errors
    /// `Conflict` with reason `account_not_mergeable` while the account that would go is on air: what is live stays
    /// live. Else as [`crate::accounts::oauth::OAuthService::merge`].
    pub async fn merge(&self, actor: &Actor, wish: MergeWish) -> Result<Merged> {
        let offer = self.deps().oauth.merge_offer(actor).await?;
        let (_, gone) = offer.kept_and_gone(wish.kept);
        if self.is_on_air(gone.user.id).await? {
            return Err(not_mergeable("it is on air"));
        }
        let merged = self.deps().oauth.merge(actor, wish).await?;
        self.carry_through(merged.gone).await;
        Ok(merged)
    }

    /// Whether a broadcast of a user is going on.
    ///
    /// # Errors
    /// The store's.
    pub async fn is_on_air(&self, user: UserId) -> Result<bool> {
        let slots = self.deps().slots.list(user).await?;
        let mut states = slots.iter().map(|slot| self.deps().live.state(slot.id).0);
        Ok(states.any(crate::live::State::is_on_air))
    }
}
