//! Keys of a user's own programs: made, listed, revoked, and known again.

use super::{AccountsService, note};
use crate::accounts::api_key::{ApiKey, ApiScope, KEYS_MAX, MadeApiKey, NewApiKey};
use crate::accounts::store;
use crate::db::Tx;
use crate::kernel::ids::ApiKeyId;
use crate::kernel::secret::{ExposeSecret, TokenDigest};
use crate::kernel::{Actor, Code, Error, Kind, Result, Via};

impl AccountsService {
    /// Makes a key of the caller's. Its text is in the answer and nowhere else.
    ///
    /// # Errors
    /// `Conflict` when the caller has 50 already; `Forbidden` for a key that makes keys.
    pub async fn make_api_key(&self, actor: &Actor, new: NewApiKey) -> Result<MadeApiKey> {
        refuse_keys(actor)?;
        let (user_id, now) = (actor.user_id, self.0.clock.now());
        let made = MadeApiKey::draw(new, now);
        let kept = made.clone();
        let job = move |tx: &Tx<'_>| {
            if store::api_key_list(tx, user_id)?.len() >= KEYS_MAX {
                let message = "you have 50 keys already: revoke one that you do not need";
                return Err(Error::conflict(message).reason("too_many_keys"));
            }
            let digest = TokenDigest::of(kept.secret.expose_secret());
            store::api_key_insert(tx, user_id, &kept.key, digest)?;
            let (id, scopes) = (kept.key.id.to_string(), kept.key.scopes.to_string());
            note(tx, Some(user_id), "api_key.created", &id, &scopes, now)
        };
        self.0.store.write(job).await?;
        Ok(made)
    }

    /// The caller's keys, newest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn list_api_keys(&self, actor: &Actor) -> Result<Vec<ApiKey>> {
        let user_id = actor.user_id;
        let read = move |conn: &rusqlite::Connection| store::api_key_list(conn, user_id);
        let mut keys = self.0.store.read(read).await?;
        for key in &mut keys {
            key.last_used_at = key.last_used_at.max(self.0.keys_seen.get(key.id));
        }
        Ok(keys)
    }

    /// Ends one of the caller's keys, at once.
    ///
    /// # Errors
    /// `NotFound` when the caller has no such key.
    pub async fn revoke_api_key(&self, actor: &Actor, id: ApiKeyId) -> Result<()> {
        refuse_keys(actor)?;
        let (service, user_id, now) = (self.clone(), actor.user_id, self.0.clock.now());
        let job = move |tx: &Tx<'_>| {
            if !store::api_key_revoke(tx, user_id, id, now)? {
                return Err(Error::not_found("API key"));
            }
            // The cache is keyed by the key's digest, which is not at hand.
            tx.after_commit(move || service.0.keys.clear());
            note(
                tx,
                Some(user_id),
                "api_key.revoked",
                &id.to_string(),
                "",
                now,
            )
        };
        self.0.store.write(job).await
    }

    /// Who the program with this key is. `needed` is the scope of what it calls; `None`: no key opens it.
    ///
    /// # Errors
    /// `Unauthenticated` for a key that is unknown or over, `Forbidden` without the scope.
    pub async fn authenticate_key(&self, key: &str, needed: Option<ApiScope>) -> Result<Actor> {
        let digest = TokenDigest::of(key);
        let load = async {
            let read = move |conn: &rusqlite::Connection| store::api_key_by_digest(conn, digest);
            self.0.store.read(read).await?.ok_or_else(unknown_key)
        };
        let row = self.0.keys.get_or_load(digest, load).await?;
        let now = self.0.clock.now();
        if row.expires_at.is_some_and(|end| now >= end) {
            return Err(unknown_key());
        }
        let Some(needed) = needed else {
            return Err(no_key_opens());
        };
        if !row.scopes.allows(needed) {
            let message = format!("this API key lacks the scope {}", needed.as_str());
            return Err(forbidden(message).reason("insufficient_scope"));
        }
        self.0.keys_seen.touch(row.id, now);
        Ok(Actor {
            user_id: row.user_id,
            role: row.role,
            via: Via::ApiKey(row.id),
        })
    }
}

/// A key that could make keys would outlive its own revocation.
fn refuse_keys(actor: &Actor) -> Result<()> {
    match actor.via {
        Via::ApiKey(_) => Err(no_key_opens()),
        Via::Browser(_) | Via::Plugin(_) | Via::System => Ok(()),
    }
}

fn forbidden(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(Kind::Forbidden, Code::Forbidden, message)
}

fn no_key_opens() -> Error {
    forbidden("no API key opens this: sign in").reason("api_key_not_allowed")
}

fn unknown_key() -> Error {
    Error::unauthenticated("this API key is unknown, revoked or too old")
}
