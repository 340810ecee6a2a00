//! `/api/v1/billing`: checkout and webhook, and the log of events for operators' programs.

use axum::Json as JsonBody;
use axum::body::Body;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::catalog::Product;
use super::event::{BillingEvent, EventState};
use super::service::{BillingService, BillingStatus};
use crate::accounts::extract::PluginActor;
use crate::http::{ApiError, OptionalJson, Path, Query, read_body};
use crate::kernel::ids::EventId;
use crate::kernel::{Code, Error, Kind, UnixMillis};

/// The largest webhook that is read. Providers' are some 5 KB.
const WEBHOOK_BYTES_MAX: usize = 256 << 10;

/// What somebody wants to buy.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct CheckoutRequest {
    /// `standard` or `addon`; `standard` when it is left out.
    #[serde(default)]
    #[schema(example = "standard")]
    product: Option<String>,
    /// How many add-ons; one when it is left out.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 20, example = 1)]
    quantity: Option<u32>,
}

/// Where to pay.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckoutAnswer {
    #[schema(example = "https://shop.example.com/checkout/1")]
    checkout_url: String,
    /// The same.
    #[schema(example = "https://shop.example.com/checkout/1")]
    url: String,
}

/// Makes a payment page at the provider.
///
/// # Errors
/// 400 for an unknown product; 409 when the caller has it already, or needs another plan first; 502 when the
/// provider fails; 503 `billing_not_configured`.
#[utoipa::path(
    post, path = "/api/v1/billing/checkout", tag = "Billing", security(("plugin" = [])),
    request_body = Option<CheckoutRequest>,
    responses((status = 200, description = "Where to pay.", body = CheckoutAnswer)),
    extensions(("x-errors" = json!(["conflict", "upstream_failed", "billing_not_configured"]))),
)]
pub async fn post_checkout(
    State(billing): State<BillingService>,
    PluginActor(actor): PluginActor,
    OptionalJson(request): OptionalJson<CheckoutRequest>,
) -> Result<JsonBody<CheckoutAnswer>, ApiError> {
    let product = product_of(request.product.as_deref())?;
    let quantity = request.quantity.unwrap_or(1);
    let url = billing.checkout(&actor, product, quantity).await?;
    Ok(JsonBody(CheckoutAnswer {
        checkout_url: url.to_string(),
        url: url.to_string(),
    }))
}

/// Where to see bills, and to change or end what is paid for.
#[derive(Debug, Serialize, ToSchema)]
pub struct PortalAnswer {
    /// Opens without a password for hours at most: show it to nobody else.
    #[schema(example = "https://shop.example.com/billing?signature=1")]
    url: String,
}

/// Makes a link to the caller's page at the provider: bills, the way of payment, the end of a subscription.
///
/// # Errors
/// 409 with the reason `no_subscription` for who never paid; 502 when the provider fails; 503
/// `billing_not_configured`.
#[utoipa::path(
    post, path = "/api/v1/billing/portal", tag = "Billing", security(("plugin" = [])),
    responses((status = 200, description = "Where it is.", body = PortalAnswer)),
    extensions(("x-errors" = json!(["conflict", "upstream_failed", "billing_not_configured"]))),
)]
pub async fn post_portal(
    State(billing): State<BillingService>,
    PluginActor(actor): PluginActor,
) -> Result<JsonBody<PortalAnswer>, ApiError> {
    let url = billing.portal(&actor).await?.to_string();
    Ok(JsonBody(PortalAnswer { url }))
}

/// The product of a request or a form; nothing is `standard`.
pub(super) fn product_of(word: Option<&str>) -> Result<Product, Error> {
    let word = word.unwrap_or(Product::Standard.as_str());
    let message = "give standard or addon";
    Product::parse(word).ok_or_else(|| Error::invalid_field("product", "unknown", message))
}

/// The caller's plan as billing knows it.
///
/// # Errors
/// 503 `billing_not_configured`.
#[utoipa::path(
    get, path = "/api/v1/billing/status", tag = "Billing", security(("plugin" = [])),
    responses((status = 200, description = "The plan.", body = BillingStatus)),
    extensions(("x-errors" = json!(["billing_not_configured"]))),
)]
pub async fn get_status(
    State(billing): State<BillingService>,
    PluginActor(actor): PluginActor,
) -> Result<JsonBody<BillingStatus>, ApiError> {
    Ok(JsonBody(billing.status(actor.user_id).await?))
}

/// What the provider is told: it reads the status alone.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookAnswer {
    received: bool,
    /// It was here before.
    duplicate: bool,
}

