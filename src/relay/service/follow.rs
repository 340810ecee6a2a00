//! What a changed plan means for sessions and for whom the relay admits.
//!
//! A plan that no longer covers a relay ends its user's sessions at once. One that covers fewer slots ends the
//! sessions of the slots beyond it, but a broadcast that is on air there goes on to its end.
//!
//! Invariant: rows change in the transaction of the plan; the relay is told right after the commit, and again by
//! the job that registers slots when that failed.

use std::sync::{Arc, Weak};

use super::{Assignment, Inner, RelayService};
use crate::db::Tx;
use crate::kernel::ids::UserId;
use crate::kernel::{Result, error_chain};
use crate::plans::{Entitlement, PlanChange, PlanFollower};
use crate::relay::model::StopReason;
use crate::relay::store;
use crate::slots::store as slots;

/// The relay as plans know it. It does not keep the relay alive.
#[derive(Debug, Clone)]
pub struct FollowingRelay(Weak<Inner>);

impl PlanFollower for FollowingRelay {
    fn plan_changed_in(&self, tx: &Tx<'_>, change: &PlanChange) -> Result<()> {
        let Some(inner) = self.0.upgrade() else {
            return Ok(());
        };
        RelayService(inner).plan_changed_in(tx, change.after.user_id, &change.entitled_after())
    }
}

impl RelayService {
    /// What follows the plans for this service.
    #[must_use]
    pub fn follower(&self) -> FollowingRelay {
        FollowingRelay(Arc::downgrade(&self.0))
    }

    fn plan_changed_in(&self, tx: &Tx<'_>, user_id: UserId, entitled: &Entitlement) -> Result<()> {
        self.stop_uncovered_in(tx, user_id, entitled)?;
        self.changed_after(tx, user_id);
        let relay = self.clone();
        tx.after_commit(move || {
            relay.changed_plans().insert(user_id);
            relay.0.upkeep.notify_one();
        });
        Ok(())
    }

    /// Ends the sessions that a plan no longer covers. Answers how many.
    pub(super) fn stop_uncovered_in(
        &self,
        tx: &Tx<'_>,
        user_id: UserId,
        entitled: &Entitlement,
    ) -> Result<usize> {
        let open = store::session::open_of_user(tx, user_id)?;
        let draining = store::session::draining_of_user(tx, user_id)?;
        let mut stopped = 0;
        for session in open.into_iter().chain(draining) {
            let number = slots::slot_number(tx, session.slot_id)?.unwrap_or(u32::MAX);
            let goes_on = entitled.covers_slot(number)
                || (entitled.is_enabled() && self.0.presence.is_live(session.slot_id));
            if !goes_on {
                self.stop_in(
                    tx,
                    &session,
                    StopReason::EntitlementEnded,
                    Assignment::Release,
                )?;
                stopped += 1;
            }
        }
        Ok(stopped)
    }

    /// Tells the relay of the slots of users whose plan changed.
    pub(super) async fn sync_changed_plans(&self) {
        let users = std::mem::take(&mut *self.changed_plans());
        for user_id in users {
            if let Err(error) = self.sync_user(user_id).await {
                // The job that registers slots makes it good.
                let cause = error_chain(&error);
                tracing::error!(user.id = %user_id, cause, "a changed plan did not reach the relay");
            }
        }
    }
}
