//! The linked accounts of users, as every room may know them.

use std::sync::{Arc, OnceLock};

use rusqlite::Connection;

use super::model::{LinkedAccount, Provider};
use super::store;
use crate::db::{Cache, Store, Tx};
use crate::kernel::ids::UserId;
use crate::kernel::{Error, Result};

/// Users whose links are kept in memory, because the plugin's snapshot tells them.
const CACHED_USERS: usize = 4096;

/// Linked accounts by user. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LinkedAccounts {
    store: Store,
    cache: Cache<UserId, Arc<Vec<LinkedAccount>>>,
    offered: Arc<OnceLock<Vec<Provider>>>,
}

impl LinkedAccounts {
    /// Reads nothing yet.
    pub(in crate::accounts) fn new(store: Store) -> Self {
        let cache = Cache::with_capacity(CACHED_USERS);
        Self {
            store,
            cache,
            offered: Arc::default(),
        }
    }

    /// The accounts that a user linked. Costs no read in the steady state.
    ///
    /// # Errors
    /// The store's.
    pub async fn of(&self, user: UserId) -> Result<Arc<Vec<LinkedAccount>>> {
        let load = async {
            let read = move |conn: &Connection| store::links_of(conn, user);
            let links = self.store.read(read).await.map_err(Error::from)?;
            Ok(Arc::new(links))
        };
        self.cache.get_or_load(user, load).await
    }

    /// The providers with which a person can sign in.
    #[must_use]
    pub fn offered(&self) -> &[Provider] {
        self.offered.get().map_or(&[], Vec::as_slice)
    }

    /// Says once which providers are configured.
    pub(super) fn offer(&self, providers: impl Iterator<Item = Provider>) {
        self.offered.get_or_init(|| providers.collect());
    }

    /// Forgets what is remembered of a user, once `tx` is written.
    pub(super) fn forget_after(&self, tx: &Tx<'_>, user: UserId) {
        let cache = self.cache.clone();
        tx.after_commit(move || cache.invalidate(&user));
    }
}
