//! Signing a plugin in through the browser.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::model::{Attempt, DENIED, Decided, Decision, PluginConfig, ShortCode, Status};
use super::store::{self, NewAttempt};
use crate::accounts::model::TokenPair;
use crate::accounts::service::Issued;
use crate::accounts::{AccountsService, AddressLimit, PluginDevice};
use crate::audit::{self, AuditEvent};
use crate::db::{Store, Tx};
use crate::http::LimitName;
use crate::kernel::ids::{AuthSessionId, LoginAttemptId, UserId};
use crate::kernel::seal::Vault;
use crate::kernel::secret::{ExposeSecret, SecretString, TokenDigest, random_token, secrets_match};
use crate::kernel::{Actor, Clock, Code, Error, Kind, Result, Role, UnixMillis};
use crate::settings::Settings;

/// Undecided attempts at most; more is not people who sign in, and the oldest makes room.
const MAX_PENDING: u32 = 10_000;
/// How long an attempt that is over still gets its own answer rather than "unknown".
const KEEP_OVER: Duration = Duration::from_hours(24);

/// Sign-in attempts of plugins. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PluginService(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    clock: Clock,
    vault: Arc<Vault>,
    accounts: AccountsService,
    settings: Settings,
    config: PluginConfig,
    start_limit: AddressLimit,
}

/// An attempt that a plugin just started.
#[derive(Debug)]
pub struct StartedLogin {
    /// Which.
    pub id: LoginAttemptId,
    /// What the plugin asks with; nobody else has it.
    pub poll_token: SecretString,
    /// Where the person decides.
    pub authorize_url: String,
    /// Until when.
    pub expires_at: UnixMillis,
    /// How often the plugin should ask.
    pub poll_interval: Duration,
    /// Shown on the page; additive on the wire, so that a later plugin can show it too.
    pub short_code: ShortCode,
}

/// What a plugin that asks is told; failures apart.
#[derive(Debug)]
pub enum Poll {
    /// Nobody decided yet.
    Pending,
    /// It is signed in.
    Completed {
        /// As whom.
        user_id: UserId,
        /// The session.
        auth_session_id: AuthSessionId,
        /// Its tokens.
        tokens: TokenPair,
    },
}

impl PluginService {
    /// Makes the service. It starts no task and reads nothing.
    #[must_use]
    pub fn new(
        store: Store,
        clock: Clock,
        vault: Arc<Vault>,
        accounts: AccountsService,
        settings: Settings,
        config: PluginConfig,
    ) -> Self {
        Self(Arc::new(Inner {
            start_limit: AddressLimit::new(
                &clock,
                LimitName::PluginLogin,
                config.address_allowance,
            ),
            store,
            clock,
            vault,
            accounts,
            settings,
            config,
        }))
    }

