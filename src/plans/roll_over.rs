//! What becomes of a billing cycle that is over: its terms are written down.
//!
//! The present cycle is computed from the clock and needs no job. What a plan included at the end of a cycle is
//! history, though, and a later change of the plan must not rewrite it.
//!
//! Invariant: running it twice, late, or after the clock was set changes no figure of what was used.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::PlansService;
use super::cycle::Cycle;
use super::model::{Plan, PlanStatus, Tier};
use super::store::{self, Consumed, PlanSync};
use crate::db::Tx;
use crate::kernel::ids::UserId;
use crate::kernel::{Error, Result, UnixMillis};

/// Users in one write, so that the writer is not held.
const BATCH: u32 = 200;
/// No cycle ends later than this after any moment in it.
const LONGEST_CYCLE: Duration = Duration::from_hours(32 * 24);

/// A cycle that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Statement {
    /// The tier that counted at its end.
    pub plan_tier: Tier,
    /// Whether it was paid for at its end.
    pub plan_status: PlanStatus,
    /// Its begin.
    pub cycle_start: UnixMillis,
    /// Its end.
    pub cycle_end: UnixMillis,
    /// Seconds that it included.
    pub included_seconds: u64,
    /// Seconds that count, corrections included.
    pub consumed_seconds: u64,
    /// What went beyond.
    pub overage_seconds: u64,
}

impl Statement {
    fn of(row: &store::StatementRow, consumed: Consumed) -> Self {
        let consumed_seconds = consumed.total(0);
        Self {
            plan_tier: row.tier,
            plan_status: row.status,
            cycle_start: row.cycle.start,
            cycle_end: row.cycle.end,
            included_seconds: row.included_seconds,
            consumed_seconds,
            overage_seconds: row.tier.overage(row.included_seconds, consumed_seconds),
        }
    }
}

impl PlansService {
    /// Job, hourly: writes the terms of cycles that are over. Answers of how many users.
    ///
    /// # Errors
    /// The store's; the next run goes on.
    pub async fn roll_over(&self) -> Result<usize> {
        let mut rolled = 0;
        loop {
            let plans = self.clone();
            let job = move |tx: &Tx<'_>| plans.roll_over_some(tx);
            let count = self.store().write(job).await?;
            rolled += count;
            if count < BATCH as usize {
                return Ok(rolled);
            }
        }
    }

    fn roll_over_some(&self, tx: &Tx<'_>) -> Result<usize> {
        let (now, rules) = (self.now(), self.rules());
        let latest = now + LONGEST_CYCLE;
        let due = store::plans_with_statement_due(tx, now, latest, BATCH)?;
        for of in &due {
            let present = Cycle::containing(of.plan.cycle_anchor_at, now);
            for cycle in ended_cycles(of, present) {
                store::statement_put(tx, &of.plan, &rules, cycle)?;
            }
            store::statements_forget_from(tx, of.plan.user_id, present)?;
        }
        Ok(due.len())
    }

    /// The newest `limit` cycles of a user that are over, the newest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn statements(&self, user_id: UserId, limit: u32) -> Result<Vec<Statement>> {
        self.store()
            .read(move |connection| {
                let rows = store::statement_list(connection, user_id, limit)?;
                rows.iter()
                    .map(|row| {
                        let consumed = store::consumed_in(connection, user_id, row.cycle.start)?;
                        Ok::<_, Error>(Statement::of(row, consumed))
                    })
                    .collect()
            })
            .await
    }
}

/// The cycles from the one whose statement is due up to the `present` one. A plan that never had a statement
/// begins with the one that holds its anchor.
fn ended_cycles(of: &PlanSync, present: Cycle) -> impl Iterator<Item = Cycle> {
    let plan: Plan = of.plan;
    let first = if of.next_statement_at.0 == 0 {
        plan.cycle_anchor_at
    } else {
        UnixMillis(of.next_statement_at.0 - 1)
    };
    let first = Cycle::containing(plan.cycle_anchor_at, first);
    std::iter::successors(Some(first), move |cycle| {
        Some(Cycle::containing(plan.cycle_anchor_at, cycle.end))
    })
    .take_while(move |cycle| cycle.start < present.start)
}
