//! The pages of plans and usage.
//!
//! Invariant: what a person typed stands in the form again when it was refused.

use askama::Template;

use super::PlanEdit;
use super::adjustment::{Adjustment, AdjustmentReason};
use super::model::{Entitlement, Plan, PlanStatus, Tier, Usage};
use super::roll_over::Statement;
use super::store::SessionUsage;
use crate::http::form::{Choice, Field};
use crate::http::moment::Moment;
use crate::http::page::Shell;
use crate::kernel::ids::UserId;
use crate::kernel::{FieldError, counted};

/// A tier as a person reads it.
#[must_use]
pub const fn tier_label(tier: Tier) -> &'static str {
    match tier {
        Tier::Free => "Free",
        Tier::Standard => "Standard",
        Tier::Internal => "Internal",
    }
}

const fn tier_hint(tier: Tier) -> &'static str {
    match tier {
        Tier::Free => "1 slot, no relay",
        Tier::Standard => "2 slots and 1 connection, and one more of each per add-on",
        Tier::Internal => "4 slots, no limit of time",
    }
}

/// A status as a person reads it.
#[must_use]
pub const fn status_label(status: PlanStatus) -> &'static str {
    match status {
        PlanStatus::Active => "Active",
        PlanStatus::Trial => "Trial",
        PlanStatus::PastDue => "Past due",
        PlanStatus::Canceled => "Canceled",
    }
}

const fn status_hint(status: PlanStatus) -> &'static str {
    match status {
        PlanStatus::Active => "Paid for",
        PlanStatus::Trial => "In force, not paid for yet",
        PlanStatus::PastDue => "A payment failed; the relay works for 48 hours more",
        PlanStatus::Canceled => "Over",
    }
}

/// Seconds as a person reads them: `15 h 4 min`, and `4 min 10 s` below an hour.
#[must_use]
pub fn duration_text(seconds: u64) -> String {
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    if hours > 0 {
        format!("{hours} h {minutes} min")
    } else {
        format!("{minutes} min {} s", seconds % 60)
    }
}

/// The present cycle.
#[derive(Debug)]
pub struct UsagePart {
    /// The tier that counts.
    pub tier: &'static str,
    /// Whether it is paid for.
    pub status: &'static str,
    /// Its begin.
    pub cycle_start: Moment,
    /// Its end.
    pub cycle_end: Moment,
    /// How much was streamed.
    pub consumed: String,
    /// What the plan includes, when it has a limit.
    pub included: Option<String>,
    /// What is left of it.
    pub remaining: String,
    /// What went beyond, when something did.
    pub overage: Option<String>,
}

impl UsagePart {
    /// The figures in words.
    #[must_use]
    pub fn new(usage: &Usage) -> Self {
        let has_limit = usage.plan_tier != Tier::Internal;
        let overage = (usage.overage_seconds > 0).then(|| duration_text(usage.overage_seconds));
        Self {
            tier: tier_label(usage.plan_tier),
            status: status_label(usage.plan_status),
            cycle_start: usage.cycle_start.into(),
            cycle_end: usage.cycle_end.into(),
            consumed: duration_text(usage.consumed_seconds),
            included: has_limit.then(|| duration_text(usage.included_seconds)),
            remaining: duration_text(usage.remaining_seconds),
            overage,
        }
    }
}

/// A cycle that is over.
#[derive(Debug)]
pub struct StatementRow {
    start: Moment,
    tier: &'static str,
    consumed: String,
    overage: String,
}

impl StatementRow {
    fn new(of: &Statement) -> Self {
        Self {
            start: of.cycle_start.into(),
            tier: tier_label(of.plan_tier),
            consumed: duration_text(of.consumed_seconds),
            overage: duration_text(of.overage_seconds),
        }
    }
}

/// What a session used of a cycle.
#[derive(Debug)]
pub struct RecordRow {
    started: Option<Moment>,
    region: String,
    time: String,
}

impl RecordRow {
    fn new(of: &SessionUsage) -> Self {
        Self {
            started: of.started_at.map(Moment::from),
            region: of.region.clone(),
            time: duration_text(of.measured_seconds),
        }
    }
}

/// A correction.
#[derive(Debug)]
pub struct AdjustmentRow {
    at: Moment,
    time: String,
    reason: &'static str,
    note: String,
}

impl AdjustmentRow {
    fn new(of: &Adjustment) -> Self {
        let sign = if of.seconds < 0 { "−" } else { "+" };
        Self {
            at: of.created_at.into(),
            time: format!("{sign}{}", duration_text(of.seconds.unsigned_abs())),
            reason: match of.reason {
                AdjustmentReason::OutageReconciliation => "Outage",
                AdjustmentReason::ManualCorrection => "Correction",
                AdjustmentReason::DisputeResolution => "Complaint",
            },
            note: of.note.clone(),
        }
    }
}

/// What both pages show of the past.
#[derive(Debug)]
pub struct HistoryPart {
    statements: Vec<StatementRow>,
    records: Vec<RecordRow>,
    adjustments: Vec<AdjustmentRow>,
}

impl HistoryPart {
    /// The past in words.
    #[must_use]
    pub fn new(
        statements: &[Statement],
        records: &[SessionUsage],
        adjustments: &[Adjustment],
    ) -> Self {
        Self {
            statements: statements.iter().map(StatementRow::new).collect(),
            records: records.iter().map(RecordRow::new).collect(),
            adjustments: adjustments.iter().map(AdjustmentRow::new).collect(),
        }
    }
}

/// `GET /account/usage`
#[derive(Debug, Template)]
#[template(path = "pages/plans/usage.html")]
pub struct UsagePage {
    /// What is around the content.
    pub shell: Shell,
    /// The present cycle.
    pub usage: UsagePart,
    /// The past.
    pub history: HistoryPart,
}

/// `GET /plans`
#[derive(Debug, Template)]
#[template(path = "pages/plans/plans.html")]
pub struct PlansPage {
    /// What is around the content.
    pub shell: Shell,
    /// Whether a billing provider is configured.
    pub is_billing_configured: bool,
    /// `included_hours`
    pub included_hours: Field,
}

impl PlansPage {
    /// The page with this in its form.
    #[must_use]
    pub fn new(
        shell: Shell,
        is_billing_configured: bool,
        hours: String,
        is_fixed: bool,
        errors: &[FieldError],
    ) -> Self {
        let hint = if is_fixed {
            "The configuration sets this: plans.standard_included_seconds."
        } else {
            "Hours of streaming in a billing cycle, 0 to 744. A part of an hour is fine: 1.5"
        };
        let field = Field::text("included_hours", "Hours that Standard includes")
            .with_max_length(10)
            .with_value(hours)
            .with_hint(hint)
            .with_error_among(errors);
        Self {
            shell,
            is_billing_configured,
            included_hours: if is_fixed { field.read_only() } else { field },
        }
    }
}

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

#[cfg(test)]
#[path = "views_tests.rs"]
pub(crate) mod tests;
