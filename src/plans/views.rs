//! The pages of plans and usage.
//!
//! Invariant: what a person typed stands in the form again when it was refused.

mod user;

use askama::Template;
pub use user::{AdjustmentValues, Person, PlanValues, UserFacts, UserForms, UserPage};

use super::adjustment::{Adjustment, AdjustmentReason};
use super::model::{PlanStatus, Tier, Usage};
use super::roll_over::Statement;
use super::store::SessionUsage;
use crate::http::form::Field;
use crate::http::moment::Moment;
use crate::http::page::Shell;
use crate::kernel::FieldError;

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

#[cfg(test)]
#[path = "views_tests.rs"]
pub(crate) mod tests;
