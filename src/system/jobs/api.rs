//! `/api/v1/jobs`: the jobs, for operators' programs.

use axum::Json as JsonBody;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::JobControl;
use crate::accounts::extract::PluginActor;
use crate::http::{ApiError, Json, Path};
use crate::jobs::JobState;
use crate::kernel::UnixMillis;

/// All jobs.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobsView {
    /// By name.
    jobs: Vec<JobView>,
}

/// One job.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobView {
    #[schema(example = "lease_expiry")]
    name: String,
    /// Whether it runs by itself.
    is_enabled: bool,
    /// Why it cannot be switched off; `null` for one that can.
    kept_on_because: Option<&'static str>,
    /// Seconds from the end of a run to the next.
    period_seconds: u64,
    /// Seconds after which a run is ended.
    time_limit_seconds: u64,
    /// Since when it runs; `null` while it rests.
    running_since: Option<UnixMillis>,
    /// `null` for one that is switched off.
    next_run_at: Option<UnixMillis>,
    /// `null` for one that never ran.
    last_started_at: Option<UnixMillis>,
    /// How long its last run took, in milliseconds.
    last_duration_ms: Option<i64>,
    /// What the last run did; `null` when it failed or never ran.
    last_result: Option<String>,
    /// Why the last run failed; `null` when it went well or never ran.
    last_error: Option<String>,
    /// Runs so far.
    runs: i64,
    /// Failed ones among them.
    failures: i64,
}

impl From<JobState> for JobView {
    fn from(state: JobState) -> Self {
        let row = state.row;
        Self {
            name: row.name,
            is_enabled: row.is_enabled,
            kept_on_because: state.kept_on,
            period_seconds: state.period.as_secs(),
            time_limit_seconds: state.time_limit.as_secs(),
            running_since: state.running_since,
            next_run_at: row.is_enabled.then_some(row.next_run_at),
            last_started_at: row.last_started_at,
            last_duration_ms: row.last_duration_ms,
            last_result: row.last_result,
            last_error: row.last_error,
            runs: row.runs,
            failures: row.failures,
        }
    }
}

/// What the appliance does by itself, for operators.
///
/// # Errors
/// 403 for whoever is no operator.
#[utoipa::path(
    get, path = "/api/v1/jobs", tag = "Server", security(("plugin" = [])),
    responses((status = 200, description = "Every job.", body = JobsView)),
    extensions(("x-errors" = json!(["forbidden"]))),
)]
pub async fn list_jobs(
    State(control): State<JobControl>,
    PluginActor(actor): PluginActor,
) -> Result<JsonBody<JobsView>, ApiError> {
    let jobs = control.list(&actor)?.into_iter().map(Into::into).collect();
    Ok(JsonBody(JobsView { jobs }))
}

/// Runs a job now and answers its state, at its end or after two seconds.
///
/// # Errors
/// 403 for whoever is no operator, 404 for an unknown name.
#[utoipa::path(
    post, path = "/api/v1/jobs/{name}/run", tag = "Server", security(("plugin" = [])),
    params(("name" = String, Path, description = "Its name.", example = "store_optimize")),
    responses((status = 200, description = "Its state; a failed run shows in `last_error`.", body = JobView)),
    extensions(("x-errors" = json!(["forbidden", "not_found"]))),
)]
pub async fn run_job(
    State(control): State<JobControl>,
    PluginActor(actor): PluginActor,
    Path(name): Path<String>,
) -> Result<JsonBody<JobView>, ApiError> {
    Ok(JsonBody(control.run_now(&actor, &name).await?.into()))
}

/// Whether a job shall run by itself.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SwitchRequest {
    /// Whether it shall.
    is_enabled: bool,
}

/// Switches a job on or off, also for later runs of the server.
///
/// # Errors
/// 403 for whoever is no operator, 404 for an unknown name, 409 for one that stays on.
#[utoipa::path(
    put, path = "/api/v1/jobs/{name}", tag = "Server", security(("plugin" = [])),
    params(("name" = String, Path, description = "Its name.", example = "store_optimize")),
    request_body = SwitchRequest,
    responses((status = 200, description = "Its state.", body = JobView)),
    extensions(("x-errors" = json!(["forbidden", "not_found", "conflict"]))),
)]
pub async fn switch_job(
    State(control): State<JobControl>,
    PluginActor(actor): PluginActor,
    Path(name): Path<String>,
    Json(request): Json<SwitchRequest>,
) -> Result<JsonBody<JobView>, ApiError> {
    let state = control.switch(&actor, &name, request.is_enabled).await?;
    Ok(JsonBody(state.into()))
}
