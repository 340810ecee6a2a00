//! The `job` table.

use rusqlite::{Connection, Row};

use crate::db::DbError;
use crate::kernel::UnixMillis;

/// What is known of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRow {
    /// Its name.
    pub name: String,
    /// Whether it runs by itself. "Run now" works either way.
    pub is_enabled: bool,
    /// When it runs next.
    pub next_run_at: UnixMillis,
    /// When its last run began.
    pub last_started_at: Option<UnixMillis>,
    /// How long that took.
    pub last_duration_ms: Option<i64>,
    /// What it did.
    pub last_result: Option<String>,
    /// Why it failed, when it did.
    pub last_error: Option<String>,
    /// Runs so far.
    pub runs: i64,
    /// Failed ones among them.
    pub failures: i64,
}

impl JobRow {
    /// Of a job that never ran.
    pub(super) fn of_new(name: &str, next_run_at: UnixMillis) -> Self {
        Self {
            name: name.to_owned(),
            is_enabled: true,
            next_run_at,
            last_started_at: None,
            last_duration_ms: None,
            last_result: None,
            last_error: None,
            runs: 0,
            failures: 0,
        }
    }

    /// Takes note of a run, as [`job_record`] does.
    pub(super) fn note(&mut self, run: &RunRecord) {
        self.next_run_at = run.next_run_at;
        self.last_started_at = Some(run.started_at);
        self.last_duration_ms = Some(run.duration_ms);
        self.last_result = run.outcome.as_ref().ok().cloned();
        self.last_error = run.outcome.as_ref().err().cloned();
        self.runs += run.runs;
        self.failures += if run.outcome.is_err() { run.runs } else { 0 };
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            name: row.get("name")?,
            is_enabled: row.get("is_enabled")?,
            next_run_at: row.get("next_run_at_ms")?,
            last_started_at: row.get("last_started_at_ms")?,
            last_duration_ms: row.get("last_duration_ms")?,
            last_result: row.get("last_result")?,
            last_error: row.get("last_error")?,
            runs: row.get("runs")?,
            failures: row.get("failures")?,
        })
    }
}

/// How a run ended.
#[derive(Debug, Clone)]
pub(super) struct RunRecord {
    pub(super) name: &'static str,
    pub(super) started_at: UnixMillis,
    pub(super) duration_ms: i64,
    pub(super) outcome: Result<String, String>,
    pub(super) next_run_at: UnixMillis,
    /// How many runs went this way since the row was written.
    pub(super) runs: i64,
}

/// All jobs by name.
pub(super) fn job_list(conn: &Connection) -> Result<Vec<JobRow>, DbError> {
    let sql = "SELECT name, is_enabled, next_run_at_ms, last_started_at_ms, last_duration_ms,
                      last_result, last_error, runs, failures
               FROM job ORDER BY name";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([], JobRow::from_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Makes a row for a job that has none.
pub(super) fn job_insert(
    conn: &Connection,
    name: &str,
    next_run_at: UnixMillis,
) -> Result<(), DbError> {
    let sql = "INSERT INTO job (name, next_run_at_ms) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    conn.prepare_cached(sql)?.execute((name, next_run_at))?;
    Ok(())
}

/// Switches a job on or off.
pub(super) fn job_enable(conn: &Connection, name: &str, is_enabled: bool) -> Result<(), DbError> {
    let sql = "UPDATE job SET is_enabled = ?2 WHERE name = ?1";
    conn.prepare_cached(sql)?.execute((name, is_enabled))?;
    Ok(())
}

/// Stores how a run ended.
pub(super) fn job_record(conn: &Connection, run: &RunRecord) -> Result<(), DbError> {
    let sql = "UPDATE job SET last_started_at_ms = ?2, last_duration_ms = ?3, last_result = ?4,
                      last_error = ?5, next_run_at_ms = ?6, runs = runs + ?7,
                      failures = failures + (?5 IS NOT NULL) * ?7
               WHERE name = ?1";
    conn.prepare_cached(sql)?.execute((
        run.name,
        run.started_at,
        run.duration_ms,
        run.outcome.as_ref().ok(),
        run.outcome.as_ref().err(),
        run.next_run_at,
        run.runs,
    ))?;
    Ok(())
}
