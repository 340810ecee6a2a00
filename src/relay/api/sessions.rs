//! `relay/start`, `relay/active`, `relay/stop`, `usage/current`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
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
#[derive(Deserialize, Serialize)]
pub struct StartBody {
    connection_id: Option<String>,
    stream_token: Option<String>,
    stream_slot: Option<i64>,
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

#[derive(Debug, Deserialize, Serialize)]
struct ClientContext {
    requested_by: Option<String>,
}

#[derive(Serialize)]
struct SessionAnswer<'a> {
    session: SessionView<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_link: Option<PerLink>,
}

/// Gives a connection its session: 201 when it is new, 200 when it was there.
///
/// # Errors
/// See `RelayService::start`; 400 for a bad body or a missing `Idempotency-Key`.
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

/// The session of a connection, or the newest one, with the links of its publisher; 204 without one.
///
/// # Errors
/// 400 for a `connection_id` that no connection can have.
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
        session: SessionView::new(&snapshot, &token, &address, ShownBy::Active)
            .with_move(relay.moved(slot.id)),
        per_link: Some(live.per_link(slot.id, publish_key)),
    };
    Ok(axum::Json(answer).into_response())
}

/// Which session to stop; nothing means the newest.
#[derive(Debug, Deserialize, Default)]
pub struct StopBody {
    session_id: Option<String>,
    connection_id: Option<String>,
    reason: Option<String>,
}

#[derive(Serialize)]
struct StopAnswer {
    session_id: RelaySessionId,
    status: &'static str,
    stopped_at: UnixMillis,
}

/// Ends a session; ending it again answers the same.
///
/// # Errors
/// 404 when there is none.
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
pub async fn usage(
    State(relay): State<RelayService>,
    PluginActor(actor): PluginActor,
) -> Result<axum::Json<Usage>, ApiError> {
    Ok(axum::Json(relay.usage(actor.user_id).await?))
}
