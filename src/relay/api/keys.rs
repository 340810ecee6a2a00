//! New keys for a slot.

use axum::extract::State;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::json;

use crate::accounts::extract::{LenientPluginActor, PluginActor};
use crate::http::{ApiError, Json, OptionalJson, Path};
use crate::kernel::Error;
use crate::kernel::secret::ExposeSecret;
use crate::relay::RelayService;
use crate::slots::api::slot_number;
use crate::slots::{KeyKind, SlotsService, StreamToken};

/// Which key.
#[derive(Debug, Deserialize)]
pub struct RotateBody {
    key: String,
}

/// Replaces one key of a slot; whoever used the old one is cut off.
///
/// # Errors
/// 400 for an unknown key, 404 for an unknown slot, 503 when the relay does not answer.
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
    Ok(axum::Json(json!({
        "slot_number": slot.slot_number,
        "key": kind.as_str(),
        "value": key.expose_secret(),
    })))
}

/// Which slot; nothing means the first.
#[derive(Debug, Deserialize, Default)]
pub struct RegenerateBody {
    slot_number: Option<u32>,
}

/// Replaces publish and play key of a slot and answers the new `stream_token`.
///
/// # Errors
/// As [`rotate_key`].
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
    Ok(axum::Json(json!({ "stream_token": token.expose() })))
}
