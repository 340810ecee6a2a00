//! `/api/v1/relay/supervisor`: the containers, for operators' programs.

use axum::Json as JsonBody;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Supervision, SupervisorStatus};
use crate::accounts::extract::PluginActor;
use crate::http::{ApiError, Json};

/// The engine and its containers.
#[derive(Debug, Serialize, ToSchema)]
pub struct SupervisorView {
    /// The engine's name.
    #[schema(example = "embedded")]
    engine: &'static str,
    /// Why it was chosen.
    why: String,
    /// `null` for an engine without containers.
    supervisor: Option<SupervisorStatus>,
    /// Names of containers that nobody looks after since the relay runs elsewhere.
    left_containers: Vec<String>,
}

/// The relay engine and its containers, for operators.
///
/// # Errors
/// 403 for whoever is no operator.
#[utoipa::path(
    get, path = "/api/v1/relay/supervisor", tag = "Server", security(("plugin" = [])),
    responses((status = 200, description = "What is known.", body = SupervisorView)),
    extensions(("x-errors" = json!(["forbidden"]))),
)]
pub async fn get_supervisor(
    State(supervision): State<Supervision>,
    PluginActor(actor): PluginActor,
) -> Result<JsonBody<SupervisorView>, ApiError> {
    let overview = supervision.overview(&actor)?;
    let left_containers = supervision.left_containers(&actor).await?;
    Ok(JsonBody(SupervisorView {
        engine: overview.engine,
        why: overview.why,
        supervisor: overview.containers,
        left_containers,
    }))
}

/// Which container, and whether whoever is live is cut off.
#[derive(Debug, Deserialize, ToSchema)]
pub struct RestartRequest {
    /// `sls`, `srtla` or `receiver`.
    #[schema(example = "sls")]
    part: String,
    /// Also when somebody is live.
    #[serde(default)]
    insists: bool,
}

/// Restarts a container, a moment after the answer.
///
/// # Errors
/// 400 for an unknown part, 403 for whoever is no operator, 404 without such a container, 409 when somebody
/// is live.
#[utoipa::path(
    post, path = "/api/v1/relay/supervisor/restart", tag = "Server", security(("plugin" = [])),
    responses((status = 202, description = "It is done a moment later.")),
    extensions(("x-errors" = json!(["forbidden", "not_found", "conflict"]))),
)]
pub async fn restart_container(
    State(supervision): State<Supervision>,
    PluginActor(actor): PluginActor,
    Json(request): Json<RestartRequest>,
) -> Result<StatusCode, ApiError> {
    supervision
        .restart(&actor, &request.part, request.insists)
        .await?;
    Ok(StatusCode::ACCEPTED)
}
