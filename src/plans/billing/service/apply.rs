//! The plan that follows from all that is known of a user.

use rusqlite::Connection;

use super::BillingService;
use crate::db::Tx;
use crate::kernel::ids::{EventId, UserId};
use crate::kernel::{Result, Role, UnixMillis};
use crate::plans::billing::event::EventState;
use crate::plans::billing::fact::{Action, Fact};
use crate::plans::billing::fold::{self, Subscriptions, Wanted};
use crate::plans::billing::store::{self, Account};
use crate::plans::{ChangedBy, Plan, store as plans};

/// What a look at a user's facts came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Applied {
    pub(super) state: EventState,
    pub(super) result: String,
    /// The plan row is another now.
    pub(super) is_changed: bool,
}

impl Applied {
    fn unchanged(state: EventState, result: impl Into<String>) -> Self {
        Self {
            state,
            result: result.into(),
            is_changed: false,
        }
    }
}

impl BillingService {
    /// Computes the plan of a user anew and stores it. `new` is the fact that gave the occasion; its event has its
    /// row already.
    pub(super) fn apply_in(
        &self,
        tx: &Tx<'_>,
        user_id: UserId,
        new: Option<(EventId, &Fact)>,
        now: UnixMillis,
    ) -> Result<Applied> {
        let provider = self.provider_name()?;
        let known = store::facts_of_user(tx, provider, user_id)?;
        let after = fold_of(&known, None);
        for (id, subscription) in &after {
            store::subscription_put(tx, provider, id, user_id, subscription)?;
        }
        let Some(plan) = plans::plan_get(tx, user_id)? else {
            return Ok(Applied::unchanged(
                EventState::Flagged,
                "its user is not here any more",
            ));
        };
        let action = new.map(|(id, fact)| self.action_of(&known, id, fact, &after));
        // Whose subscriptions turned out to be another's has none.
        let lost = (new.is_none() && after.is_empty()).then_some(Wanted::NOTHING);
        let wanted = fold::wanted(&after, &self.0.deps.catalog, now).or(lost);
        if let Some(wanted) = &wanted {
            put_account(tx, user_id, wanted, now)?;
        }
        if is_exempt(&plan) {
            let result = "the plan of this user is not decided by billing, and stays as it is";
            return Ok(Applied::unchanged(EventState::Done, result));
        }
        let Some(wanted) = wanted else {
            return Ok(self.not_sold(&after));
        };
        let applied = self.put_plan(tx, &plan, &wanted, action)?;
        Ok(self.flag_unmapped(applied, &after))
    }

    fn put_plan(
        &self,
        tx: &Tx<'_>,
        plan: &Plan,
        wanted: &Wanted,
        action: Option<Told>,
    ) -> Result<Applied> {
        let word = match action {
            None => "time",
            Some(Told::Superseded) => {
                let result = "nothing to do: this, or what came after it, was known before";
                if same(plan, wanted) {
                    return Ok(Applied::unchanged(EventState::Done, result));
                }
                "reconsidered"
            }
            Some(Told::New(None)) => "noted",
            Some(Told::New(Some(action))) => {
                self.0.deps.metrics.acted(action);
                action.as_str()
            }
        };
        if same(plan, wanted) {
            let result = format!("{word}: the plan stays {}", of_plan(plan));
            return Ok(Applied::unchanged(EventState::Done, result));
        }
        let reason = format!("billing.{word}");
        let by = ChangedBy {
            actor: None,
            reason: &reason,
        };
        let plans = &self.0.deps.plans;
        plans.change_in(tx, plan.user_id, by, |plan| wanted.write_to(plan))?;
        let detail = format!("{} -> {}", of_plan(plan), of_wanted(wanted));
        tracing::info!(user.id = %plan.user_id, action = word, detail, "billing changed a plan");
        Ok(Applied {
            state: EventState::Done,
            result: format!("{word}: {detail}"),
            is_changed: true,
        })
    }

