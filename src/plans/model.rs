//! A user's plan and the figures of usage.
//!
//! Invariant: pure; the same row, rules and moment always give the same answer.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::cycle::Cycle;
pub use super::entitlement::{Access, Entitlement, Reason, denied};
pub use super::tier::{PlanStatus, Tier};
use crate::kernel::ids::UserId;
use crate::kernel::{Role, UnixMillis};

/// What configuration says about all plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanRules {
    /// Whether a billing provider is configured; without one every user counts as internal.
    pub is_billing_configured: bool,
    /// Ingest seconds per cycle that tier standard includes.
    pub standard_included_seconds: u64,
    /// Whether the configuration sets them, so that operators cannot.
    pub is_standard_included_fixed: bool,
}

impl Default for PlanRules {
    fn default() -> Self {
        Self {
            is_billing_configured: false,
            // 15 hours.
            standard_included_seconds: 54_000,
            is_standard_included_fixed: false,
        }
    }
}

impl PlanRules {
    /// How long a user whose payment failed keeps access.
    pub const PAYMENT_GRACE: Duration = Duration::from_hours(48);
}

/// A user's plan as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Whose.
    pub user_id: UserId,
    /// The user's role: an owner is never limited.
    pub role: Role,
    /// What the row says; see [`Plan::effective_tier`].
    pub tier: Tier,
    /// Whether it is paid for.
    pub status: PlanStatus,
    /// Add-ons bought with tier standard.
    pub addon_relay_count: u32,
    /// An operator set this user to internal.
    pub is_operator_set: bool,
    /// Until when access goes on after a failed payment.
    pub grace_deadline_at: Option<UnixMillis>,
    /// Slots beyond those of the tier that an operator gave; they count for tier internal only.
    pub extra_slot_count: u32,
    /// Where the billing cycles are counted from.
    pub cycle_anchor_at: UnixMillis,
}

impl Plan {
    /// The tier that counts.
    #[must_use]
    pub fn effective_tier(&self, rules: &PlanRules) -> Tier {
        let is_free_of_billing =
            !rules.is_billing_configured || self.role == Role::Owner || self.is_operator_set;
        if is_free_of_billing {
            Tier::Internal
        } else {
            self.tier
        }
    }

    /// What it entitles to at `now`.
    #[must_use]
    pub fn entitlement(&self, rules: &PlanRules, now: UnixMillis) -> Entitlement {
        let tier = self.effective_tier(rules);
        let (access, reason) = match tier {
            Tier::Internal => (Access::Enabled, Reason::Ok),
            Tier::Free => (Access::SubscriptionRequired, Reason::SubscriptionRequired),
            Tier::Standard if self.is_paid_for(now) => (Access::Enabled, Reason::Ok),
            Tier::Standard => (Access::Disabled, Reason::SubscriptionInactive),
        };
        Entitlement {
            relay_access_status: access,
            reason_code: reason,
            plan_tier: tier,
            plan_status: self.status,
            max_concurrent_conns: tier.max_connections(self.addon_relay_count),
            max_slots: self.max_slots(tier),
            grace_deadline: self.grace_deadline_at,
        }
    }

    fn max_slots(&self, tier: Tier) -> u32 {
        let extra = match tier {
            Tier::Internal => self.extra_slot_count,
            Tier::Free | Tier::Standard => 0,
        };
        tier.slots(self.addon_relay_count).saturating_add(extra)
    }

    /// Ingest seconds that a cycle includes; 0 for the tiers that have none or no limit.
    #[must_use]
    pub fn included_seconds(&self, rules: &PlanRules) -> u64 {
        match self.effective_tier(rules) {
            Tier::Free | Tier::Internal => 0,
            Tier::Standard => rules.standard_included_seconds,
        }
    }

    fn is_paid_for(&self, now: UnixMillis) -> bool {
        match self.status {
            PlanStatus::Active | PlanStatus::Trial => true,
            PlanStatus::PastDue => self.grace_deadline_at.is_some_and(|until| now < until),
            PlanStatus::Canceled => false,
        }
    }
}

/// Usage of the current cycle. Field names are those of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Usage {
    /// The tier that counts.
    pub plan_tier: Tier,
    /// Whether it is paid for.
    pub plan_status: PlanStatus,
    /// Begin of the cycle.
    pub cycle_start: UnixMillis,
    /// Its end.
    pub cycle_end: UnixMillis,
    /// Seconds the plan includes.
    pub included_seconds: u64,
    /// Seconds in which ingest bytes flowed, and what corrections added or took away.
    pub consumed_seconds: u64,
    /// What is left; 0 for a tier without a limit.
    pub remaining_seconds: u64,
    /// What went beyond; 0 for a tier without a limit.
    pub overage_seconds: u64,
}

