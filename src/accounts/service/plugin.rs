//! Signed-in plugins: checking their access tokens, rotating their refresh tokens.
//!
//! Every refresh replaces the refresh token. A plugin that lost the answer presents the replaced one again,
//! perhaps days later: it gets the same new pair, until a token of that pair was used, and for a short
//! while beyond. A replaced token that comes after that is in somebody else's hands, so the session ends.
//! Source: RFC 9700, section 4.14.2.

use std::time::Duration;

use super::AccountsService;
use super::issued::Issued;
use crate::accounts::model::{AuthSession, PluginDevice, TokenPair};
use crate::accounts::store::{self, RefreshRow};
use crate::accounts::token::AccessToken;
use crate::db::Tx;
use crate::kernel::ids::{AuthSessionId, UserId};
use crate::kernel::secret::TokenDigest;
use crate::kernel::{Actor, Code, Error, Kind, Result, UnixMillis, Via};

/// Whether a token that is past its expiry serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// It does not.
    Enforced,
    /// It does for `access_grace`, while its session is live.
    Lenient,
}

/// What a refresh gives.
#[derive(Debug, Clone)]
pub struct Refreshed {
    /// Whose session it is.
    pub user_id: UserId,
    /// The session, the same as before.
    pub auth_session_id: AuthSessionId,
    /// The new pair.
    pub tokens: TokenPair,
}

enum Rotation {
    Pair(Issued),
    Unknown,
    Ended,
    Reused,
}

impl AccountsService {
    /// Who the plugin with this access token is. Costs no read of the store in the steady state.
    ///
    /// # Errors
    /// `Unauthenticated` when the token is bad or its session is over.
    pub async fn authenticate_plugin(&self, token: &str, expiry: Expiry) -> Result<Actor> {
        let token = self.read_access_token(token, expiry)?;
        let id = token.auth_session_id;
        let load = async {
            let row = self
                .0
                .store
                .read(move |conn| store::auth_session_get(conn, id))
                .await?;
            row.ok_or_else(invalid_token)
        };
        let row = self.0.plugins.get_or_load(id, load).await?;
        let now = self.0.clock.now();
        if row.is_revoked || row.user_id != token.user_id || now >= row.expires_at {
            return Err(invalid_token());
        }
        self.0.plugins_seen.touch(id, now);
        if row.unused_access == Some(token.access_id) {
            self.note_first_use(id, now).await;
        }
        Ok(Actor {
            user_id: row.user_id,
            role: row.role,
            via: Via::Plugin(id),
        })
    }

    fn read_access_token(&self, token: &str, expiry: Expiry) -> Result<AccessToken> {
        let grace = match expiry {
            Expiry::Enforced => Duration::ZERO,
            Expiry::Lenient => self.0.config.access_grace,
        };
        self.0
            .tokens
            .verify(token, self.0.clock.now(), grace)
            .map_err(|error| invalid_token().caused_by(error))
    }