    /// Starts an attempt for a client at `ip`. When absurdly many are undecided, the oldest makes room.
    ///
    /// # Errors
    /// `LimitReached` when the address starts too many.
    pub async fn start_login(&self, device: PluginDevice, ip: IpAddr) -> Result<StartedLogin> {
        self.0.start_limit.check(ip)?;
        let now = self.0.clock.now();
        let id = LoginAttemptId::generate();
        let url = &self.0.settings.public_address().url;
        let started = StartedLogin {
            id,
            poll_token: random_token::<24>(),
            authorize_url: format!("{url}/login/plugin?attempt={id}"),
            expires_at: now + self.0.config.attempt_life,
            poll_interval: self.0.config.poll_interval,
            short_code: ShortCode::random(),
        };
        let poll_digest = TokenDigest::of(started.poll_token.expose_secret());
        let (short_code, expires_at) = (started.short_code.clone(), started.expires_at);
        let job = move |tx: &Tx<'_>| {
            store::attempts_make_room(tx, now, MAX_PENDING)?;
            let (short_code, device) = (&short_code, &device);
            let new = NewAttempt {
                id,
                poll_digest,
                short_code,
                device,
                now,
                expires_at,
            };
            Ok::<_, Error>(store::attempt_insert(tx, &new)?)
        };
        self.0.store.write(job).await?;
        Ok(started)
    }

    /// Tells a plugin how its attempt stands; an approved one is claimed by this.
    ///
    /// # Errors
    /// `NotFound` for an unknown attempt or a wrong token, which are not told apart; `Forbidden` with
    /// `login_denied`; `Gone` when nobody decided in time; `Conflict` when it was claimed a while ago.
    pub async fn poll_login(&self, id: &str, poll_token: &str) -> Result<Poll> {
        let id: LoginAttemptId = id.parse().map_err(|_| unknown())?;
        let attempt = self.attempt(id).await?;
        if !TokenDigest::of(poll_token).matches(&attempt.poll_digest) {
            return Err(unknown());
        }
        match attempt.status {
            Status::Pending if self.0.clock.now() < attempt.expires_at => Ok(Poll::Pending),
            Status::Pending => Err(expired()),
            Status::Denied => Err(denied(attempt.reason_code)),
            Status::Approved => self.claim(id).await,
        }
    }

    async fn attempt(&self, id: LoginAttemptId) -> Result<Attempt> {
        let attempt = self
            .0
            .store
            .read(move |conn| store::attempt_get(conn, id))
            .await?;
        attempt.ok_or_else(unknown)
    }

    async fn claim(&self, id: LoginAttemptId) -> Result<Poll> {
        let (service, now) = (self.clone(), self.0.clock.now());
        let job = move |tx: &Tx<'_>| service.claim_in(tx, id, now);
        let (user_id, auth_session_id, issued) = self.0.store.write(job).await?;
        let tokens = self.0.accounts.tokens_of(user_id, auth_session_id, &issued);
        Ok(Poll::Completed {
            user_id,
            auth_session_id,
            tokens,
        })
    }

    fn claim_in(
        &self,
        tx: &Tx<'_>,
        id: LoginAttemptId,
        now: UnixMillis,
    ) -> Result<(UserId, AuthSessionId, Issued)> {
        let inner = &self.0;
        let attempt = store::attempt_get(tx, id)?.ok_or_else(unknown)?;
        let user_id = attempt.user_id.ok_or_else(unknown)?;
        let Some(claim) = attempt.claim else {
            let (session, issued) =
                inner
                    .accounts
                    .open_auth_session(tx, user_id, &attempt.device, now)?;
            let sealed = issued.seal(&inner.vault, &claim_context(id));
            store::attempt_claim(tx, id, session, &sealed, now)?;
            return Ok((user_id, session, issued));
        };
        // The answer may have been lost on its way, so the plugin gets it again.
        let may_repeat = now.since(claim.at) <= inner.config.reclaim_window;
        match claim.sealed {
            Some(sealed) if may_repeat => {
                let issued = Issued::open(&sealed, &inner.vault, &claim_context(id))?;
                Ok((user_id, claim.auth_session_id, issued))
            }
            Some(_) | None => Err(claimed()),
        }
    }

    /// The attempt that a person is asked about, while it can be decided.
    ///
    /// # Errors
    /// `NotFound`, `Gone` when its time is over, `Conflict` when it was decided.
    pub async fn attempt_to_decide(&self, id: &str) -> Result<Attempt> {
        let id: LoginAttemptId = id.parse().map_err(|_| unknown())?;
        let attempt = self.attempt(id).await?;
        match attempt.status {
            Status::Pending if attempt.is_open(self.0.clock.now()) => Ok(attempt),
            Status::Pending => Err(expired()),
            Status::Approved | Status::Denied => {
                Err(Error::conflict("this sign-in was decided before"))
            }
        }
    }

    /// Lets a signed-in person approve an attempt as themselves, or deny it.
    ///
    /// # Errors
    /// `Forbidden` for a viewer: a plugin holds keys, which viewers never see.
    pub async fn decide(&self, actor: &Actor, id: &str, approves: bool) -> Result<Decided> {
        if approves {
            require_plugin_role(actor.role)?;
        }
        let decision = if approves {
            Decision::Approve(actor.user_id)
        } else {
            Decision::Deny(DENIED.to_owned())
        };
        match id.parse() {
            Ok(id) => self.decide_as(id, decision, Some(actor.user_id)).await,
            Err(_) => Ok(Decided::Expired),
        }
    }

    /// Whether `key` is the configured one.
    ///
    /// # Errors
    /// `Unauthenticated` for a wrong key, or when none is configured.
    pub fn check_complete_key(&self, key: Option<&str>) -> Result<()> {
        let is_right = key
            .zip(self.0.config.complete_key.as_ref())
            .is_some_and(|(given, expected)| secrets_match(given, expected));
        if is_right {
            Ok(())
        } else {
            Err(Error::unauthenticated("invalid plugin login auth"))
        }
    }

    /// Lets the holder of the configured key, which was checked, decide an attempt.
    ///
    /// # Errors
    /// `NotFound` for an unknown user or an attempt that is unknown, decided, or over; `Forbidden` for a
    /// viewer, as in [`Self::decide`].
    pub async fn complete_login(&self, id: &str, decision: Decision) -> Result<()> {
        let id = id.parse().map_err(|_| unknown())?;
        if let Decision::Approve(user_id) = decision {
            let user = self.0.accounts.user(user_id).await?;
            require_plugin_role(user.role)?;
        }
        match self.decide_as(id, decision, None).await? {
            Decided::Done => Ok(()),
            Decided::Repeated | Decided::Expired | Decided::AlreadyDecided => Err(unknown()),
        }
    }

    /// `by` is `None` for the holder of the configured key.
    async fn decide_as(
        &self,
        id: LoginAttemptId,
        decision: Decision,
        by: Option<UserId>,
    ) -> Result<Decided> {
        let now = self.0.clock.now();
        let job = move |tx: &Tx<'_>| {
            let Some(attempt) = store::attempt_get(tx, id)? else {
                return Ok(Decided::Expired);
            };
            if attempt.is_open(now) {
                store::attempt_decide(tx, id, &decision, now)?;
                note(tx, id, &decision, by, now)?;
                return Ok(Decided::Done);
            }
            let is_same = match (attempt.status, &decision) {
                (Status::Pending, _) => return Ok(Decided::Expired),
                (Status::Approved, Decision::Approve(user_id)) => attempt.user_id == Some(*user_id),
                (Status::Denied, Decision::Deny(_)) => true,
                (Status::Approved, Decision::Deny(_)) | (Status::Denied, Decision::Approve(_)) => {
                    false
                }
            };
            Ok::<_, Error>(if is_same {
                Decided::Repeated
            } else {
                Decided::AlreadyDecided
            })
        };
        self.0.store.write(job).await
    }

    /// Wipes tokens that were handed out and deletes attempts that are over; returns how many rows.
    ///
    /// # Errors
    /// The store's.
    pub async fn delete_old_attempts(&self) -> Result<usize> {
        let (now, window) = (self.0.clock.now(), self.0.config.reclaim_window);
        let job = move |tx: &Tx<'_>| {
            let wiped = store::attempts_wipe(tx, now - window)?;
            Ok::<_, Error>(wiped + store::attempts_delete_old(tx, now - KEEP_OVER)?)
        };
        self.0.store.write(job).await
    }
}

