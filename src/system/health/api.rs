//! `/healthz`, `/readyz`, `/health`, `/metrics`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use super::{HealthService, Readiness};
use crate::accounts::extract::{OptionalBrowserActor, bearer_token};
use crate::http::{ApiError, Peer};
use crate::kernel::Error;
use crate::live::LiveService;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The process is alive. Touches nothing.
pub async fn get_liveness() -> axum::Json<Value> {
    axum::Json(json!({ "status": "ok" }))
}

/// What readiness tells, and to whom it concerns what can be mended.
#[derive(Debug, Serialize)]
struct ReadinessAnswer {
    #[serde(flatten)]
    readiness: Readiness,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notices: Vec<String>,
}

/// The database takes writes and the relay carries media: 200, else 503 that says what is wrong. This
/// machine itself and signed-in operators also read what could be better.
pub async fn get_readiness(
    State(health): State<HealthService>,
    State(live): State<LiveService>,
    peer: Peer,
    OptionalBrowserActor(actor): OptionalBrowserActor,
) -> Response {
    let readiness = health.readiness().await;
    let is_operator = actor.is_some_and(|signed_in| signed_in.actor.is_operator());
    let notices = if peer.is_local() || is_operator {
        live.notices().await
    } else {
        Vec::new()
    };
    let status = if readiness.is_ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let answer = ReadinessAnswer { readiness, notices };
    (status, axum::Json(answer)).into_response()
}

/// The figures, for this machine itself, the bearer of `metrics.token`, or a signed-in operator.
///
/// # Errors
/// 401 for anyone else.
pub async fn get_metrics(
    State(health): State<HealthService>,
    peer: Peer,
    headers: HeaderMap,
    OptionalBrowserActor(actor): OptionalBrowserActor,
) -> Result<Response, ApiError> {
    let is_operator = actor.is_some_and(|signed_in| signed_in.actor.is_operator());
    if !peer.is_local() && !is_operator && !bears_token(&health, &headers) {
        let message = "send metrics.token as a bearer token, or sign in as an operator";
        return Err(Error::unauthenticated(message).into());
    }
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], health.metrics().await?).into_response())
}

fn bears_token(health: &HealthService, headers: &HeaderMap) -> bool {
    bearer_token(headers).is_ok_and(|token| health.is_metrics_token(token.trim()))
}
