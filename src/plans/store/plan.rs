//! The `plan` table.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::kernel::UnixMillis;
use crate::kernel::ids::UserId;
use crate::plans::model::{Plan, PlanStatus, Tier};

macro_rules! select {
    ($rest:expr) => {
        concat!(
            "SELECT plan.user_id, role, tier, status, addon_relay_count, is_operator_set,
                    grace_deadline_at_ms, extra_slot_count, cycle_anchor_at_ms, next_statement_at_ms
             FROM plan JOIN user ON user.id = plan.user_id ",
            $rest
        )
    };
}

/// Gives a new user a plan of `tier`, whose cycles are counted from `now`.
///
/// # Errors
/// When the user is missing or has a plan.
pub fn plan_insert(
    connection: &Connection,
    user_id: UserId,
    tier: Tier,
    now: UnixMillis,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO plan (user_id, tier, status, cycle_anchor_at_ms, created_at_ms, updated_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?4, ?4)",
        )?
        .execute((user_id, tier, PlanStatus::Active, now))?;
    Ok(())
}

/// Writes what may change of a plan.
///
/// # Errors
/// When the statement fails.
pub fn plan_update(connection: &Connection, plan: &Plan, now: UnixMillis) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE plan SET tier = ?2, status = ?3, addon_relay_count = ?4, is_operator_set = ?5,
                 grace_deadline_at_ms = ?6, extra_slot_count = ?7, updated_at_ms = ?8
             WHERE user_id = ?1",
        )?
        .execute((
            plan.user_id,
            plan.tier,
            plan.status,
            plan.addon_relay_count,
            plan.is_operator_set,
            plan.grace_deadline_at,
            plan.extra_slot_count,
            now,
        ))?;
    Ok(())
}

/// The plan of a user; `None` when there is no such user.
///
/// # Errors
/// When the statement fails.
pub fn plan_get(connection: &Connection, user_id: UserId) -> rusqlite::Result<Option<Plan>> {
    connection
        .prepare_cached(select!("WHERE plan.user_id = ?1"))?
        .query_row([user_id], plan_from_row)
        .optional()
}

/// The next `limit` plans by user, after the one of `after`: for what goes through all of them in steps.
///
/// # Errors
/// When the statement fails.
pub fn plan_list_after(
    connection: &Connection,
    after: Option<UserId>,
    limit: u32,
) -> rusqlite::Result<Vec<Plan>> {
    connection
        .prepare_cached(select!(
            "WHERE plan.user_id > ?1 ORDER BY plan.user_id LIMIT ?2"
        ))?
        .query_map(
            (after.map(|id| id.to_string()).unwrap_or_default(), limit),
            plan_from_row,
        )?
        .collect()
}

/// A plan and when its next statement is due.
#[derive(Debug, Clone, Copy)]
pub struct PlanSync {
    /// The plan.
    pub plan: Plan,
    /// When the cycle ends whose statement comes next; 0 before the first.
    pub next_statement_at: UnixMillis,
}

/// At most `limit` plans that have a statement due at `now`, and those of which it is due later than any cycle
/// can end: the clock was ahead when it was written.
///
/// # Errors
/// When the statement fails.
pub fn plans_with_statement_due(
    connection: &Connection,
    now: UnixMillis,
    latest: UnixMillis,
    limit: u32,
) -> rusqlite::Result<Vec<PlanSync>> {
    connection
        .prepare_cached(select!(
            "WHERE plan.rowid IN (
                 SELECT rowid FROM plan INDEXED BY plan_next_statement
                 WHERE next_statement_at_ms <= ?1
                 UNION ALL
                 SELECT rowid FROM plan INDEXED BY plan_next_statement
                 WHERE next_statement_at_ms > ?2
                 LIMIT ?3)"
        ))?
        .query_map((now, latest, limit), |row| {
            Ok(PlanSync {
                plan: plan_from_row(row)?,
                next_statement_at: row.get("next_statement_at_ms")?,
            })
        })?
        .collect()
}

fn plan_from_row(row: &Row<'_>) -> rusqlite::Result<Plan> {
    Ok(Plan {
        user_id: row.get("user_id")?,
        role: row.get("role")?,
        tier: row.get("tier")?,
        status: row.get("status")?,
        addon_relay_count: row.get("addon_relay_count")?,
        is_operator_set: row.get("is_operator_set")?,
        grace_deadline_at: row.get("grace_deadline_at_ms")?,
        extra_slot_count: row.get("extra_slot_count")?,
        cycle_anchor_at: row.get("cycle_anchor_at_ms")?,
    })
}
