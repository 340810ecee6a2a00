//! The words of plans: tiers and payment states.
//!
//! Invariant: what a table may hold, old names included, has a word here.

use std::str::FromStr;

use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Tier {
    /// One slot, no managed connection.
    Free,
    /// One managed connection and two slots, and one of each per add-on.
    Standard,
    /// The operator's own people: 99 connections, four slots, never limited.
    Internal,
}

impl Tier {
    /// All of them, the smallest first.
    pub const ALL: [Self; 3] = [Self::Free, Self::Standard, Self::Internal];

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

    /// What of `consumed` seconds went beyond the `included` ones; nothing ever does without a limit.
    #[must_use]
    pub const fn overage(self, included: u64, consumed: u64) -> u64 {
        match self {
            Self::Internal => 0,
            Self::Free | Self::Standard => consumed.saturating_sub(included),
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
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
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Active, Self::Trial, Self::PastDue, Self::Canceled];

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
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| UnknownWord {
                kind: "plan status",
                word: text.to_owned(),
            })
    }
}

words!(PlanStatus, "plan status");
