//! What other capabilities ask about plans.
//!
//! Invariant: answers come from the store as it is now; nothing here is cached.

use std::sync::Arc;

use super::model::{Entitlement, PlanRules, Reason, Usage, denied};
use super::store;
use crate::db::Store;
use crate::kernel::ids::UserId;
use crate::kernel::{Clock, Error, Result};

/// Plans and usage. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PlansService(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    clock: Clock,
    rules: PlanRules,
}

impl PlansService {
    /// Over `store`, under `rules`.
    #[must_use]
    pub fn new(store: Store, clock: Clock, rules: PlanRules) -> Self {
        Self(Arc::new(Inner {
            store,
            clock,
            rules,
        }))
    }

    /// What configuration says about all plans.
    #[must_use]
    pub fn rules(&self) -> PlanRules {
        self.0.rules
    }

    /// What the plan of `user_id` entitles to now.
    ///
    /// # Errors
    /// 403 `entitlement_denied` with reason `user_not_found` when there is no such user.
    pub async fn entitlement(&self, user_id: UserId) -> Result<Entitlement> {
        let (rules, now) = (self.0.rules, self.0.clock.now());
        let plan = self
            .0
            .store
            .read(move |connection| Ok::<_, Error>(store::plan_get(connection, user_id)?))
            .await?;
        plan.map(|plan| plan.entitlement(&rules, now))
            .ok_or_else(|| denied(Reason::UserNotFound))
    }

    /// The usage of the current cycle, as far as it is written: up to about ten seconds old.
    ///
    /// # Errors
    /// `NotFound` when there is no such user.
    pub async fn usage(&self, user_id: UserId) -> Result<Usage> {
        let (rules, now) = (self.0.rules, self.0.clock.now());
        self.0
            .store
            .read(move |connection| {
                store::usage_get(connection, user_id, &rules, now)?
                    .ok_or_else(|| Error::not_found("user"))
            })
            .await
    }
}
