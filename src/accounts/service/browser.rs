//! Signing browsers in and out, and knowing them again.

use std::sync::Arc;

use super::AccountsService;
use crate::accounts::limits::too_many_tries;
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
    /// Signs a browser in. A wrong password and an unknown address give the same answer after the same time.
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
    ) -> Result<NewBrowserSession> {
        self.limit_address(client.ip)?;
        let user = self.check_password(email, password).await?;
        self.begin_browser_session(&user, client, previous).await
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
        let verdict = self.0.hasher.verify(password.clone(), stored).await?;
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
        let (id, now) = (user.id, self.0.clock.now());
        let job = move |tx: &Tx<'_>| {
            store::throttle_clear(tx, account)?;
            if let Some(hash) = rehashed {
                store::user_set_password(tx, id, &hash, now)?;
            }
            Ok::<_, Error>(())
        };
        self.0.store.write(job).await?;
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
            Via::Plugin(_) | Via::System => Ok(()),
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
mod tests {
    use std::time::Duration;

    use super::super::testing::{PASSWORD, World};
    use super::*;
    use crate::kernel::{Kind, Role};

    fn client() -> BrowserClient {
        BrowserClient {
            ip: "203.0.113.9".parse().unwrap(),
            user_agent: "x".repeat(1000),
        }
    }

    async fn sign_in(world: &World, email: &str, password: &str) -> Result<NewBrowserSession> {
        let password = SecretString::from(password);
        world
            .accounts
            .sign_in(email, password, &client(), None)
            .await
    }

    async fn is_signed_in(accounts: &AccountsService, session: &NewBrowserSession) -> bool {
        let outcome = accounts
            .authenticate_browser(session.token.expose_secret())
            .await;
        outcome.is_ok()
    }

    #[tokio::test]
    async fn signing_in_gives_a_cookie_that_is_known_again_after_a_restart() {
        let world = World::new();
        let user = world.user("one@example.org", Role::Streamer).await;
        let session = sign_in(&world, " ONE@example.org ", PASSWORD)
            .await
            .unwrap();
        for accounts in [&world.accounts, &world.restarted()] {
            let known = accounts
                .authenticate_browser(session.token.expose_secret())
                .await
                .unwrap();
            assert_eq!(known.actor.user_id, user.id);
            assert_eq!(known.actor.via, Via::Browser(session.id));
            assert_eq!(known.email, "one@example.org");
        }
        assert!(world.accounts.authenticate_browser("guess").await.is_err());
    }

    #[tokio::test]
    async fn a_wrong_password_and_a_wrong_address_look_the_same() {
        let world = World::new();
        world.user("one@example.org", Role::Streamer).await;
        let wrong = sign_in(&world, "one@example.org", "guess")
            .await
            .unwrap_err();
        for email in ["two@example.org", "nonsense", ""] {
            let unknown = sign_in(&world, email, "guess").await.unwrap_err();
            assert_eq!(unknown.kind(), Kind::Unauthenticated);
            assert_eq!(unknown.message(), wrong.message());
        }
    }

    #[tokio::test]
    async fn guessing_is_slowed_down_across_a_restart_but_never_for_ever() {
        let world = World::new();
        world.user("one@example.org", Role::Streamer).await;
        for _ in 0..5 {
            sign_in(&world, "one@example.org", "guess")
                .await
                .unwrap_err();
        }
        let password = SecretString::from(PASSWORD);
        let restarted = world.restarted();
        let blocked = restarted
            .sign_in("one@example.org", password, &client(), None)
            .await;
        let blocked = blocked.unwrap_err();
        assert_eq!(blocked.kind(), Kind::LimitReached);
        world.clock.advance(blocked.retry_after_hint().unwrap());
        sign_in(&world, "one@example.org", PASSWORD).await.unwrap();
    }

    #[tokio::test]
    async fn an_idle_session_ends_and_an_open_page_keeps_it() {
        let world = World::new();
        world.user("one@example.org", Role::Owner).await;
        let session = sign_in(&world, "one@example.org", PASSWORD).await.unwrap();
        let limits = world.accounts.config().browser_limits(Role::Owner);
        let nearly = limits.idle.saturating_sub(Duration::from_secs(1));
        for _ in 0..3 {
            world.clock.advance(nearly);
            world.accounts.touch_browser(session.id);
        }
        assert!(is_signed_in(&world.accounts, &session).await);
        world.accounts.write_last_seen().await.unwrap();
        world.clock.advance(nearly);
        assert!(
            is_signed_in(&world.restarted(), &session).await,
            "the touch was written"
        );
        world.clock.advance(limits.idle);
        assert!(!is_signed_in(&world.accounts, &session).await);
    }

