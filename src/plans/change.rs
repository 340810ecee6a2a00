//! Changing a plan: one way for operators and for billing.
//!
//! Invariant: the row, its audit event and what follows from it (slots, sessions) are one transaction; a change
//! that changes nothing writes nothing.

use std::fmt;

use super::PlansService;
use super::model::{Entitlement, Plan, PlanRules, PlanStatus, Tier};
use super::store;
use crate::audit::{self, AuditEvent};
use crate::db::Tx;
use crate::kernel::ids::UserId;
use crate::kernel::{Actor, Error, FieldError, Result, Role, UnixMillis};

/// Add-ons and extra slots at most, each.
pub const EXTRAS_MAX: u32 = 96;

/// A plan before and after a change.
#[derive(Debug, Clone, Copy)]
pub struct PlanChange {
    /// As it was.
    pub before: Plan,
    /// As it is.
    pub after: Plan,
    /// Under which rules both are read.
    pub rules: PlanRules,
    /// When it changed.
    pub at: UnixMillis,
}

impl PlanChange {
    /// What the plan entitled to.
    #[must_use]
    pub fn entitled_before(&self) -> Entitlement {
        self.before.entitlement(&self.rules, self.at)
    }

    /// What the plan entitles to.
    #[must_use]
    pub fn entitled_after(&self) -> Entitlement {
        self.after.entitlement(&self.rules, self.at)
    }

    /// Whether anything changed.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.before != self.after
    }
}

/// Told of every change of a plan inside its transaction: those who keep what plans entitle to.
pub trait PlanFollower: Send + Sync + fmt::Debug {
    /// Brings its own rows in line; memory follows in `after_commit`.
    ///
    /// # Errors
    /// The change does not happen then.
    fn plan_changed_in(&self, tx: &Tx<'_>, change: &PlanChange) -> Result<()>;
}

/// Who changes a plan, for the audit.
#[derive(Debug, Clone, Copy)]
pub struct ChangedBy<'a> {
    /// `None` for the appliance itself, as when a payment came.
    pub actor: Option<UserId>,
    /// Why, in a few words; empty when the actor needs no reason.
    pub reason: &'a str,
}

/// What an operator may set. What is left out stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PlanEdit {
    /// What the row says.
    pub tier: Option<Tier>,
    /// Whether it is paid for.
    pub status: Option<PlanStatus>,
    /// Add-ons of tier standard, 0 to 96.
    pub addon_relay_count: Option<u32>,
    /// Slots beyond those of tier internal, 0 to 96.
    pub extra_slot_count: Option<u32>,
    /// Whether the user is internal whatever the row says.
    pub is_operator_set: Option<bool>,
}

impl PlanEdit {
    fn check(&self) -> Result<()> {
        let bounded = [
            ("addon_relay_count", self.addon_relay_count),
            ("extra_slot_count", self.extra_slot_count),
        ];
        let beyond = |(field, count): (&'static str, Option<u32>)| {
            let message = format!("use a whole number from 0 to {EXTRAS_MAX}");
            let is_beyond = count.is_some_and(|count| count > EXTRAS_MAX);
            is_beyond.then(|| FieldError::new(field, "out_of_range", message))
        };
        let wrong: Vec<_> = bounded.into_iter().filter_map(beyond).collect();
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(Error::invalid_fields(wrong))
        }
    }

    fn apply(self, plan: &mut Plan, now: UnixMillis) {
        plan.tier = self.tier.unwrap_or(plan.tier);
        plan.addon_relay_count = self.addon_relay_count.unwrap_or(plan.addon_relay_count);
        plan.extra_slot_count = self.extra_slot_count.unwrap_or(plan.extra_slot_count);
        plan.is_operator_set = self.is_operator_set.unwrap_or(plan.is_operator_set);
        let Some(status) = self.status else { return };
        // A second failure does not extend the grace of the first.
        plan.grace_deadline_at = match status {
            PlanStatus::PastDue => plan
                .grace_deadline_at
                .or(Some(now + PlanRules::PAYMENT_GRACE)),
            PlanStatus::Active | PlanStatus::Trial | PlanStatus::Canceled => None,
        };
        plan.status = status;
    }
}