    /// Once per pair. A failure must not cost the request: the next one tries again.
    async fn note_first_use(&self, id: AuthSessionId, now: UnixMillis) {
        let service = self.clone();
        let job = move |tx: &Tx<'_>| {
            store::successor_mark_used(tx, id, now)?;
            tx.after_commit(move || service.0.plugins.invalidate(&id));
            Ok::<_, Error>(())
        };
        if let Err(error) = self.0.store.write(job).await {
            tracing::warn!(error = %error, "the first use of a token pair could not be noted");
        }
    }

    /// Signs a plugin in, inside the caller's transaction.
    ///
    /// # Errors
    /// The store's.
    pub fn open_auth_session(
        &self,
        tx: &Tx<'_>,
        user_id: UserId,
        device: &PluginDevice,
        now: UnixMillis,
    ) -> Result<(AuthSessionId, Issued)> {
        let (id, issued) = (AuthSessionId::generate(), Issued::new(now));
        let expires_at = now + self.0.config.refresh_life;
        store::auth_session_row_insert(tx, id, user_id, device, now, expires_at)?;
        store::refresh_token_insert(tx, issued.digest(), id, issued.access_id, now)?;
        Ok((id, issued))
    }

    /// The tokens of a pair. Handed out late, the access token is made anew under the same id.
    #[must_use]
    pub fn tokens_of(
        &self,
        user_id: UserId,
        auth_session_id: AuthSessionId,
        issued: &Issued,
    ) -> TokenPair {
        let (now, life) = (self.0.clock.now(), self.0.config.access_token_life);
        let is_stale = now >= issued.at + life;
        let token = AccessToken {
            user_id,
            auth_session_id,
            access_id: issued.access_id,
            issued_at: if is_stale { now } else { issued.at },
        };
        TokenPair {
            access_jwt: self.0.tokens.sign(&token, life),
            refresh_token: issued.refresh_token.clone(),
        }
    }

    /// Replaces a refresh token by a new pair and prolongs its session.
    ///
    /// # Errors
    /// `Unauthenticated` for an unknown token; `Gone` when its session is over, which the late reuse of a
    /// replaced token brings about.
    pub async fn refresh(&self, refresh_token: &str) -> Result<Refreshed> {
        let digest = TokenDigest::of(refresh_token);
        let (service, now) = (self.clone(), self.0.clock.now());
        let job = move |tx: &Tx<'_>| service.rotate(tx, digest, now);
        let (row, rotation) = self.0.store.write(job).await?;
        match (row, rotation) {
            (Some(row), Rotation::Pair(issued)) => Ok(Refreshed {
                user_id: row.user_id,
                auth_session_id: row.auth_session_id,
                tokens: self.tokens_of(row.user_id, row.auth_session_id, &issued),
            }),
            (Some(row), Rotation::Reused) => {
                let id = row.auth_session_id;
                tracing::warn!(auth_session.id = %id, "a replaced refresh token came again: session ended");
                Err(session_expired().reason("refresh_token_reused"))
            }
            (_, Rotation::Ended) => Err(session_expired()),
            (_, Rotation::Unknown | Rotation::Pair(_) | Rotation::Reused) => {
                Err(Error::unauthenticated("unknown refresh token"))
            }
        }
    }

    fn rotate(
        &self,
        tx: &Tx<'_>,
        digest: TokenDigest,
        now: UnixMillis,
    ) -> Result<(Option<RefreshRow>, Rotation)> {
        let Some(row) = store::refresh_token_by_digest(tx, digest)? else {
            return Ok((None, Rotation::Unknown));
        };
        let rotation = if row.is_revoked || now >= row.session_expires_at {
            Rotation::Ended
        } else if row.is_replaced {
            self.answer_again(tx, &row, now)?
        } else {
            Rotation::Pair(self.replace(tx, &row, digest, now)?)
        };
        let (service, id) = (self.clone(), row.auth_session_id);
        tx.after_commit(move || service.0.plugins.invalidate(&id));
        Ok((Some(row), rotation))
    }

    fn replace(
        &self,
        tx: &Tx<'_>,
        row: &RefreshRow,
        digest: TokenDigest,
        now: UnixMillis,
    ) -> Result<Issued> {
        let (id, issued) = (row.auth_session_id, Issued::new(now));
        // This is a use of the pair that the token belongs to.
        store::successor_mark_used(tx, id, now)?;
        let sealed = issued.seal(&self.0.vault, &successor_context(id));
        store::refresh_token_replace(tx, digest, &sealed, now)?;
        store::refresh_token_insert(tx, issued.digest(), id, issued.access_id, now)?;
        store::auth_session_extend(tx, id, now, now + self.0.config.refresh_life)?;
        Ok(issued)
    }

    fn answer_again(&self, tx: &Tx<'_>, row: &RefreshRow, now: UnixMillis) -> Result<Rotation> {
        let id = row.auth_session_id;
        let may_repeat = row
            .successor_used_at
            .is_none_or(|used_at| now.since(used_at) <= self.0.config.retry_window);
        match &row.successor_sealed {
            Some(sealed) if may_repeat => {
                let issued = Issued::open(sealed, &self.0.vault, &successor_context(id))?;
                Ok(Rotation::Pair(issued))
            }
            Some(_) | None => {
                store::auth_session_revoke(tx, row.user_id, id, now)?;
                Ok(Rotation::Reused)
            }
        }
    }

    /// Signs the plugin with this access token out. That its session is over already is fine.
    ///
    /// # Errors
    /// `Unauthenticated` when the token is not ours or too old.
    pub async fn log_out_plugin(&self, token: &str) -> Result<()> {
        let token = self.read_access_token(token, Expiry::Lenient)?;
        self.end_auth_session(token.user_id, token.auth_session_id)
            .await?;
        Ok(())
    }

    /// The caller's signed-in plugins, newest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn list_auth_sessions(&self, actor: &Actor) -> Result<Vec<AuthSession>> {
        let (user_id, now) = (actor.user_id, self.0.clock.now());
        let read = move |conn: &rusqlite::Connection| store::auth_session_list(conn, user_id, now);
        let mut sessions = self.0.store.read(read).await?;
        for session in &mut sessions {
            let seen = self.0.plugins_seen.get(session.id).unwrap_or_default();
            session.last_seen_at = session.last_seen_at.max(seen);
        }
        Ok(sessions)
    }

    /// Signs one of the caller's plugins out, at once.
    ///
    /// # Errors
    /// `NotFound` when the caller has no such session.
    pub async fn revoke_auth_session(&self, actor: &Actor, id: AuthSessionId) -> Result<()> {
        if self.end_auth_session(actor.user_id, id).await? {
            Ok(())
        } else {
            Err(Error::not_found("plugin session"))
        }
    }

    async fn end_auth_session(&self, user_id: UserId, id: AuthSessionId) -> Result<bool> {
        let (service, now) = (self.clone(), self.0.clock.now());
        let job = move |tx: &Tx<'_>| {
            let was_there = store::auth_session_revoke(tx, user_id, id, now)?;
            tx.after_commit(move || service.0.plugins.invalidate(&id));
            Ok(was_there)
        };
        self.0.store.write(job).await
    }
}

fn successor_context(id: AuthSessionId) -> String {
    format!("refresh_token.successor:{id}")
}

fn invalid_token() -> Error {
    Error::unauthenticated("invalid token")
}

fn session_expired() -> Error {
    Error::new(
        Kind::Gone,
        Code::SessionExpired,
        "this session is over: sign in again",
    )
}

#[cfg(test)]
mod tests;
