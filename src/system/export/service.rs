//! Use cases: the file, and the deletion.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::store;
use crate::accounts::AccountsService;
use crate::accounts::oauth::OAuthService;
use crate::accounts::service::Proofs;
use crate::db::Store;
use crate::kernel::ids::{SlotId, UserId};
use crate::kernel::secret::ExposeSecret;
use crate::kernel::{Actor, Clock, Error, Result, UnixMillis, error_chain};
use crate::live::{BroadcastOfSlot, LiveService, MinuteOfSlot};
use crate::relay::RelayService;
use crate::slots::{KeyKind, Slot, SlotsService};

/// What exports and deletions work with.
#[derive(Debug, Clone)]
pub struct DepartureDeps {
    /// The main database.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// Users.
    pub accounts: AccountsService,
    /// Slots.
    pub slots: SlotsService,
    /// Relay sessions.
    pub relay: RelayService,
    /// Figures.
    pub live: LiveService,
    /// Links, and what may be merged.
    pub oauth: OAuthService,
}

/// Exports and deletions. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Departures(DepartureDeps);

/// All that is known of a user.
#[derive(Debug, Serialize)]
pub struct Export {
    /// What this is.
    format: &'static str,
    /// When it was made.
    made_at: UnixMillis,
    /// Stream keys, by slot: the user's own secrets.
    stream_keys: Vec<KeysOfSlot>,
    /// What is kept of the media.
    media: Vec<MediaOfSlot>,
    /// Every row of the database that belongs to the user, by table. Times are milliseconds since 1970.
    rows: Map<String, Value>,
}

/// The keys of one slot.
#[derive(Serialize)]
struct KeysOfSlot {
    slot_id: SlotId,
    slot_number: u32,
    keys: BTreeMap<&'static str, String>,
}

impl std::fmt::Debug for KeysOfSlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeysOfSlot")
            .field("slot_id", &self.slot_id)
            .finish_non_exhaustive()
    }
}

/// What is kept of the media of one slot.
#[derive(Debug, Serialize)]
struct MediaOfSlot {
    slot_id: SlotId,
    broadcasts: Vec<BroadcastOfSlot>,
    minutes: Vec<MinuteOfSlot>,
}

fn keys_of(slot: &Slot) -> KeysOfSlot {
    let key = |name, kind| (name, slot.keys.get(kind).expose_secret().to_owned());
    let mut keys = BTreeMap::from([
        key("publish", KeyKind::Publish),
        key("play", KeyKind::Play),
        key("stats", KeyKind::Stats),
    ]);
    if let Some(passphrase) = &slot.keys.passphrase {
        keys.insert("passphrase", passphrase.expose_secret().to_owned());
    }
    KeysOfSlot {
        slot_id: slot.id,
        slot_number: slot.slot_number,
        keys,
    }
}

impl Departures {
    /// Makes the service.
    #[must_use]
    pub fn new(deps: DepartureDeps) -> Self {
        Self(deps)
    }

    pub(super) const fn deps(&self) -> &DepartureDeps {
        &self.0
    }

    /// All that is known of the caller, who proves once more who they are.
    ///
    /// # Errors
    /// As [`AccountsService::reauthenticate`].
    pub async fn export(&self, actor: &Actor, proofs: Proofs) -> Result<Export> {
        self.0.accounts.reauthenticate(actor, proofs).await?;
        let id = actor.user_id;
        // What is only in memory so far belongs to it too.
        self.0.accounts.write_last_seen().await?;
        let slots = self.0.slots.list(id).await?;
        let mut media = Vec::new();
        for slot in slots.iter() {
            let (minutes, broadcasts) = self.0.live.history(slot.id).await?;
            media.push(MediaOfSlot {
                slot_id: slot.id,
                broadcasts,
                minutes,
            });
        }
        let rows = self.0.store.read(move |conn| store::rows_of_user(conn, id));
        Ok(Export {
            format: "GoLiveBro Appliance, a user's data, version 1",
            made_at: self.0.clock.now(),
            stream_keys: slots.iter().map(|slot| keys_of(slot)).collect(),
            media,
            rows: rows.await?,
        })
    }

    /// Deletes a user. From the answer on they are signed out for good; what a silent node holds up is carried
    /// through by a job. `by` is `None` for the command line.
    ///
    /// # Errors
    /// As [`AccountsService::begin_deletion`].
    pub async fn delete(&self, by: Option<(&Actor, Proofs)>, id: UserId) -> Result<()> {
        self.0.accounts.begin_deletion(by, id).await?;
        self.carry_through(id).await;
        Ok(())
    }

    /// Goes on with a deletion that was begun.
    pub(super) async fn carry_through(&self, id: UserId) {
        if let Err(error) = self.finish(id).await {
            let cause = error_chain(&error);
            tracing::warn!(user.id = %id, cause, "a deletion is not done yet; a job goes on with it");
        }
    }

    async fn finish(&self, id: UserId) -> Result<()> {
        let slots = self.0.relay.release_user(id).await?;
        self.0.live.forget_slots(&slots).await?;
        self.0.accounts.finish_deletion(id).await?;
        self.0.slots.forget(id);
        // What a job told the relay meanwhile, and the figures of the last second.
        self.0.relay.forget_slots(&slots).await?;
        self.0.live.forget_slots(&slots).await
    }

    /// Job: carries begun deletions through. Answers how many.
    ///
    /// # Errors
    /// The first that failed, after all were tried.
    pub async fn finish_all(&self) -> Result<usize> {
        let mut failed: Option<Error> = None;
        let mut finished = 0;
        for id in self.0.accounts.users_in_deletion().await? {
            match self.finish(id).await {
                Ok(()) => finished += 1,
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(finished),
        }
    }
}