impl PlansService {
    /// Tells `follower` of every change of a plan from now on.
    pub fn follow(&self, follower: impl PlanFollower + 'static) {
        self.followers().push(std::sync::Arc::new(follower));
    }

    /// Changes a user's plan inside the caller's transaction. `edit` leaves user, role and cycles alone.
    ///
    /// # Errors
    /// `NotFound` when there is no such user; what followers refuse.
    pub fn change_in(
        &self,
        tx: &Tx<'_>,
        user_id: UserId,
        by: ChangedBy<'_>,
        edit: impl FnOnce(&mut Plan),
    ) -> Result<PlanChange> {
        let before = store::plan_get(tx, user_id)?.ok_or_else(|| Error::not_found("user"))?;
        let mut after = before;
        edit(&mut after);
        let change = PlanChange {
            before,
            after,
            rules: self.rules(),
            at: self.now(),
        };
        if !change.is_any() {
            return Ok(change);
        }
        store::plan_update(tx, &after, change.at)?;
        let event = AuditEvent {
            actor: by.actor,
            action: "plan.changed",
            subject: &user_id.to_string(),
            detail: &described(&change, by.reason),
        };
        audit::append(tx, &event, change.at)?;
        self.forget_after(tx, user_id);
        let followers = self.followers().clone();
        for follower in followers {
            follower.plan_changed_in(tx, &change)?;
        }
        Ok(change)
    }

    /// Changes a user's plan for an operator.
    ///
    /// # Errors
    /// `Forbidden` for everybody else, and for an operator who means an owner; `NotFound`; `Invalid` for a
    /// number out of bounds.
    pub async fn change(
        &self,
        actor: &Actor,
        user_id: UserId,
        edit: PlanEdit,
    ) -> Result<PlanChange> {
        edit.check()?;
        let (plans, actor) = (self.clone(), *actor);
        self.store()
            .write(move |tx| {
                Self::require_manager(tx, &actor, user_id)?;
                let by = ChangedBy {
                    actor: Some(actor.user_id),
                    reason: "",
                };
                let now = plans.now();
                plans.change_in(tx, user_id, by, |plan| edit.apply(plan, now))
            })
            .await
    }

    /// Refuses who may not manage the plan and usage of `user_id`.
    pub(super) fn require_manager(tx: &Tx<'_>, actor: &Actor, user_id: UserId) -> Result<()> {
        if !actor.is_operator() {
            return Err(Error::forbidden());
        }
        let plan = store::plan_get(tx, user_id)?.ok_or_else(|| Error::not_found("user"))?;
        if plan.role == Role::Owner && actor.role != Role::Owner {
            return Err(Error::forbidden());
        }
        Ok(())
    }
}

/// What changed, as `tier free to standard, add-ons 0 to 1`.
fn described(change: &PlanChange, reason: &str) -> String {
    let (before, after) = (&change.before, &change.after);
    let deadline = |plan: &Plan| {
        plan.grace_deadline_at
            .map_or_else(|| "none".to_owned(), |at| at.to_string())
    };
    let word = |is_so: bool| if is_so { "yes" } else { "no" }.to_owned();
    let of = |name: &'static str, say: &dyn Fn(&Plan) -> String| {
        let (was, is) = (say(before), say(after));
        (was != is).then(|| format!("{name} {was} to {is}"))
    };
    let parts = [
        of("tier", &|plan| plan.tier.as_str().to_owned()),
        of("status", &|plan| plan.status.as_str().to_owned()),
        of("add-ons", &|plan| plan.addon_relay_count.to_string()),
        of("extra slots", &|plan| plan.extra_slot_count.to_string()),
        of("set to internal", &|plan| word(plan.is_operator_set)),
        of("grace until", &|plan| deadline(plan)),
        (!reason.is_empty()).then(|| format!("because {reason}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
