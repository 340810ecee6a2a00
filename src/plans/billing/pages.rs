//! The own plan, and the operators' log of events.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use serde::Deserialize;
use url::Url;

use super::api::{EventsQuery, product_of};
use super::service::BillingService;
use super::views::{BillingPage, PlanPage, WayPage};
use crate::accounts::extract::BrowserActor;
use crate::accounts::frame::Frame;
use crate::accounts::model::SignedIn;
use crate::http::page::{DoneQuery, Flash, render};
use crate::http::{ApiError, Form, Path, Query};
use crate::kernel::ids::EventId;
use crate::kernel::{Error, Kind};

/// The sentence for what a form did.
fn done(word: &str) -> Option<&'static str> {
    match word {
        "paid" => Some("Welcome back. A payment shows here as soon as the provider reports it."),
        "redo" => Some("The event is acted on again."),
        _ => None,
    }
}

/// `GET /account/plan`
///
/// # Errors
/// 503 `billing_not_configured`.
pub async fn show_plan(
    State(billing): State<BillingService>,
    BrowserActor(user): BrowserActor,
    frame: Frame,
    Query(query): Query<DoneQuery>,
) -> Result<Response, ApiError> {
    plan_page(&billing, &user, &frame, query.flash(done), StatusCode::OK).await
}

async fn plan_page(
    billing: &BillingService,
    user: &SignedIn,
    frame: &Frame,
    flash: Option<Flash>,
    status: StatusCode,
) -> Result<Response, ApiError> {
    let plan = billing.status(user.actor.user_id).await?;
    let shell = frame.at("/account/plan").signed_in("Plan", user);
    let page = PlanPage::new(shell.with_flash(flash), &plan, user.actor.is_operator());
    Ok(render(status, &page))
}

/// What somebody wants to buy.
#[derive(Debug, Deserialize)]
pub struct UpgradeForm {
    #[serde(default)]
    product: Option<String>,
}

/// `POST /account/plan/upgrade`: makes a payment page and shows the way there. It does not lead there by itself,
/// because our policy lets no form lead to another site.
///
/// # Errors
/// 503 `billing_not_configured`; what goes wrong otherwise stands on the page.
pub async fn upgrade(
    State(billing): State<BillingService>,
    BrowserActor(user): BrowserActor,
    frame: Frame,
    Form(form): Form<UpgradeForm>,
) -> Result<Response, ApiError> {
    let product = product_of(form.product.as_deref())?;
    let url = billing.checkout(&user.actor, product, 1).await;
    let way =
        |url: &Url| WayPage::to_payment(frame.at("/account/plan").signed_in("Payment", &user), url);
    match url {
        Ok(url) => Ok(render(StatusCode::OK, &way(&url))),
        Err(error) => refused(&billing, &user, &frame, error).await,
    }
}

/// `POST /account/plan/manage`: asks the provider for the reader's own page and shows the way there.
///
/// # Errors
/// 503 `billing_not_configured`; what goes wrong otherwise stands on the page.
pub async fn manage(
    State(billing): State<BillingService>,
    BrowserActor(user): BrowserActor,
    frame: Frame,
) -> Result<Response, ApiError> {
    let url = billing.portal(&user.actor).await;
    let way =
        |url: &Url| WayPage::to_bills(frame.at("/account/plan").signed_in("Bills", &user), url);
    match url {
        Ok(url) => Ok(render(StatusCode::OK, &way(&url))),
        Err(error) => refused(&billing, &user, &frame, error).await,
    }
}

/// The page of the plan with what went wrong.
async fn refused(
    billing: &BillingService,
    user: &SignedIn,
    frame: &Frame,
    error: Error,
) -> Result<Response, ApiError> {
    if !matches!(error.kind(), Kind::Conflict | Kind::Upstream) {
        return Err(error.into());
    }
    let status = crate::http::status_of(error.kind());
    let text = crate::http::page::sentence(error.message());
    note_failure(&error);
    let told = Some(Flash::problem(text));
    plan_page(billing, user, frame, told, status).await
}

fn note_failure(error: &Error) {
    if error.kind() == Kind::Upstream {
        let cause = crate::kernel::error_chain(error);
        tracing::warn!(cause, "the payment provider made no page");
    }
}

/// `GET /billing`: the log of events, for operators.
///
/// # Errors
/// 403 for who is no operator; 503 `billing_not_configured`.
pub async fn show_billing(
    State(billing): State<BillingService>,
    BrowserActor(user): BrowserActor,
    frame: Frame,
    Query(query): Query<EventsQuery>,
    Query(told): Query<DoneQuery>,
) -> Result<Response, ApiError> {
    let (state, before) = query.parse()?;
    let overview = billing.overview(&user.actor, state, before).await?;
    let shell = frame
        .signed_in("Billing", &user)
        .with_flash(told.flash(done));
    Ok(render(
        StatusCode::OK,
        &BillingPage::new(shell, overview, state),
    ))
}

/// `POST /billing/events/{id}/redo`
///
/// # Errors
/// As the API's.
pub async fn redo_event(
    State(billing): State<BillingService>,
    BrowserActor(user): BrowserActor,
    Path(id): Path<EventId>,
) -> Result<Response, ApiError> {
    billing.redo(&user.actor, id).await?;
    Ok(Redirect::to("/billing?done=redo").into_response())
}
