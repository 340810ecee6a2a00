//! `relay/start`, `relay/active`, `relay/stop`, `usage/current`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

use super::session_view::{SessionView, ShownBy};
use crate::accounts::extract::{LenientPluginActor, PluginActor};
use crate::http::{ApiError, Json, OptionalJson, Query};
use crate::kernel::ids::RelaySessionId;
use crate::kernel::secret::ExposeSecret;
use crate::kernel::{Error, UnixMillis};
use crate::live::{LiveService, PerLink};
use crate::plans::Usage;
use crate::relay::RelayService;
use crate::relay::model::{ConnectionId, IdempotencyKey, SlotChoice, StartRequest};
use crate::relay::service::StopTarget;
use crate::slots::StreamToken;

/// What a client may say when it starts.
#[derive(Deserialize, Serialize, ToSchema)]
#[schema(as = StartRequest)]
pub struct StartBody {
    /// Which connection of the user; `A-Z a-z 0-9 . _ -`.
    #[schema(example = "conn_1774300000123_1", max_length = 128)]
    connection_id: Option<String>,
    /// Selects a slot by its bare play key.
    #[schema(example = "9f3c21ab7d5e4c108f6a2b9d0e1c7a54")]
    stream_token: Option<String>,
    /// Selects a slot by its number, unless `stream_token` does.
    #[schema(example = 1)]
    stream_slot: Option<i64>,
    /// An unknown one is no error.
    #[schema(example = "us-central", max_length = 64)]
    region_preference: Option<String>,
    client_context: Option<ClientContext>,
}

impl std::fmt::Debug for StartBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StartBody")
            .field("connection_id", &self.connection_id)
            .finish_non_exhaustive()
    }
}

/// What is told of the client.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
struct ClientContext {
    #[schema(example = "obs-plugin", max_length = 64)]
    requested_by: Option<String>,
}

/// A session, and the links of its publisher.
#[derive(Serialize, ToSchema)]
#[schema(as = SessionAndLinks)]
struct SessionAnswer<'a> {
    session: SessionView<'a>,
    /// Only in `relay/active`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    per_link: Option<PerLink>,
}

/// Gives a connection its session.
///
/// # Errors
/// See `RelayService::start`; 400 for a bad body or a missing `Idempotency-Key`.
#[utoipa::path(
    post, path = "/api/v1/relay/start", tag = "Relay", security(("plugin" = [])),
    params(("Idempotency-Key" = String, Header, format = "uuid", description = "A fresh one for each attempt; the same one repeats the answer for 24 h.")),
    request_body = StartBody,
    responses(
        (status = 201, description = "A new session.", body = SessionAnswer),
        (status = 200, description = "The session that was there.", body = SessionAnswer),
    ),
    extensions(("x-errors" = json!(["entitlement_denied", "connection_limit_reached", "not_found", "conflict", "idempotency_mismatch", "capacity_full", "unavailable"]))),
)]
pub async fn start(
    State(relay): State<RelayService>,
    LenientPluginActor(actor): LenientPluginActor,
    headers: HeaderMap,
    Json(body): Json<StartBody>,
) -> Result<Response, ApiError> {
    let key = idempotency_key(&headers, &body)?;
    let started = relay.start(&actor, start_request(body)?, key).await?;
    let status = if started.is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let address = relay.address_of(&started.snapshot.of.session);
    let token = started.snapshot.of.slot.keys.stream_token();
    let answer = SessionAnswer {
        session: SessionView::new(&started.snapshot, &token, &address, ShownBy::Start),
        per_link: None,
    };
    Ok((status, axum::Json(answer)).into_response())
}

fn idempotency_key(headers: &HeaderMap, body: &StartBody) -> Result<IdempotencyKey, Error> {
    let text = headers
        .get("idempotency-key")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let key = Uuid::try_parse(text)
        .map_err(|_| Error::invalid("send a UUID in the header Idempotency-Key"))?;
    // Of what was understood, so that neither the order of keys nor unknown fields make a difference.
    let understood = serde_json::to_vec(body).map_err(Error::internal)?;
    Ok(IdempotencyKey {
        key,
        request_hash: Sha256::digest(understood).into(),
    })
}

fn start_request(body: StartBody) -> Result<StartRequest, Error> {
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let context = body.client_context.and_then(|context| context.requested_by);
    Ok(StartRequest {
        connection_id: ConnectionId::parse(body.connection_id.as_deref())?,
        slot: match (given(body.stream_token), body.stream_slot) {
            (Some(token), _) => SlotChoice::Token(StreamToken::parse(&token)),
            (None, Some(number)) => SlotChoice::Number(number),
            (None, None) => SlotChoice::FirstFree,
        },
        region_preference: short("region_preference", body.region_preference)?,
        requested_by: given(Some(short("requested_by", context)?))
            .unwrap_or_else(|| "dashboard".to_owned()),
    })
}

