//! The one-time token and the claim.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::store;
use crate::accounts::service::create_user_in;
use crate::accounts::store::owner_exists;
use crate::accounts::{AccountsService, NewUser, User};
use crate::audit::{self, AuditEvent};
use crate::db::{Store, Tx};
use crate::files::write_private;
use crate::kernel::seal::Vault;
use crate::kernel::secret::{ExposeSecret, SecretString, TokenDigest, random_token};
use crate::kernel::{Clock, Error, Result, Role};
use crate::settings::Settings;

/// How long a setup address may be used.
const TOKEN_LIFE: Duration = Duration::from_mins(30);

/// What the service is built from.
#[derive(Debug, Clone)]
pub struct SetupDeps {
    /// The main database.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// Seals the new owner's keys.
    pub vault: Arc<Vault>,
    /// Makes the owner.
    pub accounts: AccountsService,
    /// The public address.
    pub settings: Settings,
    /// Where the token's file goes.
    pub data_dir: PathBuf,
    /// The base of the address when the pages can be reached on this machine only.
    pub local_url: Option<String>,
}

/// The first run. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SetupService(Arc<SetupDeps>);

/// A checked claim.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The owner.
    pub owner: NewUser,
    /// The public host, when the configuration does not set it.
    pub public_host: Option<String>,
}

impl SetupService {
    /// Makes the service. It reads nothing.
    #[must_use]
    pub fn new(deps: SetupDeps) -> Self {
        Self(Arc::new(deps))
    }

    /// Whether somebody owns this appliance.
    ///
    /// # Errors
    /// The store's.
    pub async fn is_claimed(&self) -> Result<bool> {
        self.0.accounts.has_owner().await
    }

    /// Whether it is known without asking that somebody owns this appliance.
    #[must_use]
    pub fn is_known_to_be_claimed(&self) -> bool {
        self.0.accounts.is_known_to_have_owner()
    }

    /// Makes a new one-time address, which replaces the one before, and writes it to
    /// `<data>/setup-token`.
    ///
    /// # Errors
    /// `Conflict` once the appliance is claimed.
    pub async fn renew_setup_token(&self) -> Result<SecretString> {
        if self.is_claimed().await? {
            let message = "this appliance has an owner already; use `glb admin create` to add a \
                           user, or `glb admin reset-password` to get back in";
            return Err(Error::conflict(message));
        }
        let token = random_token::<24>();
        let digest = TokenDigest::of(token.expose_secret());
        let expires_at = self.0.clock.now() + TOKEN_LIFE;
        self.0
            .store
            .write(move |tx| store::setup_token_put(tx, digest, expires_at))
            .await?;
        self.publish(&token)
    }

    /// The address to print at the start. One that `glb setup-token` made while the server was stopped goes
    /// on to serve; else a new one is made.
    ///
    /// # Errors
    /// `Conflict` once the appliance is claimed.
    pub async fn setup_url_at_start(&self) -> Result<SecretString> {
        // Unreadable or not there is the same: then a new one is made and written.
        let text = std::fs::read_to_string(self.file()).unwrap_or_default();
        let token = text
            .trim()
            .rsplit_once("?token=")
            .map(|(_, token)| SecretString::from(token));
        match token {
            Some(token) if self.is_good_token(token.expose_secret()).await? => self.publish(&token),
            Some(_) | None => self.renew_setup_token().await,
        }
    }

    /// Writes the address of `token` to the file.
    fn publish(&self, token: &SecretString) -> Result<SecretString> {
        let base = self.0.local_url.clone();
        let base = base.unwrap_or_else(|| self.0.settings.public_address().url.clone());
        let url = format!("{base}/setup?token={}", token.expose_secret());
        write_private(&self.file(), format!("{url}\n").as_bytes()).map_err(Error::internal)?;
        Ok(SecretString::from(url))
    }

    fn file(&self) -> PathBuf {
        self.0.data_dir.join("setup-token")
    }

    /// Whether `token` may claim the appliance now.
    ///
    /// # Errors
    /// The store's.
    pub async fn is_good_token(&self, token: &str) -> Result<bool> {
        let (given, now) = (TokenDigest::of(token), self.0.clock.now());
        let stored = self
            .0
            .store
            .read(move |conn| store::setup_token_get(conn, now))
            .await?;
        Ok(stored.is_some_and(|stored| stored.matches(&given)))
    }

