//! What a plan entitles to.
//!
//! Invariant: the number of open connections never changes whether a relay may be used; it is compared only
//! when one more is asked for.

use serde::Serialize;
use utoipa::ToSchema;

use super::tier::{PlanStatus, Tier};
use crate::kernel::{Code, Error, Kind, UnixMillis};

/// Whether a user may use a relay at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
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
    /// The slot has a higher number than the plan has slots.
    SlotNotInPlan,
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
            Self::SlotNotInPlan => "slot_not_in_plan",
            Self::UserNotFound => "user_not_found",
        }
    }
}

/// What a user's plan entitles to. Field names are those of the wire; `max_slots` stays inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
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
    #[schema(example = 1)]
    pub max_concurrent_conns: u32,
    /// Slots that come with the plan.
    #[serde(skip)]
    pub max_slots: u32,
    /// Until when access goes on after a failed payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub grace_deadline: Option<UnixMillis>,
}

impl Entitlement {
    /// Whether a relay may be used.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.relay_access_status == Access::Enabled
    }

    /// Whether the slot with this number admits anybody.
    #[must_use]
    pub fn covers_slot(&self, slot_number: u32) -> bool {
        self.is_enabled() && slot_number <= self.max_slots
    }

    /// Refuses the slot with this number when the plan does not cover it.
    ///
    /// # Errors
    /// 403 `entitlement_denied` with the reason.
    pub fn require_slot(&self, slot_number: u32) -> Result<(), Error> {
        if slot_number <= self.max_slots {
            Ok(())
        } else {
            Err(denied(Reason::SlotNotInPlan))
        }
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
        Reason::SlotNotInPlan => (
            Code::EntitlementDenied,
            "your plan has fewer slots than this one's number: use a slot with a lower one, or extend the plan",
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
