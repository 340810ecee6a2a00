//! Linking and unlinking.

use std::time::Duration;

use super::OAuthService;
use crate::accounts::oauth::model::{Identity, LinkedAccount, Outcome, Provider, ProviderTokens};
use crate::accounts::oauth::store::{self, LinkRow};
use crate::accounts::store::user_has_password;
use crate::db::Tx;
use crate::kernel::ids::UserId;
use crate::kernel::secret::{SecretString, secrets_match};
use crate::kernel::{Actor, Error, Result, UnixMillis};

/// How long a page of confirmation serves.
const PROOF_LIFE: Duration = Duration::from_mins(10);

/// What became of a wish to link.
enum Linked {
    Done,
    /// With another user.
    Elsewhere(UserId),
}

impl OAuthService {
    /// What the page of confirmation gives the caller's browser: good there alone, for this provider, for ten
    /// minutes.
    #[must_use]
    pub fn link_proof(&self, actor: &Actor, provider: Provider) -> String {
        let until = (self.now() + PROOF_LIFE).0;
        format!("{until}.{}", self.proof_mac(actor, provider, until))
    }

    /// Whether `proof` was given to the caller's browser.
    #[must_use]
    pub fn is_link_proof(&self, actor: &Actor, provider: Provider, proof: &str) -> bool {
        let Some((until, mac)) = proof.split_once('.') else {
            return false;
        };
        let Ok(until) = until.parse::<i64>() else {
            return false;
        };
        let expected = SecretString::from(self.proof_mac(actor, provider, until));
        self.now() < UnixMillis(until) && secrets_match(mac, &expected)
    }

    fn proof_mac(&self, actor: &Actor, provider: Provider, until: i64) -> String {
        let Actor { user_id, via, .. } = actor;
        let text = format!("oauth_link:{user_id}:{via:?}:{provider}:{until}");
        self.deps().vault.lookup(&text).to_hex()
    }

    /// The caller's linked accounts.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(&self, actor: &Actor) -> Result<Vec<LinkedAccount>> {
        Ok(self.links().of(actor.user_id).await?.to_vec())
    }

    /// Links an account that was just proved to the user in whose browser it was. One that is linked with somebody
    /// else is offered for a merge.
    pub(super) async fn link(
        &self,
        provider: Provider,
        actor: &Actor,
        identity: Identity,
        tokens: ProviderTokens,
    ) -> Result<Outcome> {
        let user = actor.user_id;
        let (service, id) = (self.clone(), identity.provider_id.clone());
        let name = identity.display_name.clone();
        let job = move |tx: &Tx<'_>| {
            let owner = store::link_owner(tx, provider, &id)?;
            if let Some(other) = owner.filter(|owner| *owner != user) {
                return Ok(Linked::Elsewhere(other));
            }
            let links = store::links_of(tx, user)?;
            let same = links.iter().find(|link| link.provider == provider);
            if same.is_some_and(|link| link.provider_id != id) {
                return Err(other_is_linked(provider));
            }
            let is_new = same.is_none();
            service.keep_in(tx, provider, user, &identity, &tokens)?;
            if is_new {
                service.note(
                    tx,
                    user,
                    "account.linked",
                    &format!("{provider} {id} ({name})"),
                )?;
            }
            Ok::<_, Error>(Linked::Done)
        };
        match self.deps().store.write(job).await? {
            Linked::Done => Ok(Outcome::Linked(provider)),
            Linked::Elsewhere(other) => self.offer_merge(actor, provider, other).await,
        }
    }

    /// Stores name and tokens of a linked account that was just proved.
    pub(super) async fn keep(
        &self,
        provider: Provider,
        user: UserId,
        identity: &Identity,
        tokens: &ProviderTokens,
    ) -> Result<()> {
        let (service, identity, tokens) = (self.clone(), identity.clone(), tokens.clone());
        let job = move |tx: &Tx<'_>| service.keep_in(tx, provider, user, &identity, &tokens);
        self.deps().store.write(job).await
    }

    pub(super) fn keep_in(
        &self,
        tx: &Tx<'_>,
        provider: Provider,
        user: UserId,
        identity: &Identity,
        tokens: &ProviderTokens,
    ) -> Result<()> {
        let now = self.now();
        let sealed = self.seal_tokens(provider, &identity.provider_id, tokens);
        let row = LinkRow {
            user,
            provider,
            provider_id: &identity.provider_id,
            display_name: &identity.display_name,
            tokens_sealed: &sealed,
            access_expires_at: tokens.life.map(|life| now + life),
        };
        store::link_put(tx, &row, now)?;
        self.links().forget_after(tx, user);
        Ok(())
    }

    /// Unlinks one of the caller's accounts.
    ///
    /// # Errors
    /// `NotFound` for what is not linked; `Conflict` for the last way to sign in.
    pub async fn unlink(&self, actor: &Actor, provider: Provider) -> Result<()> {
        let (service, user) = (self.clone(), actor.user_id);
        let job = move |tx: &Tx<'_>| {
            let links = store::links_of(tx, user)?;
            let is_last = links.len() == 1 && user_has_password(tx, user)? != Some(true);
            if !store::link_delete(tx, user, provider)? {
                return Err(Error::not_found("linked account"));
            }
            if is_last {
                let message = "this is your only way to sign in: link another account or set a password first";
                return Err(Error::conflict(message).reason("last_way_to_sign_in"));
            }
            service.note(tx, user, "account.unlinked", provider.as_str())?;
            service.links().forget_after(tx, user);
            Ok(())
        };
        self.deps().store.write(job).await
    }
}

fn other_is_linked(provider: Provider) -> Error {
    let label = provider.label();
    let message = format!("another {label} account is linked with yours: unlink that one first");
    Error::conflict(message).reason("other_account_linked")
}