    /// Makes the owner and ends the token: all of it or nothing.
    ///
    /// # Errors
    /// `Gone` when the token is not good (any more) or somebody else was faster; `Invalid` for a host that
    /// is none.
    pub async fn claim(&self, token: &str, claim: Claim) -> Result<User> {
        if !self.is_good_token(token).await? {
            return Err(refused());
        }
        // A host that was only detected stays so: it may be another one tomorrow.
        let current = self.0.settings.public_address().host.clone();
        let host = claim.public_host.filter(|host| *host != current);
        let owner = claim.owner;
        let hash = self.0.accounts.hash_password(&owner.password).await?;
        let (given, now) = (TokenDigest::of(token), self.0.clock.now());
        let (vault, accounts) = (Arc::clone(&self.0.vault), self.0.accounts.clone());
        let settings = self.0.settings.clone();
        let job = move |tx: &Tx<'_>| {
            let stored = store::setup_token_get(tx, now)?;
            // The command line may have made an owner meanwhile.
            if owner_exists(tx)? || !stored.is_some_and(|stored| stored.matches(&given)) {
                return Err(refused());
            }
            store::setup_token_delete(tx)?;
            let user = create_user_in(tx, &vault, &owner, &hash, now)?;
            if let Some(host) = host {
                settings.put_public_host(tx, &host)?;
            }
            accounts.note_owner(tx, Role::Owner);
            let id = user.id.to_string();
            let event = AuditEvent {
                actor: Some(user.id),
                action: "appliance.claimed",
                subject: &id,
                detail: "",
            };
            audit::append(tx, &event, now)?;
            Ok(user)
        };
        let user = self.0.store.write(job).await?;
        self.remove_file();
        Ok(user)
    }

    /// Ends the token, because the appliance has an owner now that came by another way.
    ///
    /// # Errors
    /// The store's.
    pub async fn forget_token(&self) -> Result<()> {
        self.0
            .store
            .write(|tx| store::setup_token_delete(tx))
            .await?;
        if self.file().exists() {
            self.remove_file();
        }
        Ok(())
    }

    /// The token in the file is worthless now; that it stays is no danger, only untidy.
    fn remove_file(&self) {
        if let Err(error) = std::fs::remove_file(self.file()) {
            tracing::warn!(error = %error, "the used setup token's file could not be removed");
        }
    }
}

