//! `/api/v1/relay/supervisor`: the containers, for operators' programs.

use axum::Json as JsonBody;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::{Supervision, SupervisorStatus};
use crate::accounts::extract::PluginActor;
use crate::http::{ApiError, Json};

/// The engine and its containers.
#[derive(Debug, Serialize)]
pub struct SupervisorView {
    /// The engine's name.
    engine: &'static str,
    /// Why it was chosen.
    why: String,
    /// `null` for an engine without containers.
    supervisor: Option<SupervisorStatus>,
    /// Names of containers that nobody looks after since the relay runs elsewhere.
    left_containers: Vec<String>,
}

/// `GET /api/v1/relay/supervisor`
///
/// # Errors
/// 403 for whoever is no operator.
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
#[derive(Debug, Deserialize)]
pub struct RestartRequest {
    part: String,
    #[serde(default)]
    insists: bool,
}

/// `POST /api/v1/relay/supervisor/restart`: 202, as it is done a moment later.
///
/// # Errors
/// 400 for an unknown part, 403 for whoever is no operator, 404 without such a container, 409 when somebody
/// is live.
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
