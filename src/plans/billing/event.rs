//! A stored event and what became of it.

use std::str::FromStr;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::kernel::UnixMillis;
use crate::kernel::ids::{EventId, UserId};

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum EventState {
    /// It is stored and not acted on yet.
    Waiting,
    /// Acted on.
    Done,
    /// Of a kind that changes no plan.
    Ignored,
    /// Understood, but something must be set right: see its result.
    Flagged,
    /// Not understood, or given up after many attempts: see its error.
    Failed,
}

impl EventState {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Waiting,
        Self::Done,
        Self::Ignored,
        Self::Flagged,
        Self::Failed,
    ];

    /// The word in the table and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Done => "done",
            Self::Ignored => "ignored",
            Self::Flagged => "flagged",
            Self::Failed => "failed",
        }
    }
}

/// A text that names no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown state of a billing event")]
pub struct UnknownState;

impl FromStr for EventState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(UnknownState)
    }
}

impl FromSql for EventState {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map_err(FromSqlError::other)
    }
}

impl Serialize for EventState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// An event as operators see it. It holds no body: a body holds a customer's data.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BillingEvent {
    /// Its identity with us.
    pub id: EventId,
    /// Who sent it.
    pub provider: String,
    /// Its identity with the provider, or the SHA-256 of its body.
    pub identity: String,
    /// The provider's word for it; `reconciled` for what asking the provider found; empty until it was read.
    pub kind: String,
    /// What became of it.
    pub state: EventState,
    /// When it came in.
    pub received_at: UnixMillis,
    /// When it was acted on.
    pub acted_at: Option<UnixMillis>,
    /// What acting on it came to, in words.
    pub result: String,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// Attempts so far.
    pub attempts: u32,
    /// The provider's subscription.
    pub subscription: Option<String>,
    /// Whose plan it is about.
    pub user_id: Option<UserId>,
}
