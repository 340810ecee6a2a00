//! The second factor where it meets passwords and sign-ins.

use std::time::Duration;

use super::AccountsService;
use crate::accounts::model::{BrowserClient, Email, NewBrowserSession, User};
use crate::accounts::second_factor::SecondFactors;
use crate::accounts::store;
use crate::db::Tx;
use crate::kernel::secret::SecretString;
use crate::kernel::{Actor, Error, Result, Via};

/// How fresh a sign-in must be to stand for a password that there is not.
const FRESH: Duration = Duration::from_mins(10);

/// What a proved first factor leads to.
#[derive(Debug)]
pub enum SignInStep {
    /// The browser is signed in.
    Done(NewBrowserSession),
    /// It owes a code; the token goes into a cookie.
    CodeNeeded(SecretString),
}

impl AccountsService {
    /// The second factors of all users.
    #[must_use]
    pub fn second_factors(&self) -> &SecondFactors {
        &self.0.second_factors
    }

    /// Signs `user`, who proved their first factor, in, unless they owe a second one.
    ///
    /// # Errors
    /// The store's.
    pub async fn after_first_factor(
        &self,
        user: &User,
        client: &BrowserClient,
        previous: Option<&str>,
    ) -> Result<SignInStep> {
        if self.second_factors().is_enrolled(user.id).await? {
            let token = self.second_factors().begin_sign_in(user.id).await?;
            return Ok(SignInStep::CodeNeeded(token));
        }
        let session = self.begin_browser_session(user, client, previous).await?;
        Ok(SignInStep::Done(session))
    }

    /// Signs the browser in that waits under `token` and gives its code.
    ///
    /// # Errors
    /// As [`SecondFactors::finish_sign_in`]; `LimitReached` after too many tries from there.
    pub async fn sign_in_with_code(
        &self,
        token: &str,
        code: &str,
        client: &BrowserClient,
        previous: Option<&str>,
    ) -> Result<NewBrowserSession> {
        // Who waits for nothing is no try.
        if self.second_factors().is_waiting(token).await? {
            self.limit_address(client.ip)?;
        }
        let user = self.second_factors().finish_sign_in(token, code).await?;
        let user = self.user(user).await?;
        self.begin_browser_session(&user, client, previous).await
    }

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

    /// Checks that the person at the caller's browser is still its user: by their password, or by a fresh
    /// sign-in when they have none.
    ///
    /// # Errors
    /// `Invalid` with field `current_password`, `LimitReached` after too many.
    pub async fn reauthenticate(&self, actor: &Actor, password: SecretString) -> Result<()> {
        if !self.has_password(actor).await? {
            return self.require_fresh_sign_in(actor).await;
        }
        self.confirm_password(actor, password).await
    }

    async fn require_fresh_sign_in(&self, actor: &Actor) -> Result<()> {
        let sessions = self.list_browser_sessions(actor).await?;
        let now = self.0.clock.now();
        let is_fresh = sessions.iter().any(|session| {
            actor.via == Via::Browser(session.id) && now.since(session.created_at) <= FRESH
        });
        if is_fresh {
            return Ok(());
        }
        let message = "you have no password, so a fresh sign-in stands for it: sign out and in again, then \
                       repeat this within 10 minutes";
        Err(Error::invalid_field(
            "current_password",
            "stale_sign_in",
            message,
        ))
    }

    /// Takes the second factor of the user with this address away. For the command line, whose caller owns the
    /// machine.
    ///
    /// # Errors
    /// `NotFound` for an unknown address, or when there is none.
    pub async fn reset_second_factor(&self, email: Email) -> Result<User> {
        let factors = self.second_factors().clone();
        let job = move |tx: &Tx<'_>| {
            let user = store::user_by_email(tx, &email)?.ok_or_else(|| Error::not_found("user"))?;
            factors.reset_in(tx, user.id)?;
            Ok(user)
        };
        self.0.store.write(job).await
    }
}
