//! Corrections of usage: seconds added or taken away, with a reason that stays.
//!
//! Invariant: a correction is a row of its own and an audit event; what was measured is never rewritten.

use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use serde::Serialize;
use utoipa::ToSchema;

use super::PlansService;
use super::cycle::Cycle;
use super::store;
use crate::audit::{self, AuditEvent};
use crate::db::Tx;
use crate::kernel::ids::{AdjustmentId, RelaySessionId, UserId};
use crate::kernel::{Actor, Error, FieldError, Result, UnixMillis};

/// Seconds of one correction at most, either way: a month and a bit.
pub const ADJUSTMENT_SECONDS_MAX: i64 = 32 * 24 * 3600;
/// Characters of a note at most.
pub const NOTE_LENGTH_MAX: usize = 500;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $($(#[$of:meta])* $word:ident = $text:literal,)*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$of])* $word,)* }

        impl $name {
            /// The word in tables and on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$word => $text,)* }
            }

            /// What this word stands for.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($text => Some(Self::$word),)* _ => None }
            }
        }

        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::from(self.as_str()))
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                Self::parse(value.as_str()?).ok_or(FromSqlError::InvalidType)
            }
        }
    };
}

words!(
    /// Why usage was corrected.
    AdjustmentReason, "adjustment reason",
    /// Seconds of a time in which nobody looked.
    OutageReconciliation = "outage_reconciliation",
    /// An operator found a mistake.
    ManualCorrection = "manual_correction",
    /// An operator gave in to a complaint.
    DisputeResolution = "dispute_resolution",
);
words!(
    /// Where a correction comes from.
    AdjustmentSource, "adjustment source",
    /// What heartbeats told.
    RelayHealth = "relay_health",
    /// An operator.
    AdminTool = "admin_tool",
    /// The appliance itself.
    AutomatedJob = "automated_job",
);

/// One correction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adjustment {
    /// Its identity.
    pub id: AdjustmentId,
    /// Whose usage.
    pub user_id: UserId,
    /// The session it is about; `None` for the cycle as a whole.
    pub session_id: Option<RelaySessionId>,
    /// The begin of the cycle it counts in.
    pub cycle_start: UnixMillis,
    /// Seconds to add, or below zero to take away.
    pub seconds: i64,
    /// Why.
    pub reason: AdjustmentReason,
    /// Where it comes from.
    pub source: AdjustmentSource,
    /// What a person may want to know besides.
    pub note: String,
    /// Who did it; `None` for the appliance itself.
    pub actor: Option<UserId>,
    /// When.
    pub created_at: UnixMillis,
}

/// A correction that an operator asks for. It counts in the present cycle.
#[derive(Debug, Clone)]
pub struct NewAdjustment {
    /// Seconds to add, or below zero to take away; not 0, a month at most.
    pub seconds: i64,
    /// Why: a correction or a dispute.
    pub reason: AdjustmentReason,
    /// In words; not empty, 500 characters at most.
    pub note: String,
    /// The session it is about.
    pub session_id: Option<RelaySessionId>,
}

impl NewAdjustment {
    fn check(&self) -> Result<()> {
        let mut wrong = Vec::new();
        if self.seconds == 0 || self.seconds.abs() > ADJUSTMENT_SECONDS_MAX {
            let message = "use whole seconds but 0, 2764800 at most either way";
            wrong.push(FieldError::new(
                "adjustment_seconds",
                "out_of_range",
                message,
            ));
        }
        if self.reason == AdjustmentReason::OutageReconciliation {
            let message =
                "use manual_correction or dispute_resolution; outages are made good by a job";
            wrong.push(FieldError::new("reason", "not_for_operators", message));
        }
        let length = self.note.trim().chars().count();
        if length == 0 || length > NOTE_LENGTH_MAX {
            let message = "say in 1 to 500 characters why, so that the user can read it";
            wrong.push(FieldError::new("note", "invalid_length", message));
        }
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(Error::invalid_fields(wrong))
        }
    }
}

impl PlansService {
    /// Corrects a user's usage of the present cycle for an operator.
    ///
    /// # Errors
    /// `Forbidden` for everybody else, and for an operator who means an owner; `NotFound`; `Invalid`.
    pub async fn adjust(
        &self,
        actor: &Actor,
        user_id: UserId,
        new: NewAdjustment,
    ) -> Result<Adjustment> {
        new.check()?;
        let (plans, actor) = (self.clone(), *actor);
        self.store()
            .write(move |tx| {
                Self::require_manager(tx, &actor, user_id)?;
                let now = plans.now();
                let adjustment = Adjustment {
                    id: AdjustmentId::generate(),
                    user_id,
                    session_id: new.session_id,
                    cycle_start: Self::cycle_in(tx, user_id, now)?.start,
                    seconds: new.seconds,
                    reason: new.reason,
                    source: AdjustmentSource::AdminTool,
                    note: new.note.trim().to_owned(),
                    actor: Some(actor.user_id),
                    created_at: now,
                };
                plans.adjust_in(tx, &adjustment)?;
                Ok(adjustment)
            })
            .await
    }

    /// Writes a correction and its audit event inside the caller's transaction.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn adjust_in(&self, tx: &Tx<'_>, adjustment: &Adjustment) -> Result<()> {
        store::adjustment_insert(tx, adjustment)?;
        let detail = format!(
            "{:+} s, {}, {}: {}",
            adjustment.seconds,
            adjustment.reason.as_str(),
            adjustment.source.as_str(),
            adjustment.note
        );
        let event = AuditEvent {
            actor: adjustment.actor,
            action: "usage.adjusted",
            subject: &adjustment.user_id.to_string(),
            detail: &detail,
        };
        audit::append(tx, &event, adjustment.created_at)?;
        self.forget_after(tx, adjustment.user_id);
        Ok(())
    }

    /// The newest `limit` corrections of a user.
    ///
    /// # Errors
    /// The store's.
    pub async fn adjustments(&self, user_id: UserId, limit: u32) -> Result<Vec<Adjustment>> {
        self.store()
            .read(move |connection| Ok(store::adjustment_list(connection, user_id, limit)?))
            .await
    }

    fn cycle_in(tx: &Tx<'_>, user_id: UserId, now: UnixMillis) -> Result<Cycle> {
        let plan = store::plan_get(tx, user_id)?.ok_or_else(|| Error::not_found("user"))?;
        Ok(Cycle::containing(plan.cycle_anchor_at, now))
    }
}
