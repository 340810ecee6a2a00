//! Proving once more who one is, before something that cannot be undone.

use std::time::Duration;

use super::AccountsService;
use crate::accounts::oauth::Provider;
use crate::accounts::store;
use crate::kernel::secret::{ExposeSecret, SecretString};
use crate::kernel::{Actor, Error, Result, Via};

/// How fresh a sign-in must be to stand for a password that there is not.
const FRESH: Duration = Duration::from_mins(10);

/// What a person gives to prove once more who they are. What is not due is not looked at.
#[derive(Debug, Default)]
pub struct Proofs {
    /// Their password.
    pub password: SecretString,
    /// A code of their second factor.
    pub code: SecretString,
}

/// What is due from a person who proves once more who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofsDue {
    /// The first factor.
    pub first: FirstProof,
    /// Whether a code of the second factor is due too.
    pub code: bool,
}

/// The first factor of a person who is signed in already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FirstProof {
    /// Their password.
    Password,
    /// They have none and signed in a moment ago, which stands for it.
    FreshSignIn,
    /// They have none: they sign in again through one of these.
    SignInAgain(Vec<Provider>),
}

impl AccountsService {
    /// Whether a user signs in with a password of their own.
    ///
    /// # Errors
    /// `NotFound` for an unknown user.
    pub async fn has_password(&self, actor: &Actor) -> Result<bool> {
        let id = actor.user_id;
        let read = move |conn: &rusqlite::Connection| store::user_has_password(conn, id);
        let known = self.0.store.read(read).await?;
        known.ok_or_else(|| Error::not_found("user"))
    }

    /// What [`Self::reauthenticate`] will ask the caller for.
    ///
    /// # Errors
    /// The store's.
    pub async fn proofs_due(&self, actor: &Actor) -> Result<ProofsDue> {
        let code = self.second_factors().is_enrolled(actor.user_id).await?;
        let first = self.first_proof_due(actor).await?;
        Ok(ProofsDue { first, code })
    }

    /// What [`Self::confirm_first_factor`] will ask the caller for.
    ///
    /// # Errors
    /// The store's.
    pub async fn first_proof_due(&self, actor: &Actor) -> Result<FirstProof> {
        if self.has_password(actor).await? {
            return Ok(FirstProof::Password);
        }
        if self.is_freshly_signed_in(actor).await? {
            return Ok(FirstProof::FreshSignIn);
        }
        let links = self.linked_accounts().of(actor.user_id).await?;
        let linked = links.iter().map(|link| link.provider);
        let offered = self.linked_accounts().offered();
        Ok(FirstProof::SignInAgain(
            linked.filter(|it| offered.contains(it)).collect(),
        ))
    }

    /// Checks that the person at the caller's browser is still its user: by their password, or by a fresh
    /// sign-in when they have none, and by their second factor when they have one.
    ///
    /// # Errors
    /// `Invalid` with field `current_password` or `code`, `LimitReached` after too many.
    pub async fn reauthenticate(&self, actor: &Actor, proofs: Proofs) -> Result<()> {
        self.confirm_first_factor(actor, proofs.password).await?;
        if !self.second_factors().is_enrolled(actor.user_id).await? {
            return Ok(());
        }
        let code = proofs.code.expose_secret();
        self.second_factors().check(actor.user_id, code).await
    }

    /// The first half of [`Self::reauthenticate`], for what asks for a code by itself or for none.
    ///
    /// # Errors
    /// `Invalid` with field `current_password`, `LimitReached` after too many.
    pub async fn confirm_first_factor(&self, actor: &Actor, password: SecretString) -> Result<()> {
        if self.has_password(actor).await? {
            return self.confirm_password(actor, password).await;
        }
        if self.is_freshly_signed_in(actor).await? {
            return Ok(());
        }
        let message = "you have no password, so a fresh sign-in stands for it: sign in again, then repeat this \
                       within 10 minutes";
        Err(Error::invalid_field(
            "current_password",
            "stale_sign_in",
            message,
        ))
    }

    async fn is_freshly_signed_in(&self, actor: &Actor) -> Result<bool> {
        let Via::Browser(id) = actor.via else {
            return Ok(false);
        };
        let sessions = self.list_browser_sessions(actor).await?;
        let session = sessions.iter().find(|session| session.id == id);
        let now = self.0.clock.now();
        Ok(session.is_some_and(|session| now.since(session.created_at) <= FRESH))
    }
}