fn refused() -> Error {
    let message = "this setup address was used or is too old; `glb setup-token` makes a new one";
    Error::new(
        crate::kernel::Kind::Gone,
        crate::kernel::Code::SetupRequired,
        message,
    )
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::accounts::{AccessTokens, AccountsConfig, DisplayName, Email, Password};
    use crate::db::testing::main_store;
    use crate::kernel::UnixMillis;
    use crate::kernel::clock::ManualClock;
    use crate::settings::{AddressSources, AdvertisedPorts};

    struct Fixture {
        setup: SetupService,
        clock: Arc<ManualClock>,
        folder: tempfile::TempDir,
    }

    async fn fixture() -> Fixture {
        let (folder, store) = main_store();
        let manual = ManualClock::starting_at(UnixMillis(1_774_300_000_000));
        let clock = Clock::from_source(manual.clone());
        let vault = Arc::new(Vault::new(&[7; 32]));
        let tokens = AccessTokens::new(&SecretString::from("x".repeat(32))).unwrap();
        let accounts = AccountsService::new(
            store.clone(),
            clock.clone(),
            Arc::clone(&vault),
            tokens,
            AccountsConfig::default(),
        );
        let ports = AdvertisedPorts {
            srtla: 5000,
            srt_publish: 4001,
            srt_play: 4000,
            stats: 8090,
        };
        let sources = AddressSources {
            configured_host: None,
            configured_url: None,
            detected: Ipv4Addr::new(203, 0, 113, 7),
            http_port: 8080,
            ports,
        };
        let settings = Settings::load(store.clone(), clock.clone(), sources)
            .await
            .unwrap();
        let data_dir = folder.path().to_owned();
        let local_url = None;
        let setup = SetupService::new(SetupDeps {
            store,
            clock,
            vault,
            accounts,
            settings,
            data_dir,
            local_url,
        });
        Fixture {
            setup,
            clock: manual,
            folder,
        }
    }

    fn claim() -> Claim {
        let email = Email::parse("owner@example.org").unwrap();
        let owner = NewUser {
            display_name: DisplayName::from_email(&email),
            email,
            role: Role::Owner,
            password: Password::random(),
        };
        Claim {
            owner,
            public_host: Some("203.0.113.8".into()),
        }
    }

    fn token_of(url: &SecretString) -> String {
        url.expose_secret()
            .split_once("token=")
            .unwrap()
            .1
            .to_owned()
    }

    #[tokio::test]
    async fn the_token_claims_once_and_its_file_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let Fixture { setup, folder, .. } = fixture().await;
        let url = setup.renew_setup_token().await.unwrap();
        assert!(
            url.expose_secret()
                .starts_with("http://203.0.113.7:8080/setup?token=")
        );
        let file = folder.path().join("setup-token");
        assert_eq!(
            std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let token = token_of(&url);
        assert!(!setup.is_claimed().await.unwrap());
        setup.claim(&token, claim()).await.unwrap();
        assert!(setup.is_claimed().await.unwrap());
        assert!(!file.exists());
        assert!(setup.claim(&token, claim()).await.is_err());
        assert!(setup.renew_setup_token().await.is_err());
    }

    #[tokio::test]
    async fn a_wrong_old_or_replaced_token_claims_nothing() {
        let Fixture {
            setup,
            clock,
            folder: _folder,
        } = fixture().await;
        let first = token_of(&setup.renew_setup_token().await.unwrap());
        let second = token_of(&setup.renew_setup_token().await.unwrap());
        for bad in ["", "guess", &first] {
            assert!(setup.claim(bad, claim()).await.is_err(), "{bad}");
        }
        assert!(setup.is_good_token(&second).await.unwrap());
        clock.advance(TOKEN_LIFE);
        assert!(setup.claim(&second, claim()).await.is_err());
        assert!(!setup.is_claimed().await.unwrap());
    }

    #[tokio::test]
    async fn of_two_who_claim_at_once_one_owns_it() {
        let Fixture {
            setup,
            folder: _folder,
            ..
        } = fixture().await;
        let token = token_of(&setup.renew_setup_token().await.unwrap());
        let (one, other) = tokio::join!(setup.claim(&token, claim()), setup.claim(&token, claim()));
        assert!(one.is_ok() != other.is_ok());
        let store = &setup.0.store;
        let log = store.read(|conn| Ok::<_, Error>(audit::newest(conn, 9)?));
        let actions: Vec<_> = log
            .await
            .unwrap()
            .into_iter()
            .map(|row| row.action)
            .collect();
        assert_eq!(actions, ["appliance.claimed"]);
    }

    #[tokio::test]
    async fn an_address_made_while_the_server_was_stopped_serves_after_its_start() {
        let Fixture {
            setup,
            clock,
            folder,
        } = fixture().await;
        let made = setup.renew_setup_token().await.unwrap();
        let printed = setup.setup_url_at_start().await.unwrap();
        assert_eq!(printed.expose_secret(), made.expose_secret());
        clock.advance(TOKEN_LIFE);
        let fresh = setup.setup_url_at_start().await.unwrap();
        assert_ne!(fresh.expose_secret(), made.expose_secret());
        std::fs::write(folder.path().join("setup-token"), "garbage").unwrap();
        let again = setup.setup_url_at_start().await.unwrap();
        setup.claim(&token_of(&again), claim()).await.unwrap();
    }

    #[tokio::test]
    async fn an_owner_from_the_command_line_leaves_the_token_worthless() {
        let Fixture {
            setup,
            folder: _folder,
            ..
        } = fixture().await;
        let token = token_of(&setup.renew_setup_token().await.unwrap());
        let mut other = claim().owner;
        other.email = Email::parse("cli@example.org").unwrap();
        setup.0.accounts.create_user(other).await.unwrap();
        assert!(setup.claim(&token, claim()).await.is_err());
    }
}
