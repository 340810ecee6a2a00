//! The operator's page of jobs.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use serde::Deserialize;

use super::JobControl;
use super::views::JobsPage;
use crate::accounts::extract::BrowserActor;
use crate::accounts::frame::Frame;
use crate::http::page::render;
use crate::http::{ApiError, Form, Path};

/// `GET /jobs`
///
/// # Errors
/// 403 for whoever is no operator.
pub async fn show_jobs(
    State(control): State<JobControl>,
    BrowserActor(user): BrowserActor,
    frame: Frame,
) -> Result<Response, ApiError> {
    let jobs = control.list(&user.actor)?;
    let shell = frame.signed_in("Jobs", &user);
    Ok(render(StatusCode::OK, &JobsPage::new(shell, jobs)))
}

/// `POST /jobs/{name}/run`
///
/// # Errors
/// As the API's.
pub async fn run_job(
    State(control): State<JobControl>,
    BrowserActor(user): BrowserActor,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let state = control.run_now(&user.actor, &name).await?;
    Ok(back_to(&state.row.name))
}

/// Which way.
#[derive(Debug, Deserialize)]
pub struct SwitchForm {
    switch: SwitchTo,
}

/// The positions of a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SwitchTo {
    /// It runs by itself.
    On,
    /// It does not.
    Off,
}

/// `POST /jobs/{name}/switch`
///
/// # Errors
/// As the API's.
pub async fn switch_job(
    State(control): State<JobControl>,
    BrowserActor(user): BrowserActor,
    Path(name): Path<String>,
    Form(form): Form<SwitchForm>,
) -> Result<Response, ApiError> {
    let is_enabled = form.switch == SwitchTo::On;
    let state = control.switch(&user.actor, &name, is_enabled).await?;
    Ok(back_to(&state.row.name))
}

/// The page, where the job stands. The name is one of ours, so it needs no escaping.
fn back_to(name: &str) -> Response {
    Redirect::to(&format!("/jobs#{name}")).into_response()
}
