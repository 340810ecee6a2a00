//! Plan rows and usage records. Functions take a connection, so that they compose in one transaction.
//!
//! Invariant: usage only ever grows.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row};

use super::cycle::Cycle;
use super::model::{Plan, PlanRules, PlanStatus, Tier, Usage};
use crate::kernel::UnixMillis;
use crate::kernel::ids::{RelaySessionId, UserId};

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

/// The plan of a user; `None` when there is no such user.
///
/// # Errors
/// When the statement fails.
pub fn plan_get(connection: &Connection, user_id: UserId) -> rusqlite::Result<Option<Plan>> {
    connection
        .prepare_cached(
            "SELECT plan.user_id, role, tier, status, addon_relay_count, is_operator_set,
                    grace_deadline_at_ms, cycle_anchor_at_ms
             FROM plan JOIN user ON user.id = plan.user_id WHERE plan.user_id = ?1",
        )?
        .query_row([user_id], plan_from_row)
        .optional()
}

/// Every plan, for registering all that are entitled.
///
/// # Errors
/// When the statement fails.
pub fn plan_list(connection: &Connection) -> rusqlite::Result<Vec<Plan>> {
    connection
        .prepare_cached(
            "SELECT plan.user_id, role, tier, status, addon_relay_count, is_operator_set,
                    grace_deadline_at_ms, cycle_anchor_at_ms
             FROM plan JOIN user ON user.id = plan.user_id",
        )?
        .query_map([], plan_from_row)?
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
        cycle_anchor_at: row.get("cycle_anchor_at_ms")?,
    })
}

/// Adds the `seconds` that ended at `ended_at`, split where a billing cycle ends. A second that lies across
/// the boundary belongs to the earlier cycle.
///
/// # Errors
/// When a statement fails.
pub fn usage_add_seconds(
    connection: &Connection,
    plan: &Plan,
    session_id: Option<RelaySessionId>,
    ended_at: UnixMillis,
    seconds: u64,
) -> rusqlite::Result<()> {
    let mut from = ended_at - Duration::from_secs(seconds);
    let mut left = seconds;
    while left > 0 {
        let cycle = Cycle::containing(plan.cycle_anchor_at, from);
        let until_boundary = u64::try_from(cycle.end.since(from).as_millis()).unwrap_or(u64::MAX);
        let part = left.min(until_boundary.div_ceil(1000)).max(1);
        usage_add(connection, plan.user_id, cycle.start, session_id, part)?;
        from = from + Duration::from_secs(part);
        left -= part;
    }
    Ok(())
}

fn usage_add(
    connection: &Connection,
    user_id: UserId,
    cycle_start: UnixMillis,
    session_id: Option<RelaySessionId>,
    seconds: u64,
) -> rusqlite::Result<()> {
    let session = session_id.map(|id| id.to_string()).unwrap_or_default();
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "INSERT INTO usage_record (user_id, cycle_start_at_ms, session_id, seconds)
             VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (user_id, cycle_start_at_ms, session_id)
             DO UPDATE SET seconds = seconds + excluded.seconds",
        )?
        .execute((user_id, cycle_start, session, seconds))?;
    Ok(())
}

/// The usage of the cycle that holds `now`; `None` when there is no such user.
///
/// # Errors
/// When a statement fails.
pub fn usage_get(
    connection: &Connection,
    user_id: UserId,
    rules: &PlanRules,
    now: UnixMillis,
) -> rusqlite::Result<Option<Usage>> {
    let Some(plan) = plan_get(connection, user_id)? else {
        return Ok(None);
    };
    let cycle = Cycle::containing(plan.cycle_anchor_at, now);
    let consumed: i64 = connection
        .prepare_cached(
            "SELECT COALESCE(SUM(seconds), 0) FROM usage_record
             WHERE user_id = ?1 AND cycle_start_at_ms = ?2",
        )?
        .query_row((user_id, cycle.start), |row| row.get(0))?;
    let consumed = u64::try_from(consumed).unwrap_or(0);
    Ok(Some(Usage::of(&plan, rules, cycle, consumed)))
}
