//! What the live status tells about media, and the metering of ingest.
//!
//! Invariant: a second is written once, to the session that held the slot when it was settled; slots without
//! a session are metered for their owner. What media did is in memory at once, and in the session's row in the
//! end, even when the store failed at first.

use std::collections::HashMap;
use std::time::Duration;

use super::RelayService;
use crate::db::Tx;
use crate::kernel::ids::{RelaySessionId, SlotId};
use crate::kernel::{Error, Result, UnixMillis, error_chain};
use crate::relay::model::Status;
use crate::relay::store;

impl RelayService {
    /// The slot became live: its session leaves grace, and no lease of it runs out meanwhile.
    ///
    /// # Errors
    /// When the store fails; memory has it all the same, and [`Self::expire`] stores it later.
    pub async fn media_arrived(&self, slot_id: SlotId) -> Result<()> {
        self.0.presence.note_media(slot_id, true);
        self.store_media(slot_id).await
    }

    /// The slot went offline after having been live, perhaps before a restart: its session enters grace,
    /// with a fresh lease.
    ///
    /// # Errors
    /// As [`Self::media_arrived`].
    pub async fn media_lost(&self, slot_id: SlotId) -> Result<()> {
        self.0.presence.note_media(slot_id, false);
        self.store_media(slot_id).await
    }

    /// Stores what could not be stored when it happened. Answers for how many slots that failed again.
    pub(super) async fn store_missed_media(&self) -> usize {
        let mut failed = 0;
        for slot_id in self.0.presence.unstored_slots() {
            if let Err(error) = self.store_media(slot_id).await {
                failed += 1;
                let cause = error_chain(&error);
                tracing::warn!(slot.id = %slot_id, cause, "media still not noted");
            }
        }
        failed
    }

    /// Brings the row of a slot's session in line with its media.
    async fn store_media(&self, slot_id: SlotId) -> Result<()> {
        self.write(move |relay, tx| {
            let Some(change) = relay.0.presence.unstored_media(slot_id) else {
                return Ok(());
            };
            if change.is_live {
                relay.leave_grace_in(tx, slot_id, change.at)?;
            } else {
                relay.enter_grace_in(tx, slot_id, change.at)?;
            }
            let memory = relay.clone();
            tx.after_commit(move || memory.0.presence.media_stored(slot_id, change));
            Ok(())
        })
        .await
    }

    fn leave_grace_in(&self, tx: &Tx<'_>, slot_id: SlotId, at: Duration) -> Result<()> {
        let session = store::session::open_of_slot(tx, slot_id)?;
        let Some(session) = session.filter(|session| session.status == Status::Grace) else {
            return Ok(());
        };
        let interruption = self.0.presence.in_grace_until(session.id, at);
        let (from, to) = (Status::Grace, Status::Active);
        store::session::transition(tx, session.id, from, to, self.now())?;
        store::session::add_interruption(tx, session.id, Some(interruption))?;
        let memory = self.clone();
        tx.after_commit(move || memory.0.presence.end_grace(session.id));
        self.changed_after(tx, session.user_id);
        Ok(())
    }

    fn enter_grace_in(&self, tx: &Tx<'_>, slot_id: SlotId, at: Duration) -> Result<()> {
        self.settle_in(tx, slot_id)?;
        let Some(session) = store::session::open_of_slot(tx, slot_id)? else {
            return Ok(());
        };
        match session.status {
            Status::Active => {
                let (from, to) = (Status::Active, Status::Grace);
                store::session::transition(tx, session.id, from, to, self.now())?;
            }
            // That media came in between was not stored: the grace begins anew.
            Status::Grace => {}
            Status::Provisioning | Status::Stopped | Status::Draining | Status::Superseded => {
                return Ok(());
            }
        }
        let memory = self.clone();
        tx.after_commit(move || {
            memory.0.presence.begin_grace(session.id, at);
            memory.0.presence.renew(session.id);
        });
        self.changed_after(tx, session.user_id);
        Ok(())
    }

    /// Counts seconds in which ingest bytes of a slot flowed, the last of which ended at `ended_at`.
    /// Memory only; [`Self::flush`] writes.
    pub fn media_seconds(&self, slot_id: SlotId, seconds: u64, ended_at: UnixMillis) {
        if seconds > 0 {
            let from = ended_at - Duration::from_secs(seconds);
            let was_live = self.0.presence.is_live(slot_id);
            self.0.outages.media_seen(slot_id, from, was_live);
            self.0.meter.add(slot_id, seconds, ended_at);
        }
    }

    /// Job, once a minute, and at the end: writes counted seconds in one transaction. Answers how
    /// many slots had some.
    ///
    /// # Errors
    /// When the store fails; the seconds wait for the next time.
    pub async fn flush(&self) -> Result<usize> {
        let slots = self.0.meter.slots();
        let count = slots.len();
        self.settle(slots).await?;
        Ok(count)
    }

    pub(super) async fn settle(&self, slots: Vec<SlotId>) -> Result<()> {
        let waiting = self.0.meter.slots();
        let slots: Vec<_> = slots
            .into_iter()
            .filter(|id| waiting.contains(id))
            .collect();
        if slots.is_empty() {
            return Ok(());
        }
        self.write(move |relay, tx| slots.into_iter().try_for_each(|id| relay.settle_in(tx, id)))
            .await
    }

    /// Job, once a minute: writes when the leases renewed meanwhile end. Answers how many.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn write_leases(&self) -> Result<usize> {
        let now = self.now();
        let ends: HashMap<RelaySessionId, UnixMillis> = {
            let presence = &self.0.presence;
            let lease = self.0.deps.config.lease;
            let renewed = presence.take_unwritten().into_iter();
            renewed
                .map(|id| (id, now + lease.saturating_sub(presence.since_renewal(id))))
                .collect()
        };
        if ends.is_empty() {
            return Ok(0);
        }
        let count = ends.len();
        self.0
            .deps
            .store
            .write(move |tx| {
                for (id, ends_at) in ends {
                    store::session::put_lease(tx, id, ends_at)?;
                }
                Ok::<_, Error>(())
            })
            .await?;
        Ok(count)
    }
}
