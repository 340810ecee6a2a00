//! Use cases of accounts.

mod api_keys;
mod browser;
mod issued;
mod joining;
mod leaving;
mod outbox;
mod plugin;
mod reauthentication;
mod recovery;
mod second_factor;
mod users;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use issued::Issued;
pub use joining::{Entry, Joined, Offer, SignUps};
pub use outbox::{Delivered, MailHealth, Outbox};
pub use plugin::{Expiry, Refreshed};
pub use reauthentication::{FirstProof, Proofs, ProofsDue};
pub use recovery::AddressChange;
pub use second_factor::SignInStep;
pub use users::{PluginSessions, USERS_A_PAGE, create_user_in};

use super::limits::AddressLimit;
use super::model::AccountsConfig;
use super::oauth::LinkedAccounts;
use super::password::Hasher;
use super::second_factor::SecondFactors;
use super::seen::LastSeen;
use super::store::{self, ApiKeyRow, AuthSessionRow, BrowserSessionRow};
use super::token::AccessTokens;
use crate::audit::{self, AuditEvent};
use crate::db::{Cache, Store, Tx};
use crate::http::LimitName;
use crate::kernel::ids::{ApiKeyId, AuthSessionId, BrowserSessionId, UserId};
use crate::kernel::seal::Vault;
use crate::kernel::secret::TokenDigest;
use crate::kernel::{Clock, Error, Result, UnixMillis};

/// Sessions of one kind that are kept in memory.
const CACHED_SESSIONS: usize = 4096;
/// How long sessions that are over stay in the store: their owner's list never shows them, but a reused
/// refresh token is told from an unknown one.
const KEEP_ENDED: Duration = Duration::from_hours(7 * 24);
/// How long failed sign-ins are remembered.
const KEEP_FAILURES: Duration = Duration::from_hours(24);
/// How long invitations that are over stay in the list, and mails in the outbox.
const KEEP_LETTERS: Duration = Duration::from_hours(30 * 24);

/// Users, sessions and tokens. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AccountsService(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    clock: Clock,
    vault: Arc<Vault>,
    tokens: AccessTokens,
    config: AccountsConfig,
    hasher: Hasher,
    address_limit: AddressLimit,
    /// Of whoever makes us write mails or accounts.
    letter_limit: AddressLimit,
    /// Of whoever comes with a link.
    link_limit: AddressLimit,
    browsers: Cache<TokenDigest, Arc<BrowserSessionRow>>,
    plugins: Cache<AuthSessionId, AuthSessionRow>,
    browsers_seen: LastSeen<BrowserSessionId>,
    plugins_seen: LastSeen<AuthSessionId>,
    keys: Cache<TokenDigest, ApiKeyRow>,
    keys_seen: LastSeen<ApiKeyId>,
    has_owner: AtomicBool,
    second_factors: SecondFactors,
    linked_accounts: LinkedAccounts,
}

impl AccountsService {
    /// Makes the service. It starts no task and reads nothing.
    #[must_use]
    pub fn new(
        store: Store,
        clock: Clock,
        vault: Arc<Vault>,
        tokens: AccessTokens,
        config: AccountsConfig,
    ) -> Self {
        let limit = |name| AddressLimit::new(&clock, name, config.address_allowance);
        let second_factors = SecondFactors::new(store.clone(), clock.clone(), Arc::clone(&vault));
        Self(Arc::new(Inner {
            linked_accounts: LinkedAccounts::new(store.clone()),
            store,
            second_factors,
            address_limit: limit(LimitName::SignIn),
            letter_limit: limit(LimitName::Letter),
            link_limit: limit(LimitName::Link),
            clock,
            vault,
            tokens,
            config,
            hasher: Hasher::new(),
            browsers: Cache::with_capacity(CACHED_SESSIONS),
            plugins: Cache::with_capacity(CACHED_SESSIONS),
            browsers_seen: LastSeen::default(),
            plugins_seen: LastSeen::default(),
            keys: Cache::with_capacity(CACHED_SESSIONS),
            keys_seen: LastSeen::default(),
            has_owner: AtomicBool::new(false),
        }))
    }

    /// How long proofs last.
    #[must_use]
    pub fn config(&self) -> &AccountsConfig {
        &self.0.config
    }

    /// The accounts at sign-in providers that users linked.
    #[must_use]
    pub fn linked_accounts(&self) -> &LinkedAccounts {
        &self.0.linked_accounts
    }

    /// Whether somebody owns this appliance. Once it is so it stays so, and costs nothing to ask.
    ///
    /// # Errors
    /// The store's.
    pub async fn has_owner(&self) -> Result<bool> {
        if self.is_known_to_have_owner() {
            return Ok(true);
        }
        let exists = self.0.store.read(store::owner_exists).await?;
        if exists {
            self.0.has_owner.store(true, Ordering::Relaxed);
        }
        Ok(exists)
    }

    /// Whether it is known without asking that somebody owns this appliance.
    #[must_use]
    pub fn is_known_to_have_owner(&self) -> bool {
        self.0.has_owner.load(Ordering::Relaxed)
    }

    /// Writes when sessions were last heard of; returns how many rows.
    ///
    /// # Errors
    /// The store's; then the next call tries again.
    pub async fn write_last_seen(&self) -> Result<usize> {
        let now = self.0.clock.now();
        let browsers = self.0.browsers_seen.take_changes(now);
        let plugins = self.0.plugins_seen.take_changes(now);
        let keys = self.0.keys_seen.take_changes(now);
        let count = browsers.len() + plugins.len() + keys.len();
        if count == 0 {
            return Ok(0);
        }
        let rows = (browsers.clone(), plugins.clone(), keys.clone());
        let written = self
            .0
            .store
            .write(move |tx| write_seen(tx, &rows.0, &rows.1, &rows.2));
        if let Err(error) = written.await {
            self.0.browsers_seen.put_back(&browsers);
            self.0.plugins_seen.put_back(&plugins);
            self.0.keys_seen.put_back(&keys);
            return Err(error);
        }
        Ok(count)
    }