    fn action_of(
        &self,
        known: &[(EventId, Fact)],
        id: EventId,
        fact: &Fact,
        after: &Subscriptions,
    ) -> Told {
        let before = fold_of(known, Some(id));
        if before == *after {
            return Told::Superseded;
        }
        let catalog = &self.0.deps.catalog;
        let touched = after
            .iter()
            .find(|(id, subscription)| before.get(*id) != Some(*subscription));
        let action = touched.and_then(|(id, subscription)| {
            fold::action(&fact.change, before.get(id), subscription, catalog)
        });
        Told::New(action)
    }

    /// Nothing of what the user pays for is sold here.
    fn not_sold(&self, subscriptions: &Subscriptions) -> Applied {
        let applied =
            Applied::unchanged(EventState::Done, "noted: it tells of no subscription yet");
        self.flag_unmapped(applied, subscriptions)
    }

    fn flag_unmapped(&self, applied: Applied, subscriptions: &Subscriptions) -> Applied {
        let catalog = &self.0.deps.catalog;
        let mut running = subscriptions.values().filter(|it| !it.is_over());
        let Some(price) = running.find_map(|it| it.unmapped(catalog)) else {
            return applied;
        };
        let result = format!(
            "the variant or price {price} is mapped to no product: add it to the configuration, then \
             do this again ({})",
            applied.result
        );
        Applied {
            state: EventState::Flagged,
            result,
            ..applied
        }
    }

    /// Whether the stored plan of a user is not what their facts ask for now.
    pub(super) fn is_stale(
        &self,
        connection: &Connection,
        user_id: UserId,
        now: UnixMillis,
    ) -> rusqlite::Result<bool> {
        let Ok(provider) = self.provider_name() else {
            return Ok(false);
        };
        let known = store::facts_of_user(connection, provider, user_id)?;
        let wanted = fold::wanted(&fold_of(&known, None), &self.0.deps.catalog, now);
        let plan = plans::plan_get(connection, user_id)?;
        Ok(match (plan, wanted) {
            (Some(plan), Some(wanted)) => !is_exempt(&plan) && !same(&plan, &wanted),
            _ => false,
        })
    }
}

/// What a fact told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// Nothing that was not known.
    Superseded,
    New(Option<Action>),
}

/// Billing never changes an owner, or whom an operator set.
pub(super) fn is_exempt(plan: &Plan) -> bool {
    plan.role == Role::Owner || plan.is_operator_set
}

fn fold_of(known: &[(EventId, Fact)], without: Option<EventId>) -> Subscriptions {
    let facts: Vec<_> = known
        .iter()
        .filter(|(id, _)| Some(*id) != without)
        .map(|(_, fact)| fact.clone())
        .collect();
    fold::fold(&facts)
}

fn put_account(
    tx: &Tx<'_>,
    user_id: UserId,
    wanted: &Wanted,
    now: UnixMillis,
) -> rusqlite::Result<()> {
    let account = Account {
        ends_at: wanted.ends_at,
        renews_at: wanted.renews_at,
        next_change_at: wanted.next_change_at,
    };
    store::account_put(tx, user_id, &account, now)
}

fn same(plan: &Plan, wanted: &Wanted) -> bool {
    plan.tier == wanted.tier
        && plan.status == wanted.status
        && plan.addon_relay_count == wanted.addon_relay_count
        && plan.grace_deadline_at == wanted.grace_deadline_at
}

fn of_plan(plan: &Plan) -> String {
    words(
        plan.tier.as_str(),
        plan.status.as_str(),
        plan.addon_relay_count,
        plan.grace_deadline_at,
    )
}

fn of_wanted(wanted: &Wanted) -> String {
    words(
        wanted.tier.as_str(),
        wanted.status.as_str(),
        wanted.addon_relay_count,
        wanted.grace_deadline_at,
    )
}

fn words(tier: &str, status: &str, addons: u32, grace: Option<UnixMillis>) -> String {
    let addons = match addons {
        0 => String::new(),
        count => format!(" +{count}"),
    };
    let grace = grace.map_or_else(String::new, |until| format!(" until {until}"));
    format!("{tier}{addons}/{status}{grace}")
}
