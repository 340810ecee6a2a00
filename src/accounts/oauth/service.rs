//! Sending browsers to providers, and what comes of their way back.

mod joining;
mod linking;
mod merging;
mod tokens;

pub use merging::not_mergeable;

use std::net::IpAddr;
use std::sync::Arc;

use rusqlite::Connection;
use url::Url;

use super::links::LinkedAccounts;
use super::model::{Identity, Intent, OAuthConfig, Outcome, Provider, ProviderTokens, STATE_LIFE};
use super::provider::ProviderCalls;
use super::store::{self, StateRow};
use crate::accounts::AddressLimit;
use crate::accounts::model::{BrowserClient, SignedIn};
use crate::accounts::service::AccountsService;
use crate::audit::{self, AuditEvent};
use crate::db::{Store, Tx};
use crate::http::outbound::Outbound;
use crate::http::{Allowance, LimitName};
use crate::kernel::ids::UserId;
use crate::kernel::seal::Vault;
use crate::kernel::secret::{ExposeSecret, SecretString, TokenDigest};
use crate::kernel::{Actor, Clock, Code, Error, Kind, Result, UnixMillis};
use crate::settings::Settings;

/// Browsers at providers at most; more is not people who sign in, and the oldest makes room.
const MAX_STATES: u32 = 10_000;

/// Sign-in providers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct OAuthService(Arc<Inner>);

/// What the service works with.
#[derive(Debug)]
pub struct OAuthDeps {
    /// Where links are.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// Seals tokens.
    pub vault: Arc<Vault>,
    /// Users and sessions.
    pub accounts: AccountsService,
    /// Our public address.
    pub settings: Settings,
    /// How calls leave the house.
    pub outbound: Outbound,
    /// How often one address may begin; `None` is no limit.
    pub address_allowance: Option<Allowance>,
    /// The providers.
    pub config: OAuthConfig,
}

#[derive(Debug)]
struct Inner {
    deps: OAuthDeps,
    start_limit: AddressLimit,
    /// One renewal at a time: a refresh token that is sent twice may void both answers.
    renewing: tokio::sync::Mutex<()>,
}

/// A browser that came back, with what it brought.
#[derive(Debug)]
pub struct Return<'a> {
    /// The `state` in its address.
    pub state: &'a str,
    /// The `code`, or why there is none.
    pub code: std::result::Result<String, &'a str>,
    /// The cookie of its departure.
    pub browser: &'a str,
    /// Who is signed in there.
    pub signed_in: Option<&'a SignedIn>,
    /// Where it comes from.
    pub client: &'a BrowserClient,
    /// The cookie of its session, which a sign-in ends.
    pub previous: Option<&'a str>,
}

/// A state that was used up by the browser that it belongs to.
struct Departed {
    link_user: Option<UserId>,
    invite: Option<SecretString>,
    verifier: SecretString,
    next_path: String,
}

impl OAuthService {
    /// Makes the service. It starts no task and reads nothing.
    #[must_use]
    pub fn new(deps: OAuthDeps) -> Self {
        let links = deps.accounts.linked_accounts();
        links.offer(deps.config.providers.keys().copied());
        Self(Arc::new(Inner {
            start_limit: AddressLimit::new(&deps.clock, LimitName::Oauth, deps.address_allowance),
            renewing: tokio::sync::Mutex::default(),
            deps,
        }))
    }

    fn deps(&self) -> &OAuthDeps {
        &self.0.deps
    }

    fn now(&self) -> UnixMillis {
        self.deps().clock.now()
    }

    fn links(&self) -> &LinkedAccounts {
        self.deps().accounts.linked_accounts()
    }

    /// The providers that are offered.
    pub fn providers(&self) -> impl Iterator<Item = Provider> {
        self.deps().config.providers.keys().copied()
    }

    /// Refuses a provider that is not configured.
    ///
    /// # Errors
    /// `NotFound` with reason `provider_not_configured`.
    pub fn require(&self, provider: Provider) -> Result<()> {
        self.calls(provider).map(drop)
    }