/// Tells the audit log who let a plugin in, and as whom.
fn note(
    tx: &Tx<'_>,
    id: LoginAttemptId,
    decision: &Decision,
    by: Option<UserId>,
    now: UnixMillis,
) -> Result<()> {
    let (action, whom) = match decision {
        Decision::Approve(user_id) => ("plugin_login.approved", user_id.to_string()),
        Decision::Deny(_) => ("plugin_login.denied", String::new()),
    };
    let how = if by.is_some() {
        ""
    } else {
        " by plugin_login_complete_key"
    };
    let event = AuditEvent {
        actor: by,
        action,
        subject: &id.to_string(),
        detail: &format!("{whom}{how}"),
    };
    Ok(audit::append(tx, &event, now)?)
}

/// A plugin holds keys, which viewers never see.
fn require_plugin_role(role: Role) -> Result<()> {
    match role {
        Role::Owner | Role::Operator | Role::Streamer => Ok(()),
        Role::Viewer => Err(Error::forbidden()),
    }
}

fn claim_context(id: LoginAttemptId) -> String {
    format!("plugin_login_attempt.claimed:{id}")
}

fn unknown() -> Error {
    Error::not_found("sign-in attempt")
}

fn expired() -> Error {
    let message = "nobody decided in time: start the sign-in again";
    Error::new(Kind::Gone, Code::LoginAttemptExpired, message)
}

fn claimed() -> Error {
    let message = "this sign-in was claimed before: start it again";
    Error::new(Kind::Conflict, Code::LoginAlreadyClaimed, message)
}

fn denied(reason_code: Option<String>) -> Error {
    let reason = reason_code.unwrap_or_else(|| DENIED.to_owned());
    Error::new(Kind::Forbidden, Code::LoginDenied, "the sign-in was denied").reason(reason)
}

#[cfg(test)]
mod tests;
