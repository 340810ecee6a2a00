//! Tiers, what they entitle to, and the figures of usage.
//!
//! Invariant: pure; the same row, rules and moment always give the same answer.

use std::str::FromStr;

use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use serde::{Serialize, Serializer};

use super::cycle::Cycle;
use crate::kernel::ids::UserId;
use crate::kernel::{Code, Error, Kind, Role, UnixMillis};

/// A word that a table column may not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {kind} {word:?}")]
pub struct UnknownWord {
    kind: &'static str,
    word: String,
}

macro_rules! words {
    ($name:ident, $kind:literal) => {
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::from(self.as_str()))
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                value.as_str()?.parse().map_err(FromSqlError::other)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

/// The tier of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// One slot, no managed connection.
    Free,
    /// One managed connection and two slots, and one of each per add-on.
    Standard,
    /// The operator's own people: 99 connections, four slots, never limited.
    Internal,
}

impl Tier {
    /// The word in tables and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Standard => "standard",
            Self::Internal => "internal",
        }
    }

    /// Managed connections open at the same time.
    #[must_use]
    pub const fn max_connections(self, addons: u32) -> u32 {
        match self {
            Self::Free => 0,
            Self::Standard => 1_u32.saturating_add(addons),
            Self::Internal => 99,
        }
    }

    /// Slots that come with it.
    #[must_use]
    pub const fn slots(self, addons: u32) -> u32 {
        match self {
            Self::Free => 1,
            Self::Standard => 2_u32.saturating_add(addons),
            Self::Internal => 4,
        }
    }
}

impl FromStr for Tier {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "free" => Ok(Self::Free),
            "standard" | "starter" | "pro" => Ok(Self::Standard),
            "internal" => Ok(Self::Internal),
            _ => Err(UnknownWord {
                kind: "tier",
                word: text.to_owned(),
            }),
        }
    }
}

words!(Tier, "tier");

/// Whether a plan is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanStatus {
    /// In force.
    Active,
    /// In force, not paid for yet.
    Trial,
    /// A payment failed.
    PastDue,
    /// Over.
    Canceled,
}

impl PlanStatus {
    /// The word in tables and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Trial => "trial",
            Self::PastDue => "past_due",
            Self::Canceled => "canceled",
        }
    }
}

impl FromStr for PlanStatus {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        [Self::Active, Self::Trial, Self::PastDue, Self::Canceled]
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| UnknownWord {
                kind: "plan status",
                word: text.to_owned(),
            })
    }
}

words!(PlanStatus, "plan status");

/// What configuration says about all plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanRules {
    /// Whether a billing provider is configured; without one every user counts as internal.
    pub is_billing_configured: bool,
    /// Ingest seconds per cycle that tier standard includes.
    pub standard_included_seconds: u64,
}

impl Default for PlanRules {
    fn default() -> Self {
        Self {
            is_billing_configured: false,
            // 15 hours.
            standard_included_seconds: 54_000,
        }
    }
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
            max_slots: tier.slots(self.addon_relay_count),
            grace_deadline: self.grace_deadline_at,
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

/// Whether a user may use a relay at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Yes.
    Enabled,
    /// The plan is over.
    Disabled,
    /// The plan never covered it.
    SubscriptionRequired,
}

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Nothing stands against it.
    Ok,
    /// Tier free.
    SubscriptionRequired,
    /// The plan is over, or a payment is long overdue.
    SubscriptionInactive,
    /// All connections of the plan are in use.
    ConnectionLimitReached,
    /// There is no such user.
    UserNotFound,
}

impl Reason {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::SubscriptionRequired => "subscription_required",
            Self::SubscriptionInactive => "subscription_inactive",
            Self::ConnectionLimitReached => "connection_limit_reached",
            Self::UserNotFound => "user_not_found",
        }
    }
}

/// What a user's plan entitles to. Field names are those of the wire; `max_slots` stays inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Entitlement {
    /// Whether a relay may be used; the number of open connections does not change it.
    pub relay_access_status: Access,
    /// Why.
    pub reason_code: Reason,
    /// The tier that counts.
    pub plan_tier: Tier,
    /// Whether it is paid for.
    pub plan_status: PlanStatus,
    /// Managed connections open at the same time.
    pub max_concurrent_conns: u32,
    /// Slots that come with the plan.
    #[serde(skip)]
    pub max_slots: u32,
    /// Until when access goes on after a failed payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_deadline: Option<UnixMillis>,
}

impl Entitlement {
    /// Whether a relay may be used.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.relay_access_status == Access::Enabled
    }

    /// Refuses one more connection beside `open` ones when the plan does not cover it.
    ///
    /// # Errors
    /// 403 `entitlement_denied` or `connection_limit_reached`, with the reason.
    pub fn require_connection(&self, open: u32) -> Result<(), Error> {
        if !self.is_enabled() {
            return Err(denied(self.reason_code));
        }
        if open >= self.max_concurrent_conns {
            return Err(denied(Reason::ConnectionLimitReached));
        }
        Ok(())
    }
}

/// The 403 for a plan that does not cover a connection.
#[must_use]
pub fn denied(reason: Reason) -> Error {
    let (code, message) = match reason {
        Reason::ConnectionLimitReached => (
            Code::ConnectionLimitReached,
            "all connections of your plan are in use: remove one, or extend the plan",
        ),
        Reason::UserNotFound => (Code::EntitlementDenied, "there is no such user"),
        Reason::SubscriptionInactive => (
            Code::EntitlementDenied,
            "your plan is not active: renew it to use a relay",
        ),
        Reason::Ok | Reason::SubscriptionRequired => (
            Code::EntitlementDenied,
            "your plan does not include a relay",
        ),
    };
    Error::new(Kind::Forbidden, code, message).reason(reason.as_str())
}

/// Usage of the current cycle. Field names are those of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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
    /// Seconds in which ingest bytes flowed.
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
        let included_seconds = match plan_tier {
            Tier::Free | Tier::Internal => 0,
            Tier::Standard => rules.standard_included_seconds,
        };
        let overage_seconds = match plan_tier {
            Tier::Internal => 0,
            Tier::Free | Tier::Standard => consumed_seconds.saturating_sub(included_seconds),
        };
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
