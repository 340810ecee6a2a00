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

/// As many slots of all users are listed together; of more, those that are asked for.
pub const LISTED_TOGETHER: u32 = 100;

/// Which slots of other users somebody asks for.
#[derive(Debug, Clone)]
pub enum Scope {
    /// Everybody's.
    Everybody {
        /// Those that count when all are too many.
        wanted: Vec<SlotId>,
    },
    /// One user's.
    Owner(UserId),
}

/// Slots that somebody may see.
#[derive(Debug, Clone)]
pub struct Visible {
    /// The slots.
    pub slots: Vec<Arc<Slot>>,
    /// Nobody's are left out because all are too many.
    pub is_all: bool,
}

impl Visible {
    fn all(slots: Vec<Arc<Slot>>) -> Self {
        Self {
            slots,
            is_all: true,
        }
    }
}

/// All slots when they are few, else those of `own` and the wanted ones.
fn everybodys(
    connection: &rusqlite::Connection,
    vault: &Vault,
    own: UserId,
    wanted: &[SlotId],
) -> Result<Visible> {
    let mut slots = store::slot_list_first(connection, vault, LISTED_TOGETHER + 1)?;
    let is_all = slots.len() <= LISTED_TOGETHER as usize;
    if !is_all {
        slots = store::slot_list(connection, vault, own)?;
        let others = store::slot_list_among(connection, vault, wanted)?;
        slots.extend(others.into_iter().filter(|slot| slot.user_id != own));
    }
    let slots = slots.into_iter().map(Arc::new).collect();
    Ok(Visible { slots, is_all })
}

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

    /// Forgets what is cached of a user whose row is gone.
    pub fn forget(&self, user_id: UserId) {
        self.0.caches.by_user.invalidate(&user_id);
        self.0.caches.by_key.clear();
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

    /// The slots that the caller may see, as far as `scope` goes: a streamer's own whatever it says, else by
    /// owner and number. Their keys are for whoever may control them.
    ///
    /// # Errors
    /// When the store fails or a key does not open.
    pub async fn list_visible(&self, actor: &Actor, scope: Scope) -> Result<Visible> {
        match (actor.role, scope) {
            (Role::Streamer, _) => Ok(Visible::all(self.list(actor.user_id).await?.to_vec())),
            (Role::Owner | Role::Operator | Role::Viewer, Scope::Owner(owner)) => {
                Ok(Visible::all(self.list(owner).await?.to_vec()))
            }
            (Role::Owner | Role::Operator | Role::Viewer, Scope::Everybody { wanted }) => {
                let (vault, own) = (Arc::clone(&self.0.vault), actor.user_id);
                let read = move |connection: &_| everybodys(connection, &vault, own, &wanted);
                self.0.store.read(read).await
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
