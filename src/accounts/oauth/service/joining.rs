//! Making an account at the first sign-in through a provider.
//!
//! Invariant: the address is one that the provider says it checked, and belongs to nobody here yet; by which right
//! somebody joins is decided where all who join are let in.

use super::{Departed, OAuthService, Return, not_linked};
use crate::accounts::model::{DisplayName, Email, NewUser, Password, User};
use crate::accounts::oauth::model::{Identity, Outcome, Provider, ProviderTokens};
use crate::accounts::oauth::store;
use crate::accounts::password::PasswordHash;
use crate::accounts::service::{Offer, SignUps, create_user_in};
use crate::accounts::store::{user_by_email, user_set_passwordless, user_set_verified};
use crate::db::Tx;
use crate::kernel::secret::{ExposeSecret, SecretString};
use crate::kernel::{Code, Error, Kind, Result};

/// Who joins, as the provider proved it.
struct Joining {
    provider: Provider,
    identity: Identity,
    tokens: ProviderTokens,
    email: Email,
    invite: Option<SecretString>,
}

impl OAuthService {
    /// Makes an account for a person whom nobody here is linked with, and signs them in.
    pub(super) async fn join(
        &self,
        provider: Provider,
        identity: Identity,
        tokens: ProviderTokens,
        back: &Return<'_>,
        departed: Departed,
    ) -> Result<Outcome> {
        let invite = departed.invite;
        // Before anything is hashed: strangers must not be able to keep us busy.
        let token = invite.as_ref().map(ExposeSecret::expose_secret);
        match self.sign_ups().offer(token).await? {
            Offer::Open | Offer::Invited(_) => {}
            Offer::InviteOnly | Offer::Closed => return Err(not_linked(provider)),
        }
        let accounts = &self.deps().accounts;
        accounts.limit_letters(back.client.ip)?;
        let joining = Joining {
            email: proved_address(provider, &identity)?,
            provider,
            identity,
            tokens,
            invite,
        };
        let password = Password::random();
        let hash = accounts.hash_password(&password).await?;
        let service = self.clone();
        let job = move |tx: &Tx<'_>| service.join_in(tx, joining, password, &hash);
        let user = self.deps().store.write(job).await?;
        let session = accounts.begin_browser_session(&user, back.client, back.previous);
        Ok(Outcome::Joined {
            session: session.await?,
            user: Box::new(user),
            next: departed.next_path,
        })
    }

    fn sign_ups(&self) -> SignUps {
        SignUps::new(self.deps().accounts.clone(), self.deps().settings.clone())
    }

    fn join_in(
        &self,
        tx: &Tx<'_>,
        joining: Joining,
        password: Password,
        hash: &PasswordHash,
    ) -> Result<User> {
        let now = self.now();
        let Joining {
            provider,
            identity,
            tokens,
            email,
            invite,
        } = joining;
        if store::link_owner(tx, provider, &identity.provider_id)?.is_some() {
            return Err(Error::conflict(
                "you joined in another tab meanwhile: sign in again",
            ));
        }
        if user_by_email(tx, &email)?.is_some() {
            return Err(account_exists(provider));
        }
        let entry = self.sign_ups().entry_in(tx, &email, invite.as_ref(), now);
        let entry = entry.map_err(|error| of_invitation(provider, error))?;
        let display_name = DisplayName::parse(&identity.display_name);
        let new = NewUser {
            display_name: display_name.unwrap_or_else(|_| DisplayName::from_email(&email)),
            email,
            role: entry.role(),
            password,
        };
        let user = create_user_in(tx, &self.deps().vault, &new, hash, now);
        let user = user.map_err(|error| match error.kind() {
            Kind::Conflict => account_exists(provider),
            _ => error,
        })?;
        self.deps().accounts.note_owner(tx, user.role);
        entry.take(tx, &user, now)?;
        user_set_passwordless(tx, user.id)?;
        user_set_verified(tx, user.id, now)?;
        self.note(tx, user.id, "user.joined", user.role.as_str())?;
        self.keep_in(tx, provider, user.id, &identity, &tokens)?;
        let detail = format!(
            "{provider} {} ({})",
            identity.provider_id, identity.display_name
        );
        self.note(tx, user.id, "account.linked", &detail)?;
        Ok(User {
            email_verified_at: Some(now),
            ..user
        })
    }
}

fn proved_address(provider: Provider, identity: &Identity) -> Result<Email> {
    let address = identity.verified_email.as_deref();
    let email = address.and_then(|address| Email::parse(address).ok());
    email.ok_or_else(|| {
        let label = provider.label();
        let message = format!("{label} does not say that it has checked your e-mail address");
        denied(message, "address_not_checked")
    })
}

fn account_exists(provider: Provider) -> Error {
    let label = provider.label();
    let message = format!(
        "an account here has the e-mail address of this {label} account already, and is not linked with it"
    );
    denied(message, "account_exists")
}

/// An invitation names another address: who is asked has no form to change theirs in.
fn of_invitation(provider: Provider, error: Error) -> Error {
    if error.kind() != Kind::Invalid {
        return error;
    }
    let label = provider.label();
    let message =
        format!("the invitation is for another address than the one of this {label} account");
    denied(message, "invited_as_another")
}

fn denied(message: String, reason: &'static str) -> Error {
    Error::new(Kind::Forbidden, Code::LoginDenied, message).reason(reason)
}
