//! Enrolling a second factor, checking codes, and the sign-ins that wait for one.

mod waiting;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;

use super::code::{self, Code};
use super::model::{Enrolment, RecoveryCodes, Standing, Verdict};
use super::{store, totp};
use crate::accounts::limits::too_many_tries;
use crate::accounts::store::{throttle_clear, throttle_count};
use crate::audit::{self, AuditEvent};
use crate::db::{Cache, DbError, Store, Tx};
use crate::kernel::ids::UserId;
use crate::kernel::seal::Vault;
use crate::kernel::secret::{SecretString, TokenDigest};
use crate::kernel::{Actor, Clock, Error, Result, UnixMillis};
use crate::settings::{SecondFactorRule, Settings};

/// Users whose standing is kept in memory.
const CACHED_USERS: usize = 4096;

/// The second factors of all users. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SecondFactors(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    clock: Clock,
    vault: Arc<Vault>,
    enrolled: Cache<UserId, bool>,
    is_required: AtomicBool,
}

impl SecondFactors {
    /// Makes the service. It starts no task and reads nothing.
    pub(in crate::accounts) fn new(store: Store, clock: Clock, vault: Arc<Vault>) -> Self {
        Self(Arc::new(Inner {
            store,
            clock,
            vault,
            enrolled: Cache::with_capacity(CACHED_USERS),
            is_required: AtomicBool::new(false),
        }))
    }

    /// Whether a user is asked for a code at sign-in. Costs no read in the steady state.
    ///
    /// # Errors
    /// The store's.
    pub async fn is_enrolled(&self, user: UserId) -> Result<bool> {
        let load = async {
            let read = move |conn: &Connection| store::factor_is_confirmed(conn, user);
            self.0.store.read(read).await.map_err(Error::from)
        };
        self.0.enrolled.get_or_load(user, load).await
    }

