//! New keys for a slot.

use axum::extract::State;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::accounts::extract::{LenientPluginActor, PluginActor};
use crate::http::{ApiError, Json, OptionalJson, Path};
use crate::kernel::Error;
use crate::kernel::secret::ExposeSecret;
use crate::relay::RelayService;
use crate::slots::api::slot_number;
use crate::slots::{KeyKind, SlotsService, StreamToken};

/// Which key.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = RotateKeyRequest)]
pub struct RotateBody {
    /// `publish`, `play` or `stats`.
    #[schema(example = "publish")]
    key: String,
}

/// A key that was just made.
#[derive(Serialize, ToSchema)]
struct RotatedKey {
    #[schema(example = 1)]
    slot_number: u32,
    #[schema(example = "publish")]
    key: &'static str,
    #[schema(example = "live_3f9c21ab7d5e4c108f6a2b9d0e1c7a54")]
    value: String,
}

/// Replaces one key of a slot; whoever used the old one is cut off.
///
/// # Errors
/// 400 for an unknown key, 404 for an unknown slot, 503 when the relay does not answer.
#[utoipa::path(
    post, path = "/api/v1/user/stream-slots/{number}/rotate", tag = "Slots", security(("plugin" = [])),
    params(("number" = i64, Path, description = "Which slot, counted from 1.", example = 1)),
    request_body = RotateBody,
    responses((status = 200, description = "The new key.", body = RotatedKey)),
    extensions(("x-errors" = json!(["not_found", "conflict", "unavailable"]))),
)]
pub async fn rotate_key(
    State(relay): State<RelayService>,
    State(slots): State<SlotsService>,
    LenientPluginActor(actor): LenientPluginActor,
    Path(number): Path<String>,
    Json(body): Json<RotateBody>,
) -> Result<impl IntoResponse, ApiError> {
    let kind = KeyKind::parse(&body.key)?;
    let slot = slots.by_number(&actor, slot_number(&number)?).await?;
    let key = relay.rotate_key(&actor, slot.id, kind).await?;
    Ok(axum::Json(RotatedKey {
        slot_number: slot.slot_number,
        key: kind.as_str(),
        value: key.expose_secret().to_owned(),
    }))
}

/// Which slot; nothing means the first.
#[derive(Debug, Deserialize, Default, ToSchema)]
#[schema(as = RegenerateTokenRequest)]
pub struct RegenerateBody {
    #[schema(example = 1)]
    slot_number: Option<u32>,
}

/// The play key that was just made.
#[derive(Serialize, ToSchema)]
struct RegeneratedToken {
    #[schema(example = "9f3c21ab7d5e4c108f6a2b9d0e1c7a54")]
    stream_token: String,
}

/// Replaces publish and play key of a slot and answers the new `stream_token`.
///
/// # Errors
/// As [`rotate_key`].
#[utoipa::path(
    post, path = "/api/v1/user/regenerate-token", tag = "Slots", security(("plugin" = [])),
    request_body = Option<RegenerateBody>,
    responses((status = 200, description = "The new play key, bare.", body = RegeneratedToken)),
    extensions(("x-errors" = json!(["not_found", "conflict", "unavailable"]))),
)]
pub async fn regenerate_token(
    State(relay): State<RelayService>,
    State(slots): State<SlotsService>,
    PluginActor(actor): PluginActor,
    OptionalJson(body): OptionalJson<RegenerateBody>,
) -> Result<impl IntoResponse, ApiError> {
    let slot = if let Some(number) = body.slot_number {
        slots.by_number(&actor, number).await?
    } else {
        let all = slots.list(actor.user_id).await?;
        all.first()
            .cloned()
            .ok_or_else(|| Error::not_found("stream slot"))?
    };
    let play_key = relay.regenerate_token(&actor, slot.id).await?;
    let token = StreamToken::parse(play_key.expose_secret());
    let stream_token = token.expose().to_owned();
    Ok(axum::Json(RegeneratedToken { stream_token }))
}
