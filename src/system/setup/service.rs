//! The one-time token, and claiming the appliance with it.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::store;
use crate::accounts::model::{NewUser, User};
use crate::accounts::store::owner_exists;
use crate::accounts::{AccountsService, DisplayName, Email, Password};
use crate::db::{Store, Tx};
use crate::kernel::secret::{ExposeSecret, SecretString, TokenDigest, random_token};
use crate::kernel::{Clock, Code, Error, Kind, Result, Role};
use crate::settings::Settings;

/// How long a token serves.
const TOKEN_LIFE: Duration = Duration::from_secs(30 * 60);
/// In the data folder.
const FILE_NAME: &str = "setup-token";

/// The first run. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SetupService(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    clock: Clock,
    accounts: AccountsService,
    settings: Settings,
    file: PathBuf,
}

/// What the first owner fills in.
#[derive(Debug)]
pub struct Claim {
    /// The one-time token.
    pub token: SecretString,
    /// The owner's address.
    pub email: Email,
    /// The owner's name.
    pub display_name: DisplayName,
    /// The owner's password.
    pub password: Password,
    /// Where phones and OBS reach the appliance; `None` leaves it as it is.
    pub public_host: Option<String>,
}

impl SetupService {
    /// Makes the service. It starts no task and reads nothing.
    #[must_use]
    pub fn new(
        store: Store,
        clock: Clock,
        accounts: AccountsService,
        settings: Settings,
        data_dir: PathBuf,
    ) -> Self {
        let file = data_dir.join(FILE_NAME);
        Self(Arc::new(Inner {
            store,
            clock,
            accounts,
            settings,
            file,
        }))
    }

    /// Whether the appliance has an owner. Costs nothing once it has.
    ///
    /// # Errors
    /// The store's.
    pub async fn is_claimed(&self) -> Result<bool> {
        self.0.accounts.has_owner().await
    }

    /// Makes a new setup address, writes it to the file and answers it. The one before is void.
    ///
    /// # Errors
    /// `Conflict` when there is an owner already.
    pub async fn renew_setup_token(&self) -> Result<SecretString> {
        let token = random_token::<24>();
        let digest = TokenDigest::of(token.expose_secret());
        let expires_at = self.0.clock.now() + TOKEN_LIFE;
        let job = move |tx: &Tx<'_>| {
            if owner_exists(tx)? {
                return Err(already_claimed());
            }
            Ok(store::setup_token_put(tx, digest, expires_at)?)
        };
        self.0.store.write(job).await?;
        let url = self.url_of(&token);
        self.write_file(Some(url.clone())).await?;
        Ok(url)
    }

    /// The address to print at the start: the one in the file while it serves, as after `glb setup-token`
    /// with the server stopped, else a new one.
    ///
    /// # Errors
    /// `Conflict` when there is an owner already.
    pub async fn setup_url_at_start(&self) -> Result<SecretString> {
        let file = self.0.file.clone();
        let read = move || std::fs::read_to_string(file).unwrap_or_default();
        let text = tokio::task::spawn_blocking(read)
            .await
            .map_err(Error::internal)?;
        let token = text
            .trim()
            .rsplit_once("?token=")
            .map(|(_, token)| SecretString::from(token));
        match token {
            Some(token) if self.is_token_good(token.expose_secret()).await? => {
                let url = self.url_of(&token);
                self.write_file(Some(url.clone())).await?;
                Ok(url)
            }
            Some(_) | None => self.renew_setup_token().await,
        }
    }

    fn url_of(&self, token: &SecretString) -> SecretString {
        let base = &self.0.settings.public_address().url;
        SecretString::from(format!("{base}/setup?token={}", token.expose_secret()))
    }

    /// Whether `token` serves now.
    ///
    /// # Errors
    /// The store's.
    pub async fn is_token_good(&self, token: &str) -> Result<bool> {
        let (digest, now) = (TokenDigest::of(token), self.0.clock.now());
        let good = self
            .0
            .store
            .read(move |conn| store::setup_token_get(conn, now))
            .await?;
        Ok(good.is_some_and(|good| good.matches(&digest)))
    }

    /// Makes the first owner. The token serves once.
    ///
    /// # Errors
    /// `Gone` for a token that does not serve, `Conflict` when somebody else was first, `Invalid` for a bad
    /// host.
    pub async fn claim(&self, claim: Claim) -> Result<User> {
        if !self.is_token_good(claim.token.expose_secret()).await? {
            return Err(token_refused());
        }
        self.set_host(claim.public_host.as_deref()).await?;
        let hash = self.0.accounts.hash_password(&claim.password).await?;
        let digest = TokenDigest::of(claim.token.expose_secret());
        let (accounts, now) = (self.0.accounts.clone(), self.0.clock.now());
        let new = NewUser {
            email: claim.email,
            display_name: claim.display_name,
            role: Role::Owner,
            password: claim.password,
        };
        let job = move |tx: &Tx<'_>| {
            if owner_exists(tx)? {
                return Err(already_claimed());
            }
            if !store::setup_token_get(tx, now)?.is_some_and(|good| good.matches(&digest)) {
                return Err(token_refused());
            }
            store::setup_token_delete(tx)?;
            accounts.create_user_in(tx, &new, &hash, now)
        };
        let user = self.0.store.write(job).await?;
        if let Err(error) = self.write_file(None).await {
            tracing::warn!(error = %error, "the used setup token's file could not be deleted");
        }
        Ok(user)
    }

    async fn set_host(&self, host: Option<&str>) -> Result<()> {
        let settings = &self.0.settings;
        let is_new = |host: &&str| host.trim() != settings.public_address().host;
        match host.filter(is_new) {
            Some(host) if !settings.is_public_host_fixed() => settings.set_public_host(host).await,
            Some(_) | None => Ok(()),
        }
    }

    /// Writes the file, or deletes it.
    async fn write_file(&self, url: Option<SecretString>) -> Result<()> {
        let file = self.0.file.clone();
        let write = move || match url {
            Some(url) => write_private(&file, url.expose_secret()),
            None => match std::fs::remove_file(&file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        };
        let written = tokio::task::spawn_blocking(write)
            .await
            .map_err(Error::internal)?;
        written.map_err(Error::internal)
    }
}

/// Replaces a file that only we may read: the new one is whole before it takes the name.
fn write_private(file: &Path, text: &str) -> std::io::Result<()> {
    let fresh = file.with_extension("new");
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = std::fs::OpenOptions::new();
    let mut handle = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)?;
    writeln!(handle, "{text}")?;
    handle.sync_all()?;
    std::fs::rename(&fresh, file)
}

fn token_refused() -> Error {
    let message = "this setup address is used or too old: get a new one with `glb setup-token`";
    Error::new(Kind::Gone, Code::SetupRequired, message)
}

fn already_claimed() -> Error {
    Error::conflict("this appliance has an owner already")
}

#[cfg(test)]
mod tests;
