//! The `usage_record` table: seconds per user, cycle and session.

use rusqlite::Connection;

use super::plan::plan_get;
use crate::kernel::UnixMillis;
use crate::kernel::ids::{RelaySessionId, UserId};
use crate::plans::cycle::{Cycle, split};
use crate::plans::model::{Plan, PlanRules, Usage};

/// What stands against a cycle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Consumed {
    /// Seconds in which ingest bytes flowed.
    pub measured_seconds: u64,
    /// What corrections add, or take away below zero.
    pub adjustment_seconds: i64,
}

impl Consumed {
    /// What counts, with `more` measured seconds that are not written yet. Never below zero.
    #[must_use]
    pub fn total(self, more: u64) -> u64 {
        self.measured_seconds
            .saturating_add(more)
            .saturating_add_signed(self.adjustment_seconds)
    }
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
    for (cycle, part) in split(plan.cycle_anchor_at, ended_at, seconds) {
        usage_add(connection, plan.user_id, cycle.start, session_id, part)?;
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

/// What is written for the cycle that begins at `cycle_start`.
///
/// # Errors
/// When a statement fails.
pub fn consumed_in(
    connection: &Connection,
    user_id: UserId,
    cycle_start: UnixMillis,
) -> rusqlite::Result<Consumed> {
    let sum = |sql: &str| {
        connection
            .prepare_cached(sql)?
            .query_row((user_id, cycle_start), |row| row.get::<_, i64>(0))
    };
    let measured = sum("SELECT COALESCE(SUM(seconds), 0) FROM usage_record
         WHERE user_id = ?1 AND cycle_start_at_ms = ?2")?;
    let adjustment_seconds = sum(
        "SELECT COALESCE(SUM(adjustment_seconds), 0) FROM billing_adjustment
             INDEXED BY billing_adjustment_cycle
         WHERE user_id = ?1 AND cycle_start_at_ms = ?2",
    )?;
    Ok(Consumed {
        measured_seconds: u64::try_from(measured).unwrap_or(0),
        adjustment_seconds,
    })
}

/// The usage of the cycle that holds `now`, as far as it is written; `None` when there is no such user.
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
    let consumed = consumed_in(connection, user_id, cycle.start)?;
    Ok(Some(Usage::of(&plan, rules, cycle, consumed.total(0))))
}

/// What a session used of a cycle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionUsage {
    /// The session; `None` for ingest without one.
    pub session_id: Option<RelaySessionId>,
    /// The begin of the cycle.
    pub cycle_start: UnixMillis,
    /// Seconds in which ingest bytes flowed.
    pub measured_seconds: u64,
    /// When the session began; unknown when it is gone.
    pub started_at: Option<UnixMillis>,
    /// Where it was; empty when it is gone.
    pub region: String,
}

/// A user's records, the newest cycle and session first, `limit` of them from before (`cycle_start`, `session`) on.
///
/// # Errors
/// When the statement fails.
pub fn session_usage_list(
    connection: &Connection,
    user_id: UserId,
    before: (UnixMillis, Option<RelaySessionId>),
    limit: u32,
) -> rusqlite::Result<Vec<SessionUsage>> {
    let (cycle_start, session) = before;
    let session = session.map(|id| id.to_string()).unwrap_or_default();
    connection
        .prepare_cached(
            "SELECT session_id, cycle_start_at_ms, seconds, relay_session.started_at_ms,
                    COALESCE(relay_session.region, '')
             FROM usage_record LEFT JOIN relay_session ON relay_session.id = session_id
             WHERE usage_record.user_id = ?1 AND (cycle_start_at_ms, session_id) < (?2, ?3)
             ORDER BY cycle_start_at_ms DESC, session_id DESC LIMIT ?4",
        )?
        .query_map((user_id, cycle_start, session, limit), |row| {
            let session_id: String = row.get(0)?;
            Ok(SessionUsage {
                session_id: session_id.parse().ok(),
                cycle_start: row.get(1)?,
                measured_seconds: u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0),
                started_at: row.get(3)?,
                region: row.get(4)?,
            })
        })?
        .collect()
}
