//! `relay/active` and whoever else asks for open sessions: answered from memory.
//!
//! Invariant: in the steady state no answer here touches the store.

use std::sync::Arc;

use super::RelayService;
use crate::kernel::ids::{SlotId, UserId};
use crate::kernel::{Actor, Error, Result};
use crate::plans::cycle::split;
use crate::plans::{Entitlement, Ledger, Usage, store as plans};
use crate::relay::meter::Stretch;
use crate::relay::model::{ConnectionId, SessionSnapshot, SlotSession, Status};
use crate::relay::store;

/// The sessions of a user that matter now.
#[derive(Debug)]
pub struct UserSessions {
    /// Open ones, newest first.
    open: Vec<SlotSession>,
    /// Those that failed lately, newest first.
    failed: Vec<SlotSession>,
}

impl UserSessions {
    /// Whether an open session holds the slot.
    pub(super) fn holds(&self, slot_id: SlotId) -> bool {
        self.open.iter().any(|of| of.session.slot_id == slot_id)
    }

    pub(super) fn open(&self) -> &[SlotSession] {
        &self.open
    }
}

/// How often usage is read anew because seconds were written meanwhile.
const USAGE_TRIES: u32 = 4;

/// The seconds of `stretches` that lie in the ledger's cycle.
fn seconds_in(ledger: &Ledger, stretches: &[Stretch]) -> u64 {
    let anchor = ledger.plan.cycle_anchor_at;
    let parts = stretches
        .iter()
        .flat_map(|stretch| split(anchor, stretch.ended_at, stretch.seconds));
    parts
        .filter(|(cycle, _)| *cycle == ledger.cycle)
        .map(|(_, seconds)| seconds)
        .sum()
}

impl RelayService {
    /// The caller's session of `connection`, or the newest one when it is not named; renews its lease. A
    /// session of a named connection that failed lately is answered too, as stopped.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn active(
        &self,
        actor: &Actor,
        connection: &ConnectionId,
    ) -> Result<Option<SessionSnapshot>> {
        let sessions = self.sessions_of(actor.user_id).await?;
        let is_asked_for = |of: &&SlotSession| {
            connection.name().is_none() || of.session.connection_id == *connection
        };
        if let Some(of) = sessions.open.iter().find(is_asked_for) {
            self.0.presence.renew(of.session.id);
            return Ok(Some(self.snapshot(of)));
        }
        if connection.name().is_none() {
            return Ok(None);
        }
        let now = self.now();
        let shown = self.0.deps.config.failure_shown;
        let failed = sessions.failed.iter().find(|of| {
            let stopped_at = of.session.stopped_at.unwrap_or_default();
            of.session.connection_id == *connection && now.since(stopped_at) < shown
        });
        Ok(failed.map(|of| self.snapshot(of)))
    }

    /// The open sessions of a user, newest first. Renews nothing.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn open_sessions(&self, user_id: UserId) -> Result<Vec<SessionSnapshot>> {
        let sessions = self.sessions_of(user_id).await?;
        Ok(sessions.open.iter().map(|of| self.snapshot(of)).collect())
    }

    /// What the user's plan entitles to, and how many connections are open.
    ///
    /// # Errors
    /// As `PlansService::entitlement`.
    pub async fn entitlement(&self, user_id: UserId) -> Result<(Entitlement, u32)> {
        let entitlement = self.0.deps.plans.entitlement(user_id).await?;
        let open = self.sessions_of(user_id).await?.open.len();
        Ok((entitlement, u32::try_from(open).unwrap_or(u32::MAX)))
    }

    /// The usage of the present cycle, to the second: what is written, and what waits to be written.
    ///
    /// # Errors
    /// `NotFound` when there is no such user.
    pub async fn usage(&self, user_id: UserId) -> Result<Usage> {
        let plans = &self.0.deps.plans;
        for _ in 0..USAGE_TRIES {
            let mark = self.0.meter.mark();
            let ledger = plans.ledger(user_id).await?;
            let slots = self.0.deps.slots.list(user_id).await?;
            let ids = slots.iter().map(|slot| slot.id);
            if let Some(stretches) = self.0.meter.waiting_since(mark, ids) {
                let more = seconds_in(&ledger, &stretches);
                return Ok(ledger.usage(&plans.rules(), more));
            }
        }
        self.usage_settled(user_id).await
    }

    /// The same where seconds are written all the time: behind them in the queue.
    async fn usage_settled(&self, user_id: UserId) -> Result<Usage> {
        let slots = self.0.deps.slots.list(user_id).await?;
        let ids: Vec<_> = slots.iter().map(|slot| slot.id).collect();
        self.write(move |relay, tx| {
            ids.into_iter().try_for_each(|id| relay.settle_in(tx, id))?;
            let rules = relay.0.deps.plans.rules();
            plans::usage_get(tx, user_id, &rules, relay.now())?
                .ok_or_else(|| Error::not_found("user"))
        })
        .await
    }

    /// Open sessions by status, for the metrics page.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn open_counts(&self) -> Result<Vec<(Status, u64)>> {
        self.0
            .deps
            .store
            .read(|connection| Ok(store::session::count_by_status(connection)?))
            .await
    }

    pub(super) async fn sessions_of(&self, user_id: UserId) -> Result<Arc<UserSessions>> {
        let deps = &self.0.deps;
        let load = async {
            let (vault, rules) = (Arc::clone(&deps.vault), deps.plans.rules());
            let since = self.now() - deps.config.failure_shown;
            deps.store
                .read(move |connection| {
                    let join =
                        |session| store::session::with_slot(connection, &vault, &rules, session);
                    let open = store::session::open_of_user(connection, user_id)?;
                    let failed = store::session::failed_of_user(connection, user_id, since)?;
                    Ok::<_, Error>(Arc::new(UserSessions {
                        open: open.into_iter().map(join).collect::<Result<_>>()?,
                        failed: failed.into_iter().map(join).collect::<Result<_>>()?,
                    }))
                })
                .await
        };
        self.0.sessions.get_or_load(user_id, load).await
    }
}