    /// Deletes what is over: sessions, sealed token pairs that were used, old failed sign-ins, invitations, links
    /// and mails. Returns how many rows.
    ///
    /// # Errors
    /// The store's.
    pub async fn delete_ended(&self) -> Result<usize> {
        // Else a browser whose last sign of life is only in memory would look idle.
        self.write_last_seen().await?;
        let waiting = self.0.second_factors.delete_old().await?;
        let (now, config) = (self.0.clock.now(), self.0.config);
        let idle_since = now - config.browser.idle.max(config.operator_browser.idle);
        let job = move |tx: &Tx<'_>| {
            let browsers = store::browser_sessions_delete_old(tx, now, idle_since)?;
            let plugins = store::auth_sessions_delete_old(tx, now - KEEP_ENDED)?;
            let pairs = store::successors_wipe(tx, now - config.retry_window)?;
            let throttles = store::throttles_delete_old(tx, now - KEEP_FAILURES)?;
            let invites = store::invites_delete_old(tx, now - KEEP_LETTERS)?;
            let links = store::email_tokens_delete_old(tx, now)?;
            let mails = store::mails_delete_old(tx, now - KEEP_LETTERS)?;
            let letters = invites + links + mails;
            Ok::<_, Error>(browsers + plugins + pairs + throttles + letters)
        };
        let deleted = self.0.store.write(job).await?;
        Ok(deleted + waiting)
    }
}

fn write_seen(
    tx: &Tx<'_>,
    browsers: &[(BrowserSessionId, UnixMillis)],
    plugins: &[(AuthSessionId, UnixMillis)],
    keys: &[(ApiKeyId, UnixMillis)],
) -> Result<()> {
    for (id, at) in browsers {
        store::browser_session_seen(tx, *id, *at)?;
    }
    for (id, at) in plugins {
        store::auth_session_seen(tx, *id, *at)?;
    }
    for (id, at) in keys {
        store::api_key_used(tx, *id, *at)?;
    }
    Ok(())
}

/// Notes in the audit log, in the transaction that did it, what was done.
fn note(
    tx: &Tx<'_>,
    actor: Option<UserId>,
    action: &str,
    subject: &str,
    detail: &str,
    now: UnixMillis,
) -> Result<()> {
    let event = AuditEvent {
        actor,
        action,
        subject,
        detail,
    };
    Ok(audit::append(tx, &event, now)?)
}

#[cfg(test)]
mod letters_tests;

#[cfg(test)]
pub(crate) mod testing {
    //! A service on a fresh database with a clock that the test moves.

    use tempfile::TempDir;

    use super::*;
    use crate::accounts::model::{DisplayName, Email, NewUser, Password, User};
    use crate::db::testing::main_store;
    use crate::kernel::Role;
    use crate::kernel::clock::ManualClock;
    use crate::kernel::secret::SecretString;

    /// 2026-03-23T21:06:40Z.
    pub(crate) const START: UnixMillis = UnixMillis(1_774_300_000_000);
    pub(crate) const PASSWORD: &str = "correct horse battery";

    pub(crate) struct World {
        pub(crate) accounts: AccountsService,
        pub(crate) store: Store,
        pub(crate) vault: Arc<Vault>,
        pub(crate) clock: Arc<ManualClock>,
        pub(crate) folder: TempDir,
        config: AccountsConfig,
    }

    impl World {
        pub(crate) fn new() -> Self {
            Self::with_mail(false)
        }

        /// One with or without a mail server.
        pub(crate) fn with_mail(has_mail: bool) -> Self {
            let config = AccountsConfig {
                has_mail,
                ..AccountsConfig::default()
            };
            let (folder, store) = main_store();
            let clock = ManualClock::starting_at(START);
            let vault = Arc::new(Vault::new(&[7; 32]));
            let accounts = accounts_on(&store, &clock, &vault, config);
            Self {
                accounts,
                store,
                vault,
                clock,
                folder,
                config,
            }
        }

        /// The same store in another process's memory, as after a restart.
        pub(crate) fn restarted(&self) -> AccountsService {
            accounts_on(&self.store, &self.clock, &self.vault, self.config)
        }

        pub(crate) async fn user(&self, email: &str, role: Role) -> User {
            self.accounts
                .create_user(new_user(email, role))
                .await
                .unwrap()
        }

        pub(crate) async fn sql(&self, sql: &'static str) {
            let job = move |tx: &Tx<'_>| Ok::<_, Error>(tx.execute_batch(sql)?);
            self.store.write(job).await.unwrap();
        }
    }

    fn accounts_on(
        store: &Store,
        clock: &Arc<ManualClock>,
        vault: &Arc<Vault>,
        config: AccountsConfig,
    ) -> AccountsService {
        let secret = SecretString::from("a signing secret for tests, 32 or more");
        AccountsService::new(
            store.clone(),
            Clock::from_source(Arc::clone(clock) as _),
            Arc::clone(vault),
            AccessTokens::new(&secret).unwrap(),
            config,
        )
    }

    pub(crate) fn new_user(email: &str, role: Role) -> NewUser {
        let email = Email::parse(email).unwrap();
        NewUser {
            display_name: DisplayName::from_email(&email),
            email,
            role,
            password: Password::parse(SecretString::from(PASSWORD)).unwrap(),
        }
    }
}