    #[tokio::test]
    async fn a_busy_session_ends_at_its_absolute_limit() {
        let world = World::new();
        world.user("one@example.org", Role::Owner).await;
        let session = sign_in(&world, "one@example.org", PASSWORD).await.unwrap();
        let limits = world.accounts.config().browser_limits(Role::Owner);
        let mut passed = Duration::ZERO;
        while passed + limits.idle / 2 < limits.absolute {
            world.clock.advance(limits.idle / 2);
            passed += limits.idle / 2;
            assert!(is_signed_in(&world.accounts, &session).await);
        }
        world.clock.advance(limits.idle / 2);
        assert!(!is_signed_in(&world.accounts, &session).await);
        assert_eq!(world.accounts.delete_ended().await.unwrap(), 1);
    }

    #[tokio::test]
    async fn revoking_works_at_once_and_only_on_ones_own() {
        let world = World::new();
        world.user("one@example.org", Role::Streamer).await;
        world.user("two@example.org", Role::Owner).await;
        let mut actors = Vec::new();
        let mut sessions = Vec::new();
        for email in ["one@example.org", "one@example.org", "two@example.org"] {
            let session = sign_in(&world, email, PASSWORD).await.unwrap();
            let known = world
                .accounts
                .authenticate_browser(session.token.expose_secret())
                .await;
            actors.push(known.unwrap().actor);
            sessions.push(session);
        }
        assert_eq!(
            world
                .accounts
                .list_browser_sessions(&actors[0])
                .await
                .unwrap()
                .len(),
            2
        );
        let foreign = world
            .accounts
            .revoke_browser_session(&actors[2], sessions[0].id)
            .await;
        assert_eq!(foreign.unwrap_err().kind(), Kind::NotFound);
        world
            .accounts
            .revoke_browser_session(&actors[0], sessions[1].id)
            .await
            .unwrap();
        assert!(!is_signed_in(&world.accounts, &sessions[1]).await);
        world.accounts.sign_out(&actors[0]).await.unwrap();
        assert!(!is_signed_in(&world.accounts, &sessions[0]).await);
        assert!(is_signed_in(&world.accounts, &sessions[2]).await);
    }

    #[tokio::test]
    async fn signing_in_again_ends_the_browsers_old_session() {
        let world = World::new();
        world.user("one@example.org", Role::Streamer).await;
        let old = sign_in(&world, "one@example.org", PASSWORD).await.unwrap();
        assert!(is_signed_in(&world.accounts, &old).await);
        let previous = Some(old.token.expose_secret());
        let password = SecretString::from(PASSWORD);
        let new = world
            .accounts
            .sign_in("one@example.org", password, &client(), previous)
            .await;
        assert!(is_signed_in(&world.accounts, &new.unwrap()).await);
        assert!(!is_signed_in(&world.accounts, &old).await);
    }

    #[tokio::test]
    async fn a_new_password_signs_the_other_browsers_out() {
        use crate::accounts::service::PluginSessions;
        let world = World::new();
        world.user("one@example.org", Role::Streamer).await;
        let kept = sign_in(&world, "one@example.org", PASSWORD).await.unwrap();
        let other = sign_in(&world, "one@example.org", PASSWORD).await.unwrap();
        assert!(is_signed_in(&world.accounts, &other).await);
        let actor = world
            .accounts
            .authenticate_browser(kept.token.expose_secret())
            .await
            .unwrap()
            .actor;
        let new = Password::parse(SecretString::from("another sentence")).unwrap();
        let current = SecretString::from(PASSWORD);
        let changed = world
            .accounts
            .change_password(&actor, current, &new, PluginSessions::Keep)
            .await;
        changed.unwrap();
        assert!(is_signed_in(&world.accounts, &kept).await);
        assert!(!is_signed_in(&world.accounts, &other).await);
        assert!(sign_in(&world, "one@example.org", PASSWORD).await.is_err());
    }
}
