//! The operator's page of the relay and its containers.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use serde::Deserialize;

use super::Supervision;
use super::views::RelayPage;
use crate::accounts::extract::BrowserActor;
use crate::accounts::frame::Frame;
use crate::http::page::render;
use crate::http::{ApiError, Form};

/// `GET /relay`
///
/// # Errors
/// 403 for whoever is no operator.
pub async fn show_relay(
    State(supervision): State<Supervision>,
    BrowserActor(user): BrowserActor,
    frame: Frame,
) -> Result<Response, ApiError> {
    let overview = supervision.overview(&user.actor)?;
    let logs = supervision.logs(&user.actor).await?;
    let left = supervision.left_containers(&user.actor).await?;
    let shell = frame.signed_in("Relay", &user);
    Ok(render(
        StatusCode::OK,
        &RelayPage::new(shell, overview, left, &logs),
    ))
}

/// Which container, and whether whoever is live is cut off.
#[derive(Debug, Deserialize)]
pub struct RestartForm {
    part: String,
    #[serde(default)]
    insists: Option<String>,
}

/// `POST /relay/restart`
///
/// # Errors
/// As the API's.
pub async fn restart_container(
    State(supervision): State<Supervision>,
    BrowserActor(user): BrowserActor,
    Form(form): Form<RestartForm>,
) -> Result<Response, ApiError> {
    let insists = form.insists.is_some();
    supervision
        .restart(&user.actor, &form.part, insists)
        .await?;
    Ok(Redirect::to("/relay").into_response())
}

/// `POST /relay/apply`: makes the changes now that wait for nobody to be live.
///
/// # Errors
/// As the API's.
pub async fn apply_changes(
    State(supervision): State<Supervision>,
    BrowserActor(user): BrowserActor,
) -> Result<Response, ApiError> {
    supervision.apply_changes(&user.actor)?;
    Ok(Redirect::to("/relay").into_response())
}
