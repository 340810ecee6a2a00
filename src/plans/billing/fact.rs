//! What providers tell, in our own words.
//!
//! Invariant: a fact holds what the provider said and nothing of what we knew then, so facts may be read in
//! any order and any number of times.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// The state of a subscription at its provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionStatus {
    /// Begun, never paid for. (Stripe: `incomplete`.)
    Pending,
    /// Free for a while.
    Trial,
    /// Paid for.
    Active,
    /// A payment failed. (`past_due`, `unpaid`.)
    PastDue,
    /// It will not renew; what was paid for runs to its end.
    Canceling,
    /// On hold: neither paid for nor served.
    Paused,
    /// Over.
    Ended,
}

impl SubscriptionStatus {
    /// The word in tables and on pages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Trial => "trial",
            Self::Active => "active",
            Self::PastDue => "past_due",
            Self::Canceling => "canceling",
            Self::Paused => "paused",
            Self::Ended => "ended",
        }
    }
}

/// One line of a subscription.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Item {
    /// The variant or price.
    pub price: String,
    /// How many of it.
    pub quantity: u32,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Change {
    /// A user was named for a customer or a subscription, and nothing else.
    Linked,
    /// A subscription as it stood.
    Snapshot {
        /// Its state.
        status: SubscriptionStatus,
        /// What it is for; empty when the event does not say.
        items: Vec<Item>,
        /// When it renews, in ms since 1970.
        renews_at_ms: Option<i64>,
        /// When it ends, in ms since 1970; set once it was cancelled.
        ends_at_ms: Option<i64>,
    },
    /// A payment failed.
    PaymentFailed,
    /// A payment came in.
    PaymentSucceeded,
    /// A whole payment was given back.
    Refunded,
}

/// Something that a provider said.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fact {
    /// When it became so, by the provider's clock, in ms since 1970.
    pub at_ms: i64,
    /// What happened.
    pub change: Change,
    /// The subscription it is about.
    pub subscription: Option<String>,
    /// Who pays.
    pub customer: Option<String>,
    /// Orders, invoices and payments it is about, such as `order:17`: they tie a refund to a subscription.
    #[serde(default)]
    pub references: BTreeSet<String>,
    /// The user whom our checkout named.
    pub user: Option<String>,
    /// The customer's e-mail address.
    #[serde(default)]
    pub email: Option<String>,
}

/// What is done about a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A subscription began, or was taken up again.
    Activate,
    /// The number of add-ons changed.
    UpdateAddon,
    /// A payment came in after one had failed.
    PaymentRecovery,
    /// The grace begins.
    PaymentFailed,
    /// It will not renew.
    Cancelled,
    /// It is over.
    Downgrade,
    /// The money went back.
    Refund,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Activate,
        Self::UpdateAddon,
        Self::PaymentRecovery,
        Self::PaymentFailed,
        Self::Cancelled,
        Self::Downgrade,
        Self::Refund,
    ];

    /// The word in the log of events, the audit and figures.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Activate => "activate",
            Self::UpdateAddon => "update_addon",
            Self::PaymentRecovery => "payment_recovery",
            Self::PaymentFailed => "payment_failed",
            Self::Cancelled => "cancelled",
            Self::Downgrade => "downgrade",
            Self::Refund => "refund",
        }
    }
}