fn short(field: &'static str, text: Option<String>) -> Result<String, Error> {
    let text = text.unwrap_or_default();
    if text.chars().count() > 64 {
        let message = "use at most 64 characters";
        return Err(Error::invalid_field(field, "too_long", message));
    }
    Ok(text)
}

/// Which connection is asked about.
#[derive(Debug, Deserialize)]
pub struct ActiveQuery {
    connection_id: Option<String>,
}

/// The session of a connection, or the newest one, with the links of its publisher.
///
/// # Errors
/// 400 for a `connection_id` that no connection can have.
#[utoipa::path(
    get, path = "/api/v1/relay/active", tag = "Relay", security(("plugin" = [])),
    params((
        "connection_id" = Option<String>, Query, pattern = "^[A-Za-z0-9._-]{0,128}$",
        description = "Left out: the newest session.", example = "conn_1774300000123_1",
    )),
    responses(
        (status = 200, description = "As it is now.", body = SessionAnswer),
        (status = 204, description = "There is none."),
    ),
    extensions(("x-errors" = json!(["invalid_request"]))),
)]
pub async fn active(
    State(relay): State<RelayService>,
    State(live): State<LiveService>,
    LenientPluginActor(actor): LenientPluginActor,
    Query(query): Query<ActiveQuery>,
) -> Result<Response, ApiError> {
    let connection = ConnectionId::parse(query.connection_id.as_deref())?;
    let Some(snapshot) = relay.active(&actor, &connection).await? else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let slot = &snapshot.of.slot;
    let publish_key = slot.keys.publish.expose_secret().to_owned();
    let address = relay.address_of(&snapshot.of.session);
    let token = slot.keys.stream_token();
    let answer = SessionAnswer {
        session: SessionView::new(&snapshot, &token, &address, ShownBy::Active),
        per_link: Some(live.per_link(slot.id, publish_key)),
    };
    Ok(axum::Json(answer).into_response())
}

/// Which session to stop; nothing means the newest.
#[derive(Debug, Deserialize, Default, ToSchema)]
#[schema(as = StopRequest)]
pub struct StopBody {
    #[schema(example = "ses_0197f3a2b4c87d10a1b2c3d4e5f60718")]
    session_id: Option<String>,
    /// Unless `session_id` says which.
    #[schema(example = "conn_1774300000123_1")]
    connection_id: Option<String>,
    #[schema(example = "user_requested", max_length = 256)]
    reason: Option<String>,
}

/// A session that is over.
#[derive(Serialize, ToSchema)]
#[schema(as = StoppedSession)]
struct StopAnswer {
    session_id: RelaySessionId,
    #[schema(example = "stopped")]
    status: &'static str,
    stopped_at: UnixMillis,
}

/// Ends a session; ending it again answers the same.
///
/// # Errors
/// 404 when there is none.
#[utoipa::path(
    post, path = "/api/v1/relay/stop", tag = "Relay", security(("plugin" = [])),
    request_body = Option<StopBody>,
    responses((status = 200, description = "It is over.", body = StopAnswer)),
    extensions(("x-errors" = json!(["not_found", "invalid_transition"]))),
)]
pub async fn stop(
    State(relay): State<RelayService>,
    LenientPluginActor(actor): LenientPluginActor,
    OptionalJson(body): OptionalJson<StopBody>,
) -> Result<impl IntoResponse, ApiError> {
    let stopped = relay.stop(&actor, stop_target(body)?).await?;
    Ok(axum::Json(StopAnswer {
        session_id: stopped.session_id,
        status: "stopped",
        stopped_at: stopped.stopped_at,
    }))
}

fn stop_target(body: StopBody) -> Result<StopTarget, Error> {
    if body
        .reason
        .is_some_and(|reason| reason.chars().count() > 256)
    {
        let message = "use at most 256 characters";
        return Err(Error::invalid_field("reason", "too_long", message));
    }
    let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    if given(&body.session_id) {
        return Ok(StopTarget::Session(session_id(body.session_id.as_deref())?));
    }
    if given(&body.connection_id) {
        let connection = ConnectionId::parse(body.connection_id.as_deref())?;
        return Ok(StopTarget::Connection(connection));
    }
    Ok(StopTarget::Newest)
}

/// Ids are opaque to clients: one that we cannot have made names nothing.
pub(super) fn session_id(text: Option<&str>) -> Result<RelaySessionId, Error> {
    let text = text.unwrap_or_default();
    text.parse().map_err(|_| Error::not_found("relay session"))
}

/// What the caller used of its plan in this cycle.
///
/// # Errors
/// 404 when the user is gone.
#[utoipa::path(
    get, path = "/api/v1/usage/current", tag = "Usage", security(("plugin" = [])),
    responses((status = 200, description = "So far.", body = Usage)),
    extensions(("x-errors" = json!(["not_found"]))),
)]
pub async fn usage(
    State(relay): State<RelayService>,
    PluginActor(actor): PluginActor,
) -> Result<axum::Json<Usage>, ApiError> {
    Ok(axum::Json(relay.usage(actor.user_id).await?))
}