/// Takes a webhook of the configured provider.
///
/// The provider's own signature over the raw body proves it: `X-Signature` of Lemon Squeezy, `Stripe-Signature` of
/// Stripe. It is answered as soon as it is stored, and acted on a moment later.
///
/// # Errors
/// 401 when it is not proved to be the provider's; 413 beyond 256 KiB; 503 `billing_not_configured`.
#[utoipa::path(
    post, path = "/api/v1/billing/webhook", tag = "Billing",
    request_body(content = Object, description = "As the provider documents it, 256 KiB at most."),
    responses((status = 200, description = "It is stored.", body = WebhookAnswer)),
    extensions(("x-unlimited" = json!(true)), ("x-errors" = json!(["unauthorized", "billing_not_configured"]))),
)]
pub async fn post_webhook(
    State(billing): State<BillingService>,
    headers: HeaderMap,
    body: Body,
) -> Result<JsonBody<WebhookAnswer>, ApiError> {
    let body = read_body(body).await?;
    if body.len() > WEBHOOK_BYTES_MAX {
        let message = "a webhook is larger than 256 KiB";
        return Err(Error::new(Kind::TooLarge, Code::InvalidRequest, message).into());
    }
    let received = billing.receive(&headers, body).await?;
    Ok(JsonBody(WebhookAnswer {
        received: true,
        duplicate: !received.is_new,
    }))
}

/// Which events.
#[derive(Debug, Default, Deserialize)]
pub struct EventsQuery {
    /// In this state only.
    #[serde(default)]
    pub(super) state: Option<String>,
    /// Older than this one.
    #[serde(default)]
    pub(super) before: Option<String>,
}

impl EventsQuery {
    /// The filter; a field that was left empty in a form filters nothing.
    pub(super) fn parse(&self) -> Result<(Option<EventState>, Option<EventId>), Error> {
        let state = given(self.state.as_deref()).map(|word| {
            let message = "give waiting, done, ignored, flagged or failed";
            word.parse()
                .map_err(|_| Error::invalid_field("state", "unknown", message))
        });
        let before = given(self.before.as_deref()).map(|id| {
            let message = "give the id of an event";
            id.parse()
                .map_err(|_| Error::invalid_field("before", "invalid", message))
        });
        Ok((state.transpose()?, before.transpose()?))
    }
}

fn given(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

/// A page of the log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BillingEvents)]
pub struct EventsAnswer {
    provider: &'static str,
    events: Vec<BillingEvent>,
    /// `before` of the next page; `null` at the end.
    next: Option<EventId>,
    /// Events that somebody should look at, on all pages.
    flagged: u32,
    last_received_at: Option<UnixMillis>,
}

/// The log of the provider's events, for operators.
///
/// # Errors
/// 400 for a bad filter; 403 for who is no operator; 503 `billing_not_configured`.
#[utoipa::path(
    get, path = "/api/v1/billing/events", tag = "Billing", security(("plugin" = [])),
    params(
        ("state" = Option<String>, Query, description = "Events in this state only.", example = "flagged"),
        ("before" = Option<String>, Query, description = "Events older than this one."),
    ),
    responses((status = 200, description = "The newest first.", body = EventsAnswer)),
    extensions(("x-errors" = json!(["forbidden", "billing_not_configured"]))),
)]
pub async fn get_events(
    State(billing): State<BillingService>,
    PluginActor(actor): PluginActor,
    Query(query): Query<EventsQuery>,
) -> Result<JsonBody<EventsAnswer>, ApiError> {
    let (state, before) = query.parse()?;
    let overview = billing.overview(&actor, state, before).await?;
    Ok(JsonBody(EventsAnswer {
        provider: overview.provider.as_str(),
        events: overview.events,
        next: overview.next,
        flagged: overview.flagged,
        last_received_at: overview.last_received_at,
    }))
}

/// Acts on an event again, a moment after the answer.
///
/// # Errors
/// 403 for who is no operator; 404 without such an event; 503 `billing_not_configured`.
#[utoipa::path(
    post, path = "/api/v1/billing/events/{id}/redo", tag = "Billing", security(("plugin" = [])),
    params(("id" = EventId, Path, description = "The event's id.")),
    responses((status = 202, description = "It is done a moment later.")),
    extensions(("x-errors" = json!(["forbidden", "not_found", "billing_not_configured"]))),
)]
pub async fn redo_event(
    State(billing): State<BillingService>,
    PluginActor(actor): PluginActor,
    Path(id): Path<EventId>,
) -> Result<StatusCode, ApiError> {
    billing.redo(&actor, id).await?;
    Ok(StatusCode::ACCEPTED)
}
