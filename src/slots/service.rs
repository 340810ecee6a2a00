//! Slots for their owners and for whoever holds a key.
//!
//! Invariant: after a write to a slot, no answer shows what was before: every write clears what it changed
//! from the caches before its caller is answered.

use std::sync::Arc;

use super::model::{KeyKind, Slot, clean_label};
use super::store;
use crate::db::{Cache, Store, Tx};
use crate::kernel::ids::{SlotId, UserId};
use crate::kernel::seal::Vault;
use crate::kernel::secret::TokenDigest;
use crate::kernel::{Actor, Clock, Error, Result, Role};

/// Users whose slots are kept in memory.
const CACHED_USERS: usize = 4096;
/// Keys whose slot is kept in memory.
const CACHED_KEYS: usize = 4096;

/// Stream slots. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SlotsService(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    clock: Clock,
    vault: Arc<Vault>,
    caches: SlotCaches,
}

/// The caches over slot rows; whoever writes a slot row calls [`SlotCaches::forget_after`].
#[derive(Debug, Clone)]
pub struct SlotCaches {
    by_user: Cache<UserId, Arc<[Arc<Slot>]>>,
    by_key: Cache<TokenDigest, Arc<Slot>>,
}

impl SlotCaches {
    fn new() -> Self {
        Self {
            by_user: Cache::with_capacity(CACHED_USERS),
            by_key: Cache::with_capacity(CACHED_KEYS),
        }
    }

    /// Forgets the user's slots once `tx` has committed.
    pub fn forget_after(&self, tx: &Tx<'_>, user_id: UserId) {
        let caches = self.clone();
        tx.after_commit(move || {
            caches.by_user.invalidate(&user_id);
            // By key there is no way from the user; slots change seldom.
            caches.by_key.clear();
        });
    }
}

impl SlotsService {
    /// Over `store`, keys sealed by `vault`.
    #[must_use]
    pub fn new(store: Store, clock: Clock, vault: Arc<Vault>) -> Self {
        Self(Arc::new(Inner {
            store,
            clock,
            vault,
            caches: SlotCaches::new(),
        }))
    }

    pub(super) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(super) fn vault(&self) -> &Vault {
        &self.0.vault
    }

    pub(super) fn now(&self) -> crate::kernel::UnixMillis {
        self.0.clock.now()
    }

    /// What later capabilities must clear when they write slot rows.
    #[must_use]
    pub fn caches(&self) -> SlotCaches {
        self.0.caches.clone()
    }

    /// The slots of `owner`, by number.
    ///
    /// # Errors
    /// When the store fails or a key does not open.
    pub async fn list(&self, owner: UserId) -> Result<Arc<[Arc<Slot>]>> {
        let inner = &self.0;
        let load = async {
            let vault = Arc::clone(&inner.vault);
            let slots = inner
                .store
                .read(move |connection| store::slot_list(connection, &vault, owner))
                .await?;
            Ok::<_, Error>(slots.into_iter().map(Arc::new).collect())
        };
        inner.caches.by_user.get_or_load(owner, load).await
    }

    /// The slots that the caller may see: a streamer's own, else everybody's, by owner and number. Their
    /// keys are for whoever may control them.
    ///
    /// # Errors
    /// When the store fails or a key does not open.
    pub async fn list_visible(&self, actor: &Actor) -> Result<Vec<Arc<Slot>>> {
        match actor.role {
            Role::Streamer => Ok(self.list(actor.user_id).await?.to_vec()),
            Role::Owner | Role::Operator | Role::Viewer => {
                let vault = Arc::clone(&self.0.vault);
                let all = move |connection: &_| store::slot_list_all(connection, &vault);
                let slots = self.0.store.read(all).await?;
                Ok(slots.into_iter().map(Arc::new).collect())
            }
        }
    }

    /// One slot that the caller may see. Its keys are for whoever may control it.
    ///
    /// # Errors
    /// `NotFound` when there is none, or it is another tenant's.
    pub async fn get(&self, actor: &Actor, id: SlotId) -> Result<Slot> {
        let vault = Arc::clone(&self.0.vault);
        let slot = self
            .0
            .store
            .read(move |connection| store::slot_get(connection, &vault, id))
            .await?;
        slot.filter(|slot| actor.may_see(slot.user_id))
            .ok_or_else(|| Error::not_found("stream slot"))
    }

    /// The caller's own slot with this number.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub async fn by_number(&self, actor: &Actor, slot_number: u32) -> Result<Arc<Slot>> {
        let slots = self.list(actor.user_id).await?;
        slots
            .iter()
            .find(|slot| slot.slot_number == slot_number)
            .map(Arc::clone)
            .ok_or_else(|| Error::not_found("stream slot"))
    }

    /// The slot whose stats key this is, prefix included. For callers without a sign-in.
    ///
    /// # Errors
    /// `NotFound` when nobody has it.
    pub async fn find_by_stats_token(&self, key: &str) -> Result<Arc<Slot>> {
        self.find(KeyKind::Stats, key).await
    }

    /// The slot whose play key this is, prefix included. For callers without a sign-in.
    ///
    /// # Errors
    /// `NotFound` when nobody has it.
    pub async fn find_by_play_key(&self, key: &str) -> Result<Arc<Slot>> {
        self.find(KeyKind::Play, key).await
    }

    async fn find(&self, kind: KeyKind, key: &str) -> Result<Arc<Slot>> {
        let inner = &self.0;
        if !key.starts_with(kind.prefix()) {
            return Err(Error::not_found("stream"));
        }
        let load = async {
            let (vault, key) = (Arc::clone(&inner.vault), key.to_owned());
            let slot = inner
                .store
                .read(move |connection| store::slot_get_by_key(connection, &vault, kind, &key))
                .await?;
            slot.map(Arc::new).ok_or_else(|| Error::not_found("stream"))
        };
        let digest = inner.vault.lookup(key);
        inner.caches.by_key.get_or_load(digest, load).await
    }

    /// Names a slot.
    ///
    /// # Errors
    /// `Invalid` for a bad label, `NotFound` or `Forbidden` as [`Actor::require_control`] says.
    pub async fn rename(&self, actor: &Actor, id: SlotId, label: &str) -> Result<()> {
        let label = clean_label(label)?;
        let slot = self.get(actor, id).await?;
        actor.require_control(slot.user_id, "stream slot")?;
        let (caches, now) = (self.caches(), self.0.clock.now());
        self.0
            .store
            .write(move |tx| {
                if !store::label_update(tx, id, &label, now)? {
                    return Err(Error::not_found("stream slot"));
                }
                caches.forget_after(tx, slot.user_id);
                Ok(())
            })
            .await
    }

    /// Job: forgets retired play keys whose time is over; answers how many.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete_expired_keys(&self) -> Result<usize> {
        let now = self.0.clock.now();
        self.0
            .store
            .write(move |tx| Ok(store::retired_play_keys_delete_expired(tx, now)?))
            .await
    }
}