    fn calls(&self, provider: Provider) -> Result<ProviderCalls<'_>> {
        let deps = self.deps();
        let config = deps.config.providers.get(&provider).ok_or_else(|| {
            let message = format!("sign-in with {} is not set up here", provider.label());
            Error::new(Kind::NotFound, Code::NotFound, message).reason("provider_not_configured")
        })?;
        Ok(ProviderCalls {
            provider,
            config,
            outbound: &deps.outbound,
            answer_within: deps.config.answer_within,
        })
    }

    /// Where a provider sends browsers back to; what it must be told at its own settings.
    #[must_use]
    pub fn callback_url(&self, provider: Provider) -> String {
        let base = &self.deps().settings.public_address().url;
        format!("{base}/api/v1/auth/{provider}/callback")
    }

    /// Makes the address of the provider's page for the browser with the cookie `browser`, which will go on to
    /// `next`, a path of ours.
    ///
    /// # Errors
    /// `NotFound` for a provider that is not configured, `LimitReached` for an address that begins too often.
    pub async fn begin(
        &self,
        provider: Provider,
        intent: Intent,
        next: &str,
        browser: &SecretString,
        ip: IpAddr,
    ) -> Result<Url> {
        let calls = self.calls(provider)?;
        self.0.start_limit.check(ip)?;
        let departure = calls.depart(&self.callback_url(provider))?;
        let digest = TokenDigest::of(departure.state.expose_secret());
        let context = verifier_context(departure.state.expose_secret());
        let now = self.now();
        let (link_user, invite) = match intent {
            Intent::SignIn(invite) => (None, invite),
            Intent::Link(user) => (Some(user), None),
        };
        let invite_context = invite_context(departure.state.expose_secret());
        let row = StateRow {
            browser: TokenDigest::of(browser.expose_secret()),
            provider,
            link_user,
            invite_sealed: invite.map(|token| self.deps().vault.seal(&token, &invite_context)),
            verifier_sealed: self.deps().vault.seal(&departure.verifier, &context),
            next_path: next.to_owned(),
            expires_at: now + STATE_LIFE,
        };
        let job = move |tx: &Tx<'_>| store::state_insert(tx, digest, &row, now, MAX_STATES);
        self.deps().store.write(job).await?;
        Ok(departure.url)
    }

    /// Takes a browser that came back.
    ///
    /// # Errors
    /// `Invalid` for a state that is unknown, over, used or another browser's; `Forbidden` when the person or
    /// the rules refused; `Upstream` when the provider failed; those of linking.
    pub async fn complete(&self, provider: Provider, back: Return<'_>) -> Result<Outcome> {
        let calls = self.calls(provider)?;
        let departed = self.use_state(provider, back.state, back.browser).await?;
        let code = back
            .code
            .clone()
            .map_err(|error| refused_there(provider, error))?;
        let link_actor = match departed.link_user {
            Some(user) => Some(require_still_signed_in(back.signed_in, user)?),
            None => None,
        };
        let redirect = self.callback_url(provider);
        let tokens = calls.exchange(&redirect, code, &departed.verifier).await?;
        let identity = calls.identity(&tokens.access).await?;
        match link_actor {
            Some(actor) => self.link(provider, actor, identity, tokens).await,
            None => {
                self.sign_in(provider, identity, tokens, &back, departed)
                    .await
            }
        }
    }

    /// Another browser's state is left to that browser.
    async fn use_state(&self, provider: Provider, state: &str, browser: &str) -> Result<Departed> {
        let (digest, browser, now) = (TokenDigest::of(state), TokenDigest::of(browser), self.now());
        let job = move |tx: &Tx<'_>| {
            let row = store::state_get(tx, digest)?;
            let row = row.filter(|row| row.browser.matches(&browser));
            if row.is_some() {
                store::state_delete(tx, digest)?;
            }
            Ok::<_, Error>(row)
        };
        let row = self.deps().store.write(job).await?;
        let row = row.filter(|row| row.provider == provider && row.expires_at > now);
        let row = row.ok_or_else(unknown_state)?;
        let vault = &self.deps().vault;
        let verifier = vault.open(&row.verifier_sealed, &verifier_context(state))?;
        let invite = match &row.invite_sealed {
            Some(sealed) => Some(vault.open(sealed, &invite_context(state))?),
            None => None,
        };
        Ok(Departed {
            link_user: row.link_user,
            invite,
            verifier,
            next_path: row.next_path,
        })
    }

    async fn sign_in(
        &self,
        provider: Provider,
        identity: Identity,
        tokens: ProviderTokens,
        back: &Return<'_>,
        departed: Departed,
    ) -> Result<Outcome> {
        let id = identity.provider_id.clone();
        let read = move |conn: &Connection| store::link_owner(conn, provider, &id);
        let owner = self.deps().store.read(read).await?;
        let Some(owner) = owner else {
            return self.join(provider, identity, tokens, back, departed).await;
        };
        let user = self.deps().accounts.user(owner).await?;
        self.keep(provider, user.id, &identity, &tokens).await?;
        let accounts = &self.deps().accounts;
        let step = accounts.after_first_factor(&user, back.client, back.previous);
        Ok(Outcome::SignedIn {
            step: step.await?,
            next: departed.next_path,
        })
    }

    /// Forgets browsers that did not come back and merges that nobody confirmed; returns how many.
    ///
    /// # Errors
    /// The store's.
    pub async fn delete_old(&self) -> Result<usize> {
        let now = self.now();
        let job = move |tx: &Tx<'_>| {
            let states = store::states_delete_old(tx, now)?;
            Ok::<_, Error>(states + store::merge_requests_delete_old(tx, now)?)
        };
        self.deps().store.write(job).await
    }

    fn note(&self, tx: &Tx<'_>, actor: UserId, action: &str, detail: &str) -> Result<()> {
        self.note_of(tx, actor, action, actor, detail)
    }

    fn note_of(
        &self,
        tx: &Tx<'_>,
        actor: UserId,
        action: &str,
        subject: UserId,
        detail: &str,
    ) -> Result<()> {
        let event = AuditEvent {
            actor: Some(actor),
            action,
            subject: &subject.to_string(),
            detail,
        };
        Ok(audit::append(tx, &event, self.now())?)
    }
}

