//! Signing browsers in and out, and knowing them again.

use std::sync::Arc;

use super::{AccountsService, SignInStep};
use crate::accounts::limits::too_many_tries;
use crate::accounts::mail::MailKind;
use crate::accounts::model::{
    BrowserClient, BrowserSession, NewBrowserSession, Password, SignedIn, User,
};
use crate::accounts::password::Verdict;
use crate::accounts::store::{self, BrowserRow, BrowserSessionRow};
use crate::db::Tx;
use crate::kernel::ids::{BrowserSessionId, UserId};
use crate::kernel::secret::{ExposeSecret, SecretString, TokenDigest, random_token};
use crate::kernel::{Actor, Error, Result, UnixMillis, Via};

/// Characters of a user agent that are kept.
const USER_AGENT_CHARACTERS: usize = 200;

impl AccountsService {
    /// Signs a browser in, or asks for the second factor. A wrong password and an unknown address give the same answer after the same time.
    /// `previous` is the cookie that the browser had before, whose session ends.
    ///
    /// # Errors
    /// `Unauthenticated`, or `LimitReached` after too many tries from there or for this account.
    pub async fn sign_in(
        &self,
        email: &str,
        password: SecretString,
        client: &BrowserClient,
        previous: Option<&str>,
    ) -> Result<SignInStep> {
        self.limit_address(client.ip)?;
        let user = self.check_password(email, password).await?;
        self.after_first_factor(&user, client, previous).await
    }

    /// Counts a try of an anonymous client to prove something: a password, a setup token.
    ///
    /// # Errors
    /// `LimitReached` after too many.
    pub fn limit_address(&self, ip: std::net::IpAddr) -> Result<()> {
        self.0.address_limit.check(ip)
    }

    /// Under which name failed sign-ins of an address are counted.
    pub(super) fn login_account(&self, email: &str) -> TokenDigest {
        self.0.vault.lookup(&format!("login:{email}"))
    }

