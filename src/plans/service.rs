//! What other capabilities ask about plans and usage.
//!
//! Invariant: a user's plan and what is written of their present cycle are kept in memory and forgotten by every
//! write that changes them, so in the steady state no answer here touches the store.

use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::ArcSwap;

use super::change::PlanFollower;
use super::cycle::Cycle;
use super::model::{Entitlement, Plan, PlanRules, Reason, Usage, denied};
use super::store::{self, Consumed, SessionUsage};
use crate::audit::{self, AuditEvent};
use crate::db::{Cache, Store, Tx};
use crate::kernel::ids::{RelaySessionId, UserId};
use crate::kernel::{Actor, Clock, Error, Result, UnixMillis};

/// Users whose plan is kept in memory.
const CACHED_USERS: usize = 4096;
/// Seconds that a cycle of tier standard can include at most: a month.
pub const INCLUDED_SECONDS_MAX: u64 = 31 * 24 * 3600;

/// Plans and usage. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PlansService(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    clock: Clock,
    rules: ArcSwap<PlanRules>,
    ledgers: Cache<UserId, Arc<Ledger>>,
    followers: Mutex<Vec<Arc<dyn PlanFollower>>>,
}

/// A user's plan, and what is written of one cycle.
#[derive(Debug, Clone, Copy)]
pub struct Ledger {
    /// The plan.
    pub plan: Plan,
    /// The cycle.
    pub cycle: Cycle,
    /// What is written for it.
    pub consumed: Consumed,
}

impl Ledger {
    /// The figures, with `more` seconds of this cycle that are not written yet.
    #[must_use]
    pub fn usage(&self, rules: &PlanRules, more: u64) -> Usage {
        Usage::of(&self.plan, rules, self.cycle, self.consumed.total(more))
    }
}

impl PlansService {
    /// Over `store`, under `rules`.
    #[must_use]
    pub fn new(store: Store, clock: Clock, rules: PlanRules) -> Self {
        Self(Arc::new(Inner {
            store,
            clock,
            rules: ArcSwap::from_pointee(rules),
            ledgers: Cache::with_capacity(CACHED_USERS),
            followers: Mutex::default(),
        }))
    }

    /// Takes over what operators set at run time. What the configuration fixes is not asked for.
    ///
    /// # Errors
    /// The store's.
    pub async fn load_rules(&self) -> Result<()> {
        if self.rules().is_standard_included_fixed {
            return Ok(());
        }
        let read = |connection: &_| Ok::<_, Error>(store::standard_included_seconds(connection)?);
        if let Some(seconds) = self.0.store.read(read).await? {
            self.set_included(seconds);
        }
        Ok(())
    }

    fn set_included(&self, seconds: u64) {
        self.0.rules.rcu(|rules| PlanRules {
            standard_included_seconds: seconds,
            ..**rules
        });
    }

    /// Sets the ingest seconds that a cycle of tier standard includes, from now on and for the present cycle.
    ///
    /// # Errors
    /// `Forbidden` for everybody but an operator, `Conflict` when the configuration sets it, `Invalid` for more
    /// than a month.
    pub async fn set_standard_included_seconds(&self, actor: &Actor, seconds: u64) -> Result<()> {
        if !actor.is_operator() {
            return Err(Error::forbidden());
        }
        if seconds > INCLUDED_SECONDS_MAX {
            let message = "use 0 to 2678400 seconds, a month";
            let field = "standard_included_seconds";
            return Err(Error::invalid_field(field, "out_of_range", message));
        }
        if self.rules().is_standard_included_fixed {
            let message = "the configuration sets plans.standard_included_seconds; change it there";
            return Err(Error::conflict(message));
        }
        let (plans, actor) = (self.clone(), *actor);
        self.0
            .store
            .write(move |tx| {
                let now = plans.now();
                let before = plans.rules().standard_included_seconds;
                store::standard_included_seconds_put(tx, seconds, now)?;
                let event = AuditEvent {
                    actor: Some(actor.user_id),
                    action: "plans.changed",
                    subject: "standard",
                    detail: &format!("included seconds {before} to {seconds}"),
                };
                audit::append(tx, &event, now)?;
                tx.after_commit(move || plans.set_included(seconds));
                Ok(())
            })
            .await
    }

    /// What holds for all plans.
    #[must_use]
    pub fn rules(&self) -> PlanRules {
        **self.0.rules.load()
    }

    pub(super) fn now(&self) -> UnixMillis {
        self.0.clock.now()
    }

    pub(super) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(super) fn followers(&self) -> MutexGuard<'_, Vec<Arc<dyn PlanFollower>>> {
        let lock = self.0.followers.lock();
        lock.expect("nothing panics while it holds the list")
    }

    /// Forgets what memory holds of a user once `tx` has committed. For every write of a plan row, of usage, or
    /// of a user's role.
    pub fn forget_after(&self, tx: &Tx<'_>, user_id: UserId) {
        let plans = self.clone();
        tx.after_commit(move || plans.forget(user_id));
    }

    /// Forgets what memory holds of a user.
    pub fn forget(&self, user_id: UserId) {
        self.0.ledgers.invalidate(&user_id);
    }

    /// A user's plan and what is written of the cycle that holds now.
    ///
    /// # Errors
    /// `NotFound` when there is no such user.
    pub async fn ledger(&self, user_id: UserId) -> Result<Arc<Ledger>> {
        let now = self.now();
        if let Some(kept) = self.0.ledgers.get(&user_id) {
            if kept.cycle.start <= now && now < kept.cycle.end {
                return Ok(kept);
            }
            // A cycle is over, or the clock was set.
            self.forget(user_id);
        }
        let load = self
            .0
            .store
            .read(move |connection| ledger_at(connection, user_id, now));
        self.0.ledgers.get_or_load(user_id, load).await
    }

    /// What the plan of `user_id` entitles to now.
    ///
    /// # Errors
    /// 403 `entitlement_denied` with reason `user_not_found` when there is no such user.
    pub async fn entitlement(&self, user_id: UserId) -> Result<Entitlement> {
        match self.ledger(user_id).await {
            Ok(ledger) => Ok(ledger.plan.entitlement(&self.rules(), self.now())),
            Err(error) if error.kind() == crate::kernel::Kind::NotFound => {
                Err(denied(Reason::UserNotFound))
            }
            Err(error) => Err(error),
        }
    }

    /// A user's seconds per cycle and session, the newest first, `limit` of them from before `before` on.
    ///
    /// # Errors
    /// The store's.
    pub async fn records(
        &self,
        user_id: UserId,
        before: (UnixMillis, Option<RelaySessionId>),
        limit: u32,
    ) -> Result<Vec<SessionUsage>> {
        self.0
            .store
            .read(move |connection| {
                Ok(store::session_usage_list(
                    connection, user_id, before, limit,
                )?)
            })
            .await
    }

    /// The usage of the present cycle, as far as it is written: up to about a minute old.
    ///
    /// # Errors
    /// `NotFound` when there is no such user.
    pub async fn usage(&self, user_id: UserId) -> Result<Usage> {
        Ok(self.ledger(user_id).await?.usage(&self.rules(), 0))
    }
}

fn ledger_at(
    connection: &rusqlite::Connection,
    user_id: UserId,
    now: UnixMillis,
) -> Result<Arc<Ledger>> {
    let plan = store::plan_get(connection, user_id)?.ok_or_else(|| Error::not_found("user"))?;
    let cycle = Cycle::containing(plan.cycle_anchor_at, now);
    Ok(Arc::new(Ledger {
        plan,
        cycle,
        consumed: store::consumed_in(connection, user_id, cycle.start)?,
    }))
}
