//! The second factor where it meets passwords and sign-ins.

use super::AccountsService;
use crate::accounts::model::{BrowserClient, Email, NewBrowserSession, User};
use crate::accounts::second_factor::SecondFactors;
use crate::accounts::store;
use crate::db::Tx;
use crate::kernel::secret::SecretString;
use crate::kernel::{Error, Result};

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
