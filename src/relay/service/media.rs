//! What the live status tells about media, and the metering of ingest.
//!
//! Invariant: a second is written once, to the session that held the slot when it was settled; slots without
//! a session are metered for their owner.

use std::collections::HashMap;

use super::RelayService;
use crate::kernel::ids::{RelaySessionId, SlotId};
use crate::kernel::{Error, Result, UnixMillis};
use crate::relay::model::Status;
use crate::relay::store;

impl RelayService {
    /// The slot became live: its session leaves grace, and no lease of it runs out meanwhile.
    ///
    /// # Errors
    /// When the store fails; that the slot is live is remembered all the same.
    pub async fn media_arrived(&self, slot_id: SlotId) -> Result<()> {
        self.0.presence.set_live(slot_id);
        self.write(move |relay, tx| {
            let session = store::session::open_of_slot(tx, relay.vault(), slot_id)?;
            let Some(session) = session.filter(|session| session.status == Status::Grace) else {
                return Ok(());
            };
            let interruption = relay.0.presence.in_grace_for(session.id);
            let (from, to) = (Status::Grace, Status::Active);
            store::session::transition(tx, session.id, from, to, relay.now())?;
            store::session::add_interruption(tx, session.id, Some(interruption))?;
            let memory = relay.clone();
            tx.after_commit(move || memory.0.presence.end_grace(session.id));
            relay.changed_after(tx, session.user_id);
            Ok(())
        })
        .await
    }

    /// The slot went offline after having been live: its session enters grace, with a fresh lease.
    ///
    /// # Errors
    /// When the store fails; that the slot is offline is remembered all the same.
    pub async fn media_lost(&self, slot_id: SlotId) -> Result<()> {
        if !self.0.presence.set_offline(slot_id) {
            return Ok(());
        }
        self.write(move |relay, tx| {
            relay.settle_in(tx, slot_id)?;
            let session = store::session::open_of_slot(tx, relay.vault(), slot_id)?;
            let Some(session) = session.filter(|session| session.status == Status::Active) else {
                return Ok(());
            };
            let (from, to) = (Status::Active, Status::Grace);
            store::session::transition(tx, session.id, from, to, relay.now())?;
            let memory = relay.clone();
            tx.after_commit(move || {
                memory.0.presence.begin_grace(session.id);
                memory.0.presence.renew(session.id);
            });
            relay.changed_after(tx, session.user_id);
            Ok(())
        })
        .await
    }

    /// Counts seconds in which ingest bytes of a slot flowed, the last of which ended at `ended_at`.
    /// Memory only; [`Self::flush`] writes.
    pub fn media_seconds(&self, slot_id: SlotId, seconds: u64, ended_at: UnixMillis) {
        if seconds > 0 {
            self.0.meter.add(slot_id, seconds, ended_at);
        }
    }

    /// Job, every ten seconds or so, and at the end: writes counted seconds in one transaction. Answers how
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