/// The state itself is not stored, so it serves as the place that the verifier is sealed for.
fn verifier_context(state: &str) -> String {
    format!("oauth_state.verifier:{state}")
}

fn invite_context(state: &str) -> String {
    format!("oauth_state.invite:{state}")
}

fn unknown_state() -> Error {
    let message = "this way back was used before, is older than 10 minutes, or began in another browser or at \
                   another address of this appliance";
    Error::invalid(message).reason("oauth_state_unknown")
}

fn refused_there(provider: Provider, error: &str) -> Error {
    let label = provider.label();
    // Its own word is from outside: only the one that the standard gives this meaning is told.
    if error == "access_denied" {
        let message = format!("{label} was not allowed to tell us who you are");
        return Error::new(Kind::Forbidden, Code::LoginDenied, message).reason("access_denied");
    }
    let message = format!("{label} sent you back without a sign-in");
    Error::new(Kind::Upstream, Code::UpstreamFailed, message).reason("provider_failed")
}

fn require_still_signed_in(signed_in: Option<&SignedIn>, user: UserId) -> Result<&Actor> {
    match signed_in {
        Some(signed_in) if signed_in.actor.user_id == user => Ok(&signed_in.actor),
        Some(_) | None => Err(Error::unauthenticated(
            "the browser is no longer signed in as the user who began this",
        )),
    }
}

fn not_linked(provider: Provider) -> Error {
    let message = format!(
        "no account here is linked with this {} account",
        provider.label()
    );
    Error::new(Kind::Forbidden, Code::LoginDenied, message).reason("account_not_linked")
}

#[cfg(test)]
mod tests;
