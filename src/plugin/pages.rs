//! The page on which a signed-in person lets a plugin in.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use super::model::{Attempt, Decided};
use super::service::PluginService;
use super::views::{ApprovalPage, Outcome, OutcomePage};
use crate::accounts::extract::BrowserActor;
use crate::accounts::frame::Frame;
use crate::accounts::model::SignedIn;
use crate::http::page::render;
use crate::http::{ApiError, Form, Query};
use crate::kernel::{Error, Kind};

/// The query of the approval page.
#[derive(Debug, Deserialize)]
pub struct AttemptQuery {
    #[serde(default)]
    attempt: String,
}

/// `GET /login/plugin?attempt=...`
///
/// # Errors
/// The store's.
pub async fn show_approval(
    State(plugin): State<PluginService>,
    BrowserActor(user): BrowserActor,
    frame: Frame,
    Query(query): Query<AttemptQuery>,
) -> Result<Response, ApiError> {
    match plugin.attempt_to_decide(&query.attempt).await {
        Ok(attempt) => Ok(approval(&frame, &user, attempt)),
        Err(error) => Ok(outcome_page(&frame, &user, outcome_of(error)?)),
    }
}

fn approval(frame: &Frame, user: &SignedIn, attempt: Attempt) -> Response {
    let page = ApprovalPage {
        shell: frame.signed_in("Sign in to OBS", user),
        attempt: attempt.id,
        device: attempt.device.device_name,
        platform: attempt.device.platform,
        short_code: attempt.short_code.to_string(),
        asked: attempt.created_at.into(),
        email: user.email.clone(),
    };
    render(StatusCode::OK, &page)
}

fn outcome_of(error: Error) -> Result<Outcome, Error> {
    match error.kind() {
        Kind::NotFound | Kind::Gone => Ok(Outcome::Expired),
        Kind::Conflict => Ok(Outcome::AlreadyUsed),
        _ => Err(error),
    }
}

fn outcome_page(frame: &Frame, user: &SignedIn, outcome: Outcome) -> Response {
    let status = match outcome {
        Outcome::Approved | Outcome::Denied => StatusCode::OK,
        Outcome::Expired => StatusCode::GONE,
        Outcome::AlreadyUsed => StatusCode::CONFLICT,
    };
    let shell = frame.signed_in(outcome.heading(), user);
    render(status, &OutcomePage { shell, outcome })
}

/// The person's answer.
#[derive(Debug, Deserialize)]
pub struct DecisionForm {
    attempt: String,
    decision: Answer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Approve,
    Deny,
}

/// `POST /login/plugin`
///
/// # Errors
/// 403 for a viewer who approves.
pub async fn decide(
    State(plugin): State<PluginService>,
    BrowserActor(user): BrowserActor,
    frame: Frame,
    Form(form): Form<DecisionForm>,
) -> Result<Response, ApiError> {
    let approves = form.decision == Answer::Approve;
    let decided = plugin.decide(&user.actor, &form.attempt, approves).await?;
    let outcome = match decided {
        Decided::Done | Decided::Repeated if approves => Outcome::Approved,
        Decided::Done | Decided::Repeated => Outcome::Denied,
        Decided::Expired => Outcome::Expired,
        Decided::AlreadyDecided => Outcome::AlreadyUsed,
    };
    Ok(outcome_page(&frame, &user, outcome))
}
