//! The page of one user, for operators.

use askama::Template;

use super::{HistoryPart, UsagePart, status_hint, status_label, tier_hint, tier_label};
use crate::http::form::{Choice, Field};
use crate::http::moment::Moment;
use crate::http::page::Shell;
use crate::kernel::ids::UserId;
use crate::kernel::{FieldError, counted};
use crate::plans::PlanEdit;
use crate::plans::model::{Entitlement, Plan, PlanStatus, Tier, Usage};

/// What stands in the form of a user's plan.
#[derive(Debug, Clone)]
pub struct PlanValues {
    /// Its tier.
    pub tier: Tier,
    /// Its status.
    pub status: PlanStatus,
    /// Add-ons, as typed.
    pub addon_relay_count: String,
    /// Extra slots, as typed.
    pub extra_slot_count: String,
    /// The internal flag.
    pub is_operator_set: bool,
}

impl From<&Plan> for PlanValues {
    fn from(plan: &Plan) -> Self {
        Self {
            tier: plan.tier,
            status: plan.status,
            addon_relay_count: plan.addon_relay_count.to_string(),
            extra_slot_count: plan.extra_slot_count.to_string(),
            is_operator_set: plan.is_operator_set,
        }
    }
}

impl PlanValues {
    /// What the form asks for.
    ///
    /// # Errors
    /// What is wrong in which field.
    pub fn edit(&self) -> Result<PlanEdit, Vec<FieldError>> {
        let number = |field, text: &str| {
            let message = "use a whole number from 0 to 96";
            let parsed = text.trim().parse::<u32>();
            parsed.map_err(|_| FieldError::new(field, "not_a_number", message))
        };
        let addons = number("addon_relay_count", &self.addon_relay_count);
        let extra = number("extra_slot_count", &self.extra_slot_count);
        match (addons, extra) {
            (Ok(addons), Ok(extra)) => Ok(PlanEdit {
                tier: Some(self.tier),
                status: Some(self.status),
                addon_relay_count: Some(addons),
                extra_slot_count: Some(extra),
                is_operator_set: Some(self.is_operator_set),
            }),
            (addons, extra) => Err([addons.err(), extra.err()].into_iter().flatten().collect()),
        }
    }
}

/// What stands in the form of a correction.
#[derive(Debug, Clone, Default)]
pub struct AdjustmentValues {
    /// As typed.
    pub minutes: String,
    /// As typed.
    pub note: String,
    /// Whether it settles a complaint.
    pub is_dispute: bool,
}

/// Whose page it is.
#[derive(Debug, Clone)]
pub struct Person {
    /// Who.
    pub id: UserId,
    /// What they call themselves.
    pub display_name: String,
    /// What they sign in with.
    pub email: String,
    /// What they may do.
    pub role: &'static str,
}

/// What is typed into the two forms of a user's page, and what is wrong with it.
#[derive(Debug, Clone)]
pub struct UserForms<'a> {
    /// The plan's.
    pub plan: PlanValues,
    /// The correction's.
    pub adjustment: AdjustmentValues,
    /// What is wrong.
    pub errors: &'a [FieldError],
}

/// `GET /users/{user_id}`
#[derive(Debug, Template)]
#[template(path = "pages/plans/user.html")]
pub struct UserPage {
    /// What is around the content.
    pub shell: Shell,
    /// Whose.
    pub person: Person,
    /// Whether the reader may change it.
    pub can_change: bool,
    /// Whether anybody is limited.
    pub is_billing_configured: bool,
    /// What it comes to.
    pub effect: String,
    /// Until when access goes on after a failed payment.
    pub grace_deadline: Option<Moment>,
    /// The present cycle.
    pub usage: UsagePart,
    /// The past.
    pub history: HistoryPart,
    tiers: Vec<Choice>,
    statuses: Vec<Choice>,
    addons: Field,
    extra_slots: Field,
    internal: Choice,
    minutes: Field,
    note: Field,
    dispute: Choice,
}

/// What the page of a user tells.
#[derive(Debug)]
pub struct UserFacts {
    /// Whose.
    pub person: Person,
    /// Whether the reader may change it.
    pub can_change: bool,
    /// Whether anybody is limited.
    pub is_billing_configured: bool,
    /// What the plan entitles to.
    pub entitlement: Entitlement,
    /// The present cycle.
    pub usage: Usage,
    /// The past.
    pub history: HistoryPart,
}

impl UserPage {
    /// The page with these values in its forms.
    #[must_use]
    pub fn new(shell: Shell, facts: UserFacts, forms: &UserForms<'_>) -> Self {
        let number = |name, label, value: &str| {
            Field::text(name, label)
                .with_max_length(3)
                .with_value(value)
                .with_error_among(forms.errors)
        };
        let (plan, entitled) = (&forms.plan, &facts.entitlement);
        Self {
            shell,
            effect: effect(entitled),
            grace_deadline: entitled.grace_deadline.map(Moment::from),
            person: facts.person,
            can_change: facts.can_change,
            is_billing_configured: facts.is_billing_configured,
            usage: UsagePart::new(&facts.usage),
            history: facts.history,
            tiers: Tier::ALL
                .map(|tier| Choice {
                    value: tier.as_str(),
                    label: tier_label(tier),
                    hint: tier_hint(tier),
                    is_selected: tier == plan.tier,
                })
                .into(),
            statuses: PlanStatus::ALL
                .map(|status| Choice {
                    value: status.as_str(),
                    label: status_label(status),
                    hint: status_hint(status),
                    is_selected: status == plan.status,
                })
                .into(),
            addons: number("addon_relay_count", "Add-ons", &plan.addon_relay_count)
                .with_hint("Each gives Standard one connection and one slot more. 0 to 96."),
            extra_slots: number("extra_slot_count", "Extra slots", &plan.extra_slot_count)
                .with_hint("Beyond the four of Internal. 0 to 96."),
            internal: Choice {
                value: "is_operator_set",
                label: "Internal whatever the tier says",
                hint: "Billing never changes it",
                is_selected: plan.is_operator_set,
            },
            minutes: Field::text("minutes", "Minutes")
                .with_max_length(6)
                .with_value(&*forms.adjustment.minutes)
                .with_hint("To add; with a minus to take away.")
                .with_error_among(forms.errors),
            note: Field::text("note", "Why")
                .with_max_length(500)
                .with_value(&*forms.adjustment.note)
                .with_hint("The user reads this.")
                .with_error_among(forms.errors),
            dispute: Choice {
                value: "is_dispute",
                label: "It settles a complaint",
                hint: "",
                is_selected: forms.adjustment.is_dispute,
            },
        }
    }
}

fn effect(entitled: &Entitlement) -> String {
    if !entitled.is_enabled() {
        return "No relay: publishers and players are refused.".to_owned();
    }
    format!(
        "Relay for {} at once and {}.",
        counted(entitled.max_concurrent_conns, "connection", "connections"),
        counted(entitled.max_slots, "slot", "slots")
    )
}
