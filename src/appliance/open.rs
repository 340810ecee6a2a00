//! Opens the data folder: the part of a start that commands share with the server.

use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use super::config::Config;
use crate::accounts::{AccessTokens, AccountsConfig, AccountsService};
use crate::db::{Durability, FolderLock, LockError, Schema, Store, migrate};
use crate::kernel::Clock;
use crate::kernel::seal::Vault;
use crate::plans::service::PlansService;
use crate::slots::SlotsService;

/// The open data folder and the services that need nothing else.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) store: Store,
    pub(super) telemetry: Store,
    pub(super) clock: Clock,
    pub(super) vault: Arc<Vault>,
    pub(super) accounts: AccountsService,
    pub(super) plans: PlansService,
    pub(super) slots: SlotsService,
    /// Let go of last.
    pub(super) lock: FolderLock,
}

/// Locks the data folder, making it when it is not there.
///
/// # Errors
/// [`LockError::Taken`] inside when a server runs on it.
pub(super) fn lock(data_dir: &Path) -> anyhow::Result<Result<FolderLock, LockError>> {
    make_private(data_dir)?;
    for folder in ["run", "backups"] {
        make_private(&data_dir.join(folder))?;
    }
    match FolderLock::take(data_dir) {
        Ok(lock) => Ok(Ok(lock)),
        Err(taken @ LockError::Taken(_)) => Ok(Err(taken)),
        Err(error) => Err(error.into()),
    }
}

fn make_private(folder: &Path) -> anyhow::Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("creating the folder {}", folder.display()))?;
    std::fs::set_permissions(folder, Permissions::from_mode(0o700))
        .with_context(|| format!("making the folder {} private", folder.display()))
}

/// Migrates and opens the databases, reads the keys, and makes the services.
///
/// # Errors
/// Whatever stands in the way, with its remedy.
pub(super) fn open(config: &Config, lock: FolderLock) -> anyhow::Result<Opened> {
    let clock = Clock::system();
    let main = open_database(config, "glb.db", Schema::Main, Durability::Full)?;
    let telemetry = open_database(
        config,
        "telemetry.db",
        Schema::Telemetry,
        Durability::Relaxed,
    )?;
    let vault = Arc::new(Vault::new(&config.sealing_key()?));
    let tokens = AccessTokens::new(&config.jwt_key()?)?;
    let accounts_config = AccountsConfig {
        access_token_life: config.access_token_life,
        refresh_life: config.refresh_token_life,
        has_mail: config.mail.is_some(),
        address_allowance: config.limits.login,
        ..AccountsConfig::default()
    };
    let accounts = AccountsService::new(
        main.clone(),
        clock.clone(),
        Arc::clone(&vault),
        tokens,
        accounts_config,
    );
    let rules = config.plans.rules(config.billing.is_configured());
    let plans = PlansService::new(main.clone(), clock.clone(), rules);
    let slots = SlotsService::new(main.clone(), clock.clone(), Arc::clone(&vault));
    Ok(Opened {
        store: main,
        telemetry,
        clock,
        vault,
        accounts,
        plans,
        slots,
        lock,
    })
}

fn open_database(
    config: &Config,
    name: &str,
    schema: Schema,
    durability: Durability,
) -> anyhow::Result<Store> {
    let path = config.data_dir.join(name);
    migrate(&path, schema, &config.data_dir.join("backups"))?;
    Store::open(&path, durability).with_context(|| format!("opening {}", path.display()))
}