    /// Whether owners and operators must have one.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.0.is_required.load(Ordering::Relaxed)
    }

    /// Takes over what the settings say, at the start.
    pub fn follow(&self, settings: &Settings) {
        let rule: SecondFactorRule = settings.word();
        self.0
            .is_required
            .store(rule == SecondFactorRule::Required, Ordering::Relaxed);
    }

    /// Whether `actor` can do nothing before they enrolled.
    ///
    /// # Errors
    /// The store's.
    pub async fn must_enrol(&self, actor: &Actor) -> Result<bool> {
        if !self.is_required() || !actor.is_operator() {
            return Ok(false);
        }
        Ok(!self.is_enrolled(actor.user_id).await?)
    }

    /// Says whether owners and operators must have one.
    ///
    /// # Errors
    /// `Forbidden` for everybody but an owner; `Conflict` for an owner who has none, or when the configuration
    /// says it.
    pub async fn set_required(
        &self,
        actor: &Actor,
        settings: &Settings,
        is_required: bool,
    ) -> Result<()> {
        if actor.role != crate::kernel::Role::Owner {
            return Err(Error::forbidden());
        }
        if is_required && !self.is_enrolled(actor.user_id).await? {
            let message = "switch your own second factor on first: else this would lock you out of every page";
            return Err(Error::conflict(message));
        }
        let (service, settings, actor) = (self.clone(), settings.clone(), *actor);
        let job = move |tx: &Tx<'_>| {
            let (rule, detail) = if is_required {
                (SecondFactorRule::Required, "required")
            } else {
                (SecondFactorRule::LeftToEach, "left to each")
            };
            settings.put_word(tx, rule)?;
            service.note(
                tx,
                Some(actor.user_id),
                "second_factor.policy",
                "owners and operators",
                detail,
            )?;
            tx.after_commit(move || service.0.is_required.store(is_required, Ordering::Relaxed));
            Ok::<_, Error>(())
        };
        self.0.store.write(job).await
    }

    /// How the caller's second factor stands.
    ///
    /// # Errors
    /// The store's.
    pub async fn standing(&self, actor: &Actor, email: &str) -> Result<Standing> {
        let user = actor.user_id;
        let read = move |conn: &Connection| {
            let row = store::factor_get(conn, user)?;
            Ok::<_, DbError>((row, store::recovery_codes_left(conn, user)?))
        };
        let (row, recovery_codes_left) = self.0.store.read(read).await?;
        let Some(row) = row else {
            return Ok(Standing::None);
        };
        let Some(since) = row.confirmed_at else {
            let secret = self.open(user, &row.secret_sealed)?;
            let url = totp::enrolment_url(&secret, email)?;
            return Ok(Standing::Enrolling(Enrolment { secret, url }));
        };
        Ok(Standing::Enrolled {
            since,
            recovery_codes_left,
        })
    }

    /// Makes a secret for the caller, which counts once a code confirms it.
    ///
    /// # Errors
    /// `Conflict` when they have a second factor already.
    pub async fn begin(&self, actor: &Actor) -> Result<()> {
        let (user, now) = (actor.user_id, self.0.clock.now());
        let sealed = self
            .0
            .vault
            .seal(&totp::new_secret(), &secret_context(user));
        let job = move |tx: &Tx<'_>| store::factor_begin(tx, user, &sealed, now);
        if self.0.store.write(job).await? {
            return Ok(());
        }
        Err(Error::conflict("your second factor is switched on already"))
    }

    /// Confirms the caller's secret by its first code and answers their recovery codes.
    ///
    /// # Errors
    /// `Invalid` with field `code`, `LimitReached` after too many, `Conflict` when nothing waits for a code.
    pub async fn confirm(&self, actor: &Actor, code: &str) -> Result<RecoveryCodes> {
        let (user, now, service) = (actor.user_id, self.0.clock.now(), self.clone());
        let (codes, code) = (code::recovery_codes(), Code::parse(code));
        let digests = self.digests(user, &codes);
        let job = move |tx: &Tx<'_>| {
            let row = store::factor_get(tx, user)?.filter(|row| row.confirmed_at.is_none());
            let row = row.ok_or_else(|| Error::conflict("nothing waits for a code: begin anew"))?;
            if let Some(wait) = throttle_count(tx, service.throttle(user), now)? {
                return Ok(Verdict::Wait(wait));
            }
            let Some(step) = service.step_of(user, &row, code.as_ref(), now)? else {
                return Ok(Verdict::Wrong);
            };
            throttle_clear(tx, service.throttle(user))?;
            store::factor_confirm(tx, user, step, now)?;
            store::recovery_codes_replace(tx, user, &digests)?;
            service.note(
                tx,
                Some(user),
                "second_factor.enabled",
                &user.to_string(),
                "",
            )?;
            service.forget_after(tx, user);
            Ok::<_, Error>(Verdict::Right)
        };
        refuse_unless_right(self.0.store.write(job).await?)?;
        Ok(RecoveryCodes(codes))
    }

    /// Checks a code of `user` and uses it up.
    ///
    /// # Errors
    /// `Invalid` with field `code`, `LimitReached` after too many.
    pub async fn check(&self, user: UserId, code: &str) -> Result<()> {
        let (service, now, code) = (self.clone(), self.0.clock.now(), Code::parse(code));
        let job = move |tx: &Tx<'_>| service.check_in(tx, user, code.as_ref(), now);
        refuse_unless_right(self.0.store.write(job).await?)
    }

    /// Tries are counted whatever the code is, so many at once cannot slip through.
    fn check_in(
        &self,
        tx: &Tx<'_>,
        user: UserId,
        code: Option<&Code>,
        now: UnixMillis,
    ) -> Result<Verdict> {
        if let Some(wait) = throttle_count(tx, self.throttle(user), now)? {
            return Ok(Verdict::Wait(wait));
        }
        let row = store::factor_get(tx, user)?.filter(|row| row.confirmed_at.is_some());
        let Some(row) = row else {
            return Ok(Verdict::Wrong);
        };
        let is_right = match code {
            None => false,
            Some(Code::Recovery(plain)) => {
                let digest = self.0.vault.lookup(&code::look_up_text(user, plain));
                store::recovery_code_use(tx, user, digest)?
            }
            Some(Code::Digits(_)) => match self.step_of(user, &row, code, now)? {
                Some(step) => {
                    store::factor_note_step(tx, user, step)?;
                    true
                }
                None => false,
            },
        };
        if !is_right {
            return Ok(Verdict::Wrong);
        }
        throttle_clear(tx, self.throttle(user))?;
        Ok(Verdict::Right)
    }

    /// New recovery codes for the caller; the old ones are void.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub async fn renew_recovery_codes(&self, actor: &Actor, code: &str) -> Result<RecoveryCodes> {
        let (user, now, service) = (actor.user_id, self.0.clock.now(), self.clone());
        let (codes, code) = (code::recovery_codes(), Code::parse(code));
        let digests = self.digests(user, &codes);
        let job = move |tx: &Tx<'_>| {
            let verdict = service.check_in(tx, user, code.as_ref(), now)?;
            if verdict == Verdict::Right {
                store::recovery_codes_replace(tx, user, &digests)?;
                let subject = user.to_string();
                service.note(
                    tx,
                    Some(user),
                    "second_factor.recovery_codes_renewed",
                    &subject,
                    "",
                )?;
            }
            Ok::<_, Error>(verdict)
        };
        refuse_unless_right(self.0.store.write(job).await?)?;
        Ok(RecoveryCodes(codes))
    }

    /// Switches the caller's second factor off. Their password was checked before.
    ///
    /// # Errors
    /// As [`Self::check`]; `Conflict` for an owner or operator who must have one.
    pub async fn disable(&self, actor: &Actor, code: &str) -> Result<()> {
        if self.is_required() && actor.is_operator() {
            let message = "owners and operators must have a second factor here";
            return Err(Error::conflict(message));
        }
        let (user, now, service) = (actor.user_id, self.0.clock.now(), self.clone());
        let code = Code::parse(code);
        let job = move |tx: &Tx<'_>| {
            let verdict = service.check_in(tx, user, code.as_ref(), now)?;
            if verdict == Verdict::Right {
                service.delete_in(tx, user, Some(user), "second_factor.disabled")?;
            }
            Ok::<_, Error>(verdict)
        };
        refuse_unless_right(self.0.store.write(job).await?)
    }

    /// Takes a user's second factor away, for the command line, whose caller owns the machine.
    ///
    /// # Errors
    /// `NotFound` when they have none.
    pub(in crate::accounts) fn reset_in(&self, tx: &Tx<'_>, user: UserId) -> Result<()> {
        if self.delete_in(tx, user, None, "second_factor.reset")? {
            return throttle_clear(tx, self.throttle(user)).map_err(Error::from);
        }
        Err(Error::not_found("second factor"))
    }

    fn delete_in(
        &self,
        tx: &Tx<'_>,
        user: UserId,
        actor: Option<UserId>,
        action: &str,
    ) -> Result<bool> {
        let was_there = store::factor_delete(tx, user)?;
        store::pending_delete_of(tx, user)?;
        if was_there {
            self.note(tx, actor, action, &user.to_string(), "")?;
        }
        self.forget_after(tx, user);
        Ok(was_there)
    }

    fn step_of(
        &self,
        user: UserId,
        row: &store::FactorRow,
        code: Option<&Code>,
        now: UnixMillis,
    ) -> Result<Option<i64>> {
        let Some(Code::Digits(digits)) = code else {
            return Ok(None);
        };
        let secret = self.open(user, &row.secret_sealed)?;
        totp::matching_step(&secret, digits, row.last_step, now)
    }

    fn open(&self, user: UserId, sealed: &[u8]) -> Result<SecretString> {
        Ok(self.0.vault.open(sealed, &secret_context(user))?)
    }

    fn digests(&self, user: UserId, codes: &[SecretString]) -> Vec<TokenDigest> {
        let text = |code| code::look_up_text(user, &code::plain(code));
        codes
            .iter()
            .map(|code| self.0.vault.lookup(&text(code)))
            .collect()
    }

    /// Under which name wrong codes of a user are counted.
    fn throttle(&self, user: UserId) -> TokenDigest {
        self.0.vault.lookup(&format!("second_factor:{user}"))
    }

    fn forget_after(&self, tx: &Tx<'_>, user: UserId) {
        let enrolled = self.0.enrolled.clone();
        tx.after_commit(move || enrolled.invalidate(&user));
    }

    fn note(
        &self,
        tx: &Tx<'_>,
        actor: Option<UserId>,
        action: &str,
        subject: &str,
        detail: &str,
    ) -> Result<()> {
        let event = AuditEvent {
            actor,
            action,
            subject,
            detail,
        };
        audit::append(tx, &event, self.0.clock.now()).map_err(|error| DbError::from(error).into())
    }
}

fn secret_context(user: UserId) -> String {
    format!("second_factor.secret:{user}")
}

fn refuse_unless_right(verdict: Verdict) -> Result<()> {
    match verdict {
        Verdict::Right => Ok(()),
        Verdict::Wait(wait) => Err(too_many_tries(wait)),
        Verdict::Wrong => Err(Error::invalid_field(
            "code",
            "wrong_code",
            "this code is wrong, too old, or was used before: wait for the next one",
        )),
    }
}

#[cfg(test)]
mod tests;
