//! The `usage_statement` table: what a plan was when a cycle ended.

use rusqlite::Connection;

use crate::kernel::ids::UserId;
use crate::plans::cycle::Cycle;
use crate::plans::model::{Plan, PlanRules, PlanStatus, Tier};

/// The terms of a cycle that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatementRow {
    /// Which.
    pub cycle: Cycle,
    /// The tier that counted at its end.
    pub tier: Tier,
    /// Whether it was paid for at its end.
    pub status: PlanStatus,
    /// Seconds that it included.
    pub included_seconds: u64,
}

/// Writes the terms of `cycle`, unless they stand already, and when the next statement is due.
///
/// # Errors
/// When a statement fails.
pub fn statement_put(
    connection: &Connection,
    plan: &Plan,
    rules: &PlanRules,
    cycle: Cycle,
) -> rusqlite::Result<()> {
    let included = i64::try_from(plan.included_seconds(rules)).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "INSERT INTO usage_statement (user_id, cycle_start_at_ms, cycle_end_at_ms, tier, status,
                 included_seconds)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (user_id, cycle_start_at_ms) DO NOTHING",
        )?
        .execute((
            plan.user_id,
            cycle.start,
            cycle.end,
            plan.effective_tier(rules),
            plan.status,
            included,
        ))?;
    Ok(())
}

/// Forgets terms of cycles from `cycle` on, which is not over, and notes that its statement is the next.
///
/// # Errors
/// When a statement fails.
pub fn statements_forget_from(
    connection: &Connection,
    user_id: UserId,
    cycle: Cycle,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM usage_statement WHERE user_id = ?1 AND cycle_start_at_ms >= ?2",
        )?
        .execute((user_id, cycle.start))?;
    connection
        .prepare_cached("UPDATE plan SET next_statement_at_ms = ?2 WHERE user_id = ?1")?
        .execute((user_id, cycle.end))?;
    Ok(())
}

/// The newest `limit` cycles of a user that are over, the newest first.
///
/// # Errors
/// When the statement fails.
pub fn statement_list(
    connection: &Connection,
    user_id: UserId,
    limit: u32,
) -> rusqlite::Result<Vec<StatementRow>> {
    connection
        .prepare_cached(
            "SELECT cycle_start_at_ms, cycle_end_at_ms, tier, status, included_seconds
             FROM usage_statement WHERE user_id = ?1 ORDER BY cycle_start_at_ms DESC LIMIT ?2",
        )?
        .query_map((user_id, limit), |row| {
            Ok(StatementRow {
                cycle: Cycle {
                    start: row.get(0)?,
                    end: row.get(1)?,
                },
                tier: row.get(2)?,
                status: row.get(3)?,
                included_seconds: u64::try_from(row.get::<_, i64>(4)?).unwrap_or(0),
            })
        })?
        .collect()
}