impl Usage {
    /// The figures of `plan` when `consumed_seconds` were used in `cycle`.
    #[must_use]
    pub fn of(plan: &Plan, rules: &PlanRules, cycle: Cycle, consumed_seconds: u64) -> Self {
        let plan_tier = plan.effective_tier(rules);
        let included_seconds = plan.included_seconds(rules);
        let overage_seconds = plan_tier.overage(included_seconds, consumed_seconds);
        Self {
            plan_tier,
            plan_status: plan.status,
            cycle_start: cycle.start,
            cycle_end: cycle.end,
            included_seconds,
            consumed_seconds,
            remaining_seconds: included_seconds.saturating_sub(consumed_seconds),
            overage_seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Code;

    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn plan(tier: Tier, status: PlanStatus) -> Plan {
        Plan {
            user_id: UserId::generate(),
            role: Role::Streamer,
            tier,
            status,
            addon_relay_count: 0,
            is_operator_set: false,
            grace_deadline_at: None,
            extra_slot_count: 0,
            cycle_anchor_at: NOW,
        }
    }

    fn rules(is_billing_configured: bool) -> PlanRules {
        PlanRules {
            is_billing_configured,
            ..PlanRules::default()
        }
    }

    #[test]
    fn without_billing_everybody_is_internal_and_the_row_is_kept() {
        let plan = plan(Tier::Free, PlanStatus::Canceled);
        let entitlement = plan.entitlement(&rules(false), NOW);
        assert!(entitlement.is_enabled());
        assert_eq!(entitlement.plan_tier, Tier::Internal);
        assert_eq!(entitlement.max_concurrent_conns, 99);
        assert_eq!(plan.tier, Tier::Free);
    }

    #[test]
    fn owners_and_users_an_operator_set_are_internal_with_billing_too() {
        for (role, is_operator_set) in [(Role::Owner, false), (Role::Streamer, true)] {
            let plan = Plan {
                role,
                is_operator_set,
                ..plan(Tier::Free, PlanStatus::Canceled)
            };
            assert_eq!(plan.effective_tier(&rules(true)), Tier::Internal);
        }
    }

    #[test]
    fn a_plan_entitles_while_it_is_paid_for_or_in_its_grace() {
        let reason = |tier, status, grace_deadline_at| {
            let plan = Plan {
                grace_deadline_at,
                ..plan(tier, status)
            };
            plan.entitlement(&rules(true), NOW).reason_code
        };
        let later = Some(UnixMillis(NOW.0 + 1));
        let standard = |status, deadline| reason(Tier::Standard, status, deadline);
        assert_eq!(standard(PlanStatus::Active, None), Reason::Ok);
        assert_eq!(standard(PlanStatus::Trial, None), Reason::Ok);
        assert_eq!(standard(PlanStatus::PastDue, later), Reason::Ok);
        let inactive = Reason::SubscriptionInactive;
        assert_eq!(standard(PlanStatus::PastDue, Some(NOW)), inactive);
        assert_eq!(standard(PlanStatus::PastDue, None), inactive);
        assert_eq!(standard(PlanStatus::Canceled, later), inactive);
        let free = reason(Tier::Free, PlanStatus::Active, None);
        assert_eq!(free, Reason::SubscriptionRequired);
    }

    #[test]
    fn add_ons_add_connections_and_slots_to_standard_only() {
        assert_eq!(Tier::Standard.max_connections(0), 1);
        assert_eq!(Tier::Standard.max_connections(2), 3);
        assert_eq!(Tier::Standard.slots(2), 4);
        assert_eq!(Tier::Free.max_connections(2), 0);
        assert_eq!(Tier::Free.slots(2), 1);
    }

    #[test]
    fn slots_that_an_operator_gave_count_for_internal_only() {
        let plan = Plan {
            extra_slot_count: 3,
            ..plan(Tier::Standard, PlanStatus::Active)
        };
        let slots = |is_billing| plan.entitlement(&rules(is_billing), NOW).max_slots;
        assert_eq!((slots(false), slots(true)), (7, 2));
    }

    #[test]
    fn names_of_old_are_standard() {
        assert_eq!("starter".parse::<Tier>().unwrap(), Tier::Standard);
        assert_eq!("pro".parse::<Tier>().unwrap(), Tier::Standard);
        assert!("gold".parse::<Tier>().is_err());
    }

    #[test]
    fn usage_counts_against_what_the_tier_includes() {
        let cycle = Cycle::containing(NOW, NOW);
        let usage = |tier, consumed| {
            Usage::of(
                &plan(tier, PlanStatus::Active),
                &rules(true),
                cycle,
                consumed,
            )
        };
        let standard = usage(Tier::Standard, 54_010);
        assert_eq!(standard.included_seconds, 54_000);
        assert_eq!(
            (standard.remaining_seconds, standard.overage_seconds),
            (0, 10)
        );
        assert_eq!(usage(Tier::Standard, 53_000).remaining_seconds, 1_000);
        let internal = usage(Tier::Internal, 99_999);
        assert_eq!(
            (internal.included_seconds, internal.overage_seconds),
            (0, 0)
        );
    }

    #[test]
    fn the_limit_is_told_apart_from_a_plan_without_a_relay() {
        let entitlement = plan(Tier::Standard, PlanStatus::Active).entitlement(&rules(true), NOW);
        assert!(entitlement.require_connection(0).is_ok());
        let limit = entitlement.require_connection(1).unwrap_err();
        assert_eq!(limit.code(), Code::ConnectionLimitReached);
        let free = plan(Tier::Free, PlanStatus::Active).entitlement(&rules(true), NOW);
        let denied = free.require_connection(0).unwrap_err();
        assert_eq!(denied.code(), Code::EntitlementDenied);
    }

    #[test]
    fn the_wire_names_an_entitlement_as_the_plugin_reads_it() {
        let entitlement = plan(Tier::Free, PlanStatus::Active).entitlement(&rules(false), NOW);
        let wire = serde_json::json!({
            "relay_access_status": "enabled", "reason_code": "ok", "plan_tier": "internal",
            "plan_status": "active", "max_concurrent_conns": 99
        });
        assert_eq!(serde_json::to_value(entitlement).unwrap(), wire);
    }
}
