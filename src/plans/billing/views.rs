//! The pages of billing.

use askama::Template;
use url::Url;

use super::event::{BillingEvent, EventState};
use super::service::{BillingStatus, Overview};
use crate::http::moment::Moment;
use crate::http::page::Shell;
use crate::kernel::ids::EventId;
use crate::plans::views::tier_label;
use crate::plans::{PlanStatus, Tier};

/// `GET /account/plan`
#[derive(Debug, Template)]
#[template(path = "pages/plans/plan.html")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a thing of its own that the page shows or not"
)]
pub struct PlanPage {
    /// What is around the content.
    pub shell: Shell,
    /// What people call the tier.
    pub tier: &'static str,
    /// Whether it is paid for, in words.
    pub status: &'static str,
    /// The style of the status's badge.
    pub badge: &'static str,
    /// Add-ons bought.
    pub addons: u32,
    /// A payment failed, and access ends then.
    pub past_due_until: Option<Moment>,
    /// A cancelled plan ends then.
    pub ends: Option<Moment>,
    /// It ended then.
    pub ended: Option<Moment>,
    /// It renews then.
    pub renews: Option<Moment>,
    /// Billing has no say in this plan.
    pub is_exempt: bool,
    /// Tier standard can be bought.
    pub can_upgrade: bool,
    /// An add-on can be bought.
    pub can_add: bool,
    /// The provider has a page of the reader's.
    pub can_manage: bool,
    /// Who takes the money.
    pub provider: &'static str,
    /// The reader may see the log of events.
    pub is_operator: bool,
}

impl PlanPage {
    /// The page of a plan.
    #[must_use]
    pub fn new(shell: Shell, plan: &BillingStatus, is_operator: bool) -> Self {
        let has_plan = plan.plan_tier != Tier::Free;
        let of_plan = |at: Option<crate::kernel::UnixMillis>, is_shown: bool| {
            at.filter(|_| is_shown).map(Moment::from)
        };
        let is_paid = !plan.is_exempt;
        let (status, badge) = status_words(plan);
        Self {
            shell,
            tier: tier_label(plan.plan_tier),
            status,
            badge,
            addons: if is_paid { plan.addon_relay_count } else { 0 },
            past_due_until: of_plan(plan.grace_deadline, plan.is_past_due()),
            ends: of_plan(plan.ends_at, is_paid && has_plan),
            ended: of_plan(plan.ends_at, is_paid && !has_plan),
            renews: of_plan(plan.renews_at, is_paid && has_plan && !plan.is_past_due()),
            is_exempt: plan.is_exempt,
            can_upgrade: plan.can_upgrade,
            can_add: plan.can_add,
            can_manage: plan.can_manage,
            provider: plan.provider.label(),
            is_operator,
        }
    }
}

const fn status_words(plan: &BillingStatus) -> (&'static str, &'static str) {
    if plan.is_exempt {
        return ("nothing to pay", "success");
    }
    match (plan.plan_tier, plan.plan_status) {
        (_, PlanStatus::PastDue) => ("payment failed", "problem"),
        (_, PlanStatus::Canceled) => ("ended", "offline"),
        (Tier::Free, _) => ("nothing to pay", "success"),
        (_, PlanStatus::Trial) => ("trial", "waiting"),
        (_, PlanStatus::Active) => ("active", "success"),
    }
}

/// The answer of `POST /account/plan/upgrade` and `.../manage`
#[derive(Debug, Template)]
#[template(path = "pages/plans/way.html")]
pub struct WayPage {
    /// What is around the content.
    pub shell: Shell,
    /// What is ready there.
    pub heading: &'static str,
    /// What to do there, after "You ... at (host), not here".
    pub deed: &'static str,
    /// The page at the provider.
    pub url: String,
    /// Whose it is.
    pub host: String,
}

impl WayPage {
    /// The way to a payment page.
    #[must_use]
    pub fn to_payment(shell: Shell, url: &Url) -> Self {
        Self::new(shell, "Your payment page is ready", "pay", url)
    }

    /// The way to the reader's bills.
    #[must_use]
    pub fn to_bills(shell: Shell, url: &Url) -> Self {
        let deed = "see your bills, change your way of payment and cancel";
        Self::new(shell, "Your bills are ready", deed, url)
    }

    fn new(shell: Shell, heading: &'static str, deed: &'static str, url: &Url) -> Self {
        Self {
            shell,
            heading,
            deed,
            host: url.host_str().unwrap_or_default().to_owned(),
            url: url.to_string(),
        }
    }
}

/// `GET /billing`
#[derive(Debug, Template)]
#[template(path = "pages/plans/billing.html")]
pub struct BillingPage {
    /// What is around the content.
    pub shell: Shell,
    /// Who takes the money.
    pub provider: &'static str,
    /// Events that somebody should look at.
    pub flagged: u32,
    /// When the provider last sent something.
    pub last_received: Option<Moment>,
    /// Whether only those are shown that somebody should look at.
    pub is_filtered: bool,
    /// Events, the newest first.
    pub events: Vec<EventRow>,
    /// Where older ones are.
    pub next: Option<String>,
}

impl BillingPage {
    /// The page of what is known.
    #[must_use]
    pub fn new(shell: Shell, overview: Overview, state: Option<EventState>) -> Self {
        let filter = state.map_or_else(String::new, |state| format!("&state={}", state.as_str()));
        Self {
            shell,
            provider: overview.provider.label(),
            flagged: overview.flagged,
            last_received: overview.last_received_at.map(Moment::from),
            is_filtered: state.is_some(),
            next: overview
                .next
                .map(|id| format!("/billing?before={id}{filter}")),
            events: overview.events.into_iter().map(EventRow::from).collect(),
        }
    }
}

/// One event.
#[derive(Debug)]
pub struct EventRow {
    /// Its identity.
    pub id: EventId,
    /// The provider's word for it.
    pub kind: String,
    /// What became of it.
    pub state: &'static str,
    /// The style of the state's badge.
    pub badge: &'static str,
    /// When it came in.
    pub received: Moment,
    /// When it was acted on.
    pub acted: Option<Moment>,
    /// What that came to.
    pub result: String,
    /// Why it failed.
    pub error: Option<String>,
}

impl From<BillingEvent> for EventRow {
    fn from(event: BillingEvent) -> Self {
        let kind = if event.kind.is_empty() {
            "not read yet".to_owned()
        } else {
            event.kind
        };
        Self {
            id: event.id,
            kind,
            state: event.state.as_str(),
            badge: match event.state {
                EventState::Waiting => "waiting",
                EventState::Done => "success",
                EventState::Ignored => "offline",
                EventState::Flagged | EventState::Failed => "problem",
            },
            received: event.received_at.into(),
            acted: event.acted_at.map(Moment::from),
            result: event.result,
            error: event.error,
        }
    }
}

#[cfg(test)]
#[path = "views_tests.rs"]
pub(crate) mod tests;
