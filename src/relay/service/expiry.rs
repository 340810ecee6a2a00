//! The job that ends what nobody keeps alive: leases and grace windows that ran out.
//!
//! Invariant: a session whose slot is live, or that is in grace, is not ended by its lease; a broadcast is
//! never cut in the middle.

use std::collections::HashSet;

use serde::Serialize;

use super::{Assignment, RelayService};
use crate::db::Tx;
use crate::kernel::ids::RelaySessionId;
use crate::kernel::{Result, error_chain};
use crate::relay::model::{Session, Status, StopReason};
use crate::relay::store;

/// What a run of the job did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Expired {
    /// Sessions stopped because nobody renewed their lease.
    pub leases: usize,
    /// Sessions whose grace was over.
    pub graces: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Lease,
    Grace,
}

impl RelayService {
    /// Job, every few seconds: ends what is due.
    ///
    /// # Errors
    /// When the open sessions cannot be read; what was not ended is due the next time.
    pub async fn expire(&self) -> Result<Expired> {
        // A session whose slot still has something to be stored is left alone; see `due`.
        self.store_missed_media().await;
        let open = self.0.deps.store.read(store::session::all_open).await?;
        let ids: HashSet<_> = open.iter().map(|session| session.id).collect();
        for id in self.0.presence.prune(&ids, 2 * self.0.deps.config.lease) {
            self.0.meter.forget(id);
        }
        let due: Vec<RelaySessionId> = open
            .iter()
            .filter(|session| self.due(session).is_some())
            .map(|session| session.id)
            .collect();
        let mut expired = Expired::default();
        for id in due {
            match self.write(move |relay, tx| relay.expire_in(tx, id)).await {
                Ok(Some(Due::Lease)) => expired.leases += 1,
                Ok(Some(Due::Grace)) => expired.graces += 1,
                Ok(None) => {}
                Err(error) => {
                    // It is due again the next time; it must not hold up the others.
                    let cause = error_chain(&error);
                    tracing::error!(session.id = %id, cause, "a session that is due did not end");
                }
            }
        }
        Ok(expired)
    }

    fn due(&self, session: &Session) -> Option<Due> {
        let presence = &self.0.presence;
        if presence.unstored_media(session.slot_id).is_some() {
            return None;
        }
        match session.status {
            Status::Grace => {
                let is_over = presence.in_grace_for(session.id) >= session.grace_window
                    && !presence.is_live(session.slot_id);
                is_over.then_some(Due::Grace)
            }
            Status::Active => {
                let is_over = presence.since_renewal(session.id) >= self.0.deps.config.lease
                    && !presence.is_live(session.slot_id);
                is_over.then_some(Due::Lease)
            }
            // Provisioning has a budget of its own; see `provision`.
            Status::Provisioning | Status::Stopped | Status::Draining | Status::Superseded => None,
        }
    }

    /// Looks again inside the transaction: a heartbeat or media may have come first.
    fn expire_in(&self, tx: &Tx<'_>, id: RelaySessionId) -> Result<Option<Due>> {
        let Some(session) = store::session::get(tx, id)? else {
            return Ok(None);
        };
        let due = self.due(&session);
        match due {
            None => {}
            Some(Due::Lease) => {
                self.stop_in(tx, &session, StopReason::LeaseExpired, Assignment::Release)?;
            }
            Some(Due::Grace) => self.end_grace_in(tx, &session)?,
        }
        Ok(due)
    }

    fn end_grace_in(&self, tx: &Tx<'_>, session: &Session) -> Result<()> {
        if let Some(reason) = self.ends_with_grace(tx, session)? {
            self.stop_in(tx, session, reason, Assignment::Release)?;
            return Ok(());
        }
        let (from, to) = (Status::Grace, Status::Active);
        store::session::transition(tx, session.id, from, to, self.now())?;
        store::session::add_interruption(tx, session.id, None)?;
        let (memory, id) = (self.clone(), session.id);
        tx.after_commit(move || memory.0.presence.end_grace(id));
        self.changed_after(tx, session.user_id);
        Ok(())
    }

    /// Why a session whose grace is over ends with it; `None` when its connection waits on.
    fn ends_with_grace(&self, tx: &Tx<'_>, session: &Session) -> Result<Option<StopReason>> {
        let rules = self.0.deps.plans.rules();
        let has_limit = store::session::has_max_session(tx, &rules, session.user_id)?;
        if has_limit && session.broadcast_seconds >= session.max_session.as_secs() {
            return Ok(Some(StopReason::MaxSessionReached));
        }
        let waits = session.connection_id.name().is_some();
        Ok((!waits).then_some(StopReason::GraceOver))
    }
}