    async fn check_password(&self, email: &str, password: SecretString) -> Result<User> {
        let email = email.trim().to_lowercase();
        let (account, now) = (self.login_account(&email), self.0.clock.now());
        // First of all: a try that nobody looks at must not count against the account.
        let place = self.0.hasher.admit()?;
        let job = move |tx: &Tx<'_>| {
            let wait = store::throttle_count(tx, account, now)?;
            let user = crate::accounts::Email::parse(&email)
                .ok()
                .map(|email| store::user_by_email(tx, &email))
                .transpose()?
                .flatten();
            let stored = user
                .as_ref()
                .map(|user| store::user_credentials(tx, user.id))
                .transpose()?;
            Ok::<_, Error>((wait, user, stored.flatten()))
        };
        let (wait, user, stored) = self.0.store.write(job).await?;
        if let Some(wait) = wait {
            return Err(too_many_tries(wait));
        }
        let verdict = self
            .0
            .hasher
            .verify(place, password.clone(), stored)
            .await?;
        let Some(user) = user.filter(|_| verdict != Verdict::Wrong) else {
            return Err(Error::unauthenticated(
                "the e-mail address or the password is wrong",
            ));
        };
        let rehashed = match verdict {
            // One that was allowed once may break today's rules: then it keeps its hash.
            Verdict::RightButOutdated => match Password::parse(password) {
                Ok(password) => Some(self.hash_password(&password).await?),
                Err(_) => None,
            },
            Verdict::Right | Verdict::Wrong => None,
        };
        let (service, waiting, now) = (self.clone(), user.clone(), self.0.clock.now());
        let job = move |tx: &Tx<'_>| {
            store::throttle_clear(tx, account)?;
            if let Some(hash) = rehashed {
                store::user_set_password(tx, waiting.id, &hash, now)?;
            }
            if waiting.must_verify_email {
                let (kind, id) = (MailKind::VerifyAddress, Some(waiting.id));
                service.queue_mail(tx, kind, &waiting.email, id, now)?;
            }
            Ok::<_, Error>(())
        };
        self.0.store.write(job).await?;
        if user.must_verify_email {
            let message = "confirm your address first: the mail that we sent you has the link";
            return Err(Error::unauthenticated(message).reason("address_not_confirmed"));
        }
        Ok(user)
    }

    /// Signs `user`, who proved themselves otherwise, in.
    ///
    /// # Errors
    /// The store's.
    pub async fn begin_browser_session(
        &self,
        user: &User,
        client: &BrowserClient,
        previous: Option<&str>,
    ) -> Result<NewBrowserSession> {
        let now = self.0.clock.now();
        let session = NewBrowserSession {
            id: BrowserSessionId::generate(),
            token: random_token::<32>(),
            user_id: user.id,
            expires_at: now + self.0.config.browser_limits(user.role).absolute,
        };
        let (new, client, service) = (session.clone(), client.clone(), self.clone());
        let previous = previous.map(TokenDigest::of);
        let job = move |tx: &Tx<'_>| {
            if let Some(digest) = previous
                && let Some(old) = store::browser_session_by_digest(tx, digest)?
            {
                store::browser_session_delete(tx, old.user_id, old.id)?;
                tx.after_commit(move || service.0.browsers.invalidate(&digest));
            }
            let user_agent: String = client
                .user_agent
                .chars()
                .take(USER_AGENT_CHARACTERS)
                .collect();
            let row = BrowserRow {
                id: new.id,
                user_id: new.user_id,
                digest: TokenDigest::of(new.token.expose_secret()),
                user_agent: &user_agent,
                address: client.ip.to_string(),
                now,
                expires_at: new.expires_at,
            };
            store::browser_session_insert(tx, &row)?;
            Ok::<_, Error>(())
        };
        self.0.store.write(job).await?;
        Ok(session)
    }

    /// Who the browser with this cookie is.
    ///
    /// # Errors
    /// `Unauthenticated` when the session is unknown or over.
    pub async fn authenticate_browser(&self, token: &str) -> Result<SignedIn> {
        let digest = TokenDigest::of(token);
        let load = async {
            let row = self
                .0
                .store
                .read(move |conn| store::browser_session_by_digest(conn, digest))
                .await?;
            row.map(Arc::new).ok_or_else(signed_out)
        };
        let row = self.0.browsers.get_or_load(digest, load).await?;
        let now = self.0.clock.now();
        if self.is_over(&row, now) {
            return Err(signed_out());
        }
        self.0.browsers_seen.touch(row.id, now);
        Ok(SignedIn {
            actor: Actor {
                user_id: row.user_id,
                role: row.role,
                via: Via::Browser(row.id),
            },
            display_name: row.display_name.clone(),
            email: row.email.clone(),
        })
    }

    fn is_over(&self, row: &BrowserSessionRow, now: UnixMillis) -> bool {
        let last_seen = self.0.browsers_seen.get(row.id).unwrap_or_default();
        let idle = now.since(row.last_seen_at.max(last_seen));
        now >= row.expires_at || idle >= self.0.config.browser_limits(row.role).idle
    }

    /// Notes that an open page of this session is alive, such as a live stream of events.
    pub fn touch_browser(&self, id: BrowserSessionId) {
        self.0.browsers_seen.touch(id, self.0.clock.now());
    }

    /// The caller's signed-in browsers, newest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn list_browser_sessions(&self, actor: &Actor) -> Result<Vec<BrowserSession>> {
        let (user_id, now) = (actor.user_id, self.0.clock.now());
        let read =
            move |conn: &rusqlite::Connection| store::browser_session_list(conn, user_id, now);
        let mut sessions = self.0.store.read(read).await?;
        for session in &mut sessions {
            let seen = self.0.browsers_seen.get(session.id).unwrap_or_default();
            session.last_seen_at = session.last_seen_at.max(seen);
        }
        let idle = self.0.config.browser_limits(actor.role).idle;
        sessions.retain(|session| now.since(session.last_seen_at) < idle);
        Ok(sessions)
    }

    /// Signs one of the caller's browsers out, at once.
    ///
    /// # Errors
    /// `NotFound` when the caller has no such session.
    pub async fn revoke_browser_session(&self, actor: &Actor, id: BrowserSessionId) -> Result<()> {
        if self.end_browser_session(actor.user_id, id).await? {
            Ok(())
        } else {
            Err(Error::not_found("browser session"))
        }
    }

    /// Signs the calling browser out; that it is out already is fine.
    ///
    /// # Errors
    /// The store's.
    pub async fn sign_out(&self, actor: &Actor) -> Result<()> {
        match actor.via {
            Via::Browser(id) => self.end_browser_session(actor.user_id, id).await.map(drop),
            Via::Plugin(_) | Via::ApiKey(_) | Via::System => Ok(()),
        }
    }

    async fn end_browser_session(&self, user_id: UserId, id: BrowserSessionId) -> Result<bool> {
        let service = self.clone();
        let job = move |tx: &Tx<'_>| {
            let was_there = store::browser_session_delete(tx, user_id, id)?;
            // The cache is keyed by the cookie's digest, which is gone with the row.
            tx.after_commit(move || service.0.browsers.clear());
            Ok(was_there)
        };
        self.0.store.write(job).await
    }
}

fn signed_out() -> Error {
    Error::unauthenticated("sign in first")
}

#[cfg(test)]
mod tests;
