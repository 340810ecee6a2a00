//! Tokens of linked accounts, for rooms that call providers on a user's behalf.
//!
//! Invariant: tokens leave the store only for a call, and a pair that the provider withdrew is forgotten.

use std::time::Duration;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::OAuthService;
use crate::accounts::oauth::model::{Provider, ProviderTokens};
use crate::accounts::oauth::provider::Trouble;
use crate::accounts::oauth::store::{self, TokenRow};
use crate::db::Tx;
use crate::kernel::ids::UserId;
use crate::kernel::secret::{ExposeSecret, SecretString};
use crate::kernel::{Error, Result};

/// A token that ends sooner than this is renewed first: the call that it is for takes time too.
const TOO_SHORT: Duration = Duration::from_mins(2);

/// A pair as it is sealed.
#[derive(Serialize, Deserialize)]
struct SealedPair {
    access: String,
    refresh: Option<String>,
}

impl OAuthService {
    /// A token with which the provider can be called on the user's behalf for the next two minutes at least.
    ///
    /// # Errors
    /// `NotFound` when no account of it is linked; `Conflict` with reason `link_again` when the provider
    /// withdrew what the user once allowed; `Upstream` when it fails.
    pub async fn access_token(&self, user: UserId, provider: Provider) -> Result<SecretString> {
        let row = self.token_row(user, provider).await?;
        if let Some(access) = self.still_good(provider, &row)? {
            return Ok(access);
        }
        let _one_at_a_time = self.0.renewing.lock().await;
        // Whoever was before us may have renewed it.
        let row = self.token_row(user, provider).await?;
        if let Some(access) = self.still_good(provider, &row)? {
            return Ok(access);
        }
        self.renew(user, provider, row).await
    }

    async fn token_row(&self, user: UserId, provider: Provider) -> Result<TokenRow> {
        let read = move |conn: &Connection| store::tokens_get(conn, user, provider);
        let row = self.deps().store.read(read).await?;
        row.ok_or_else(|| Error::not_found("linked account"))
    }

    fn still_good(&self, provider: Provider, row: &TokenRow) -> Result<Option<SecretString>> {
        let soon = self.now() + TOO_SHORT;
        if row.access_expires_at.is_some_and(|end| end <= soon) {
            return Ok(None);
        }
        let pair = self.open_tokens(provider, row)?;
        Ok(Some(SecretString::from(pair.access)))
    }

    async fn renew(&self, user: UserId, provider: Provider, row: TokenRow) -> Result<SecretString> {
        let calls = self.calls(provider)?;
        let Some(refresh) = self.open_tokens(provider, &row)?.refresh else {
            return Err(link_again(provider));
        };
        let refresh = SecretString::from(refresh);
        match calls.refresh(&self.callback_url(provider), &refresh).await {
            Ok(mut tokens) => {
                // A provider that sends no new one goes on taking the old (RFC 6749, section 6).
                tokens.refresh.get_or_insert(refresh);
                let access = tokens.access.clone();
                self.put_tokens(provider, row.provider_id, Some(tokens))
                    .await?;
                Ok(access)
            }
            Err(Trouble::Withdrawn) => {
                tracing::info!(user.id = %user, %provider, "a provider withdrew the tokens of a linked account");
                self.put_tokens(provider, row.provider_id, None).await?;
                Err(link_again(provider))
            }
            Err(trouble) => Err(trouble.into_error(provider)),
        }
    }

    async fn put_tokens(
        &self,
        provider: Provider,
        provider_id: String,
        tokens: Option<ProviderTokens>,
    ) -> Result<()> {
        let now = self.now();
        let sealed = tokens
            .as_ref()
            .map(|tokens| self.seal_tokens(provider, &provider_id, tokens));
        let ends = tokens.and_then(|tokens| tokens.life).map(|life| now + life);
        let job = move |tx: &Tx<'_>| {
            store::tokens_put(tx, provider, &provider_id, sealed.as_deref(), ends, now)
        };
        Ok(self.deps().store.write(job).await?)
    }

    /// Sealed for the account and not for the user, so that a merge need not open them.
    pub(super) fn seal_tokens(
        &self,
        provider: Provider,
        provider_id: &str,
        tokens: &ProviderTokens,
    ) -> Vec<u8> {
        let pair = SealedPair {
            access: tokens.access.expose_secret().to_owned(),
            refresh: tokens
                .refresh
                .as_ref()
                .map(|token| token.expose_secret().to_owned()),
        };
        let text = serde_json::to_string(&pair).expect("two texts are JSON");
        let context = token_context(provider, provider_id);
        self.deps().vault.seal(&SecretString::from(text), &context)
    }

    fn open_tokens(&self, provider: Provider, row: &TokenRow) -> Result<SealedPair> {
        let Some(sealed) = &row.tokens_sealed else {
            return Err(link_again(provider));
        };
        let context = token_context(provider, &row.provider_id);
        let text = self.deps().vault.open(sealed, &context)?;
        serde_json::from_str(text.expose_secret())
            .map_err(|_| Error::internal("a sealed pair of tokens is damaged"))
    }
}

fn token_context(provider: Provider, provider_id: &str) -> String {
    format!("linked_account.tokens:{provider}:{provider_id}")
}

fn link_again(provider: Provider) -> Error {
    let message = format!(
        "{} takes our token no more: link the account again",
        provider.label()
    );
    Error::conflict(message).reason("link_again")
}
