//! The plugin's calls about slots.
//!
//! Invariant: `stream_token` is the bare play key.

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Slot, SlotsService};
use crate::accounts::extract::LenientPluginActor;
use crate::http::{ApiError, Json, Path};
use crate::kernel::Error;
use crate::plans::PlansService;

/// A slot in the plugin's words; also part of the account snapshot.
#[derive(Serialize, ToSchema)]
#[schema(as = StreamSlot)]
pub struct SlotView {
    /// Counted from 1.
    #[schema(example = 1)]
    slot_number: u32,
    #[schema(example = "Backpack")]
    label: String,
    /// The bare play key.
    #[schema(example = "9f3c21ab7d5e4c108f6a2b9d0e1c7a54")]
    stream_token: String,
}

impl std::fmt::Debug for SlotView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SlotView")
            .field("slot_number", &self.slot_number)
            .finish_non_exhaustive()
    }
}

impl From<&Slot> for SlotView {
    fn from(slot: &Slot) -> Self {
        Self {
            slot_number: slot.slot_number,
            label: slot.label.clone(),
            stream_token: slot.keys.stream_token().expose().to_owned(),
        }
    }
}

/// All slots of a user.
#[derive(Serialize, ToSchema)]
struct SlotsAnswer {
    stream_slots: Vec<SlotView>,
}

/// The caller's slots that the plan covers.
///
/// # Errors
/// When the store fails.
#[utoipa::path(
    get, path = "/api/v1/user/stream-slots", tag = "Slots", security(("plugin" = [])),
    responses((status = 200, description = "In the order of their numbers.", body = SlotsAnswer)),
)]
pub async fn list(
    State(slots): State<SlotsService>,
    State(plans): State<PlansService>,
    LenientPluginActor(actor): LenientPluginActor,
) -> Result<impl IntoResponse, ApiError> {
    let count = plans.entitlement(actor.user_id).await?.max_slots;
    let slots = slots.list(actor.user_id).await?;
    let stream_slots = slots
        .iter()
        .filter(|slot| slot.slot_number <= count)
        .map(|slot| SlotView::from(&**slot))
        .collect();
    Ok(axum::Json(SlotsAnswer { stream_slots }))
}

/// The same as `/user/stream-slots`, under the path of old documents.
///
/// # Errors
/// When the store fails.
#[utoipa::path(
    get, path = "/api/v1/stream-slots", tag = "Slots", security(("plugin" = [])),
    responses((status = 200, description = "In the order of their numbers.", body = SlotsAnswer)),
)]
pub async fn list_by_old_path(
    slots: State<SlotsService>,
    plans: State<PlansService>,
    actor: LenientPluginActor,
) -> Result<impl IntoResponse, ApiError> {
    list(slots, plans, actor).await
}

/// A slot's new name.
#[derive(Debug, Deserialize, ToSchema)]
pub struct LabelBody {
    #[schema(example = "Backpack")]
    label: String,
}

/// Names a slot.
///
/// # Errors
/// 400 for a bad number or label, 404 for an unknown slot.
#[utoipa::path(
    put, path = "/api/v1/user/stream-slots/{number}/label", tag = "Slots", security(("plugin" = [])),
    params(("number" = i64, Path, description = "Which slot, counted from 1.", example = 1)),
    request_body = LabelBody,
    responses((status = 204, description = "It has that name.")),
    extensions(("x-errors" = json!(["not_found"]))),
)]
pub async fn rename(
    State(slots): State<SlotsService>,
    LenientPluginActor(actor): LenientPluginActor,
    Path(number): Path<String>,
    Json(body): Json<LabelBody>,
) -> Result<StatusCode, ApiError> {
    let slot = slots.by_number(&actor, slot_number(&number)?).await?;
    slots.rename(&actor, slot.id, &body.label).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The slot number in a path. A number that no slot has is read as 0.
///
/// # Errors
/// `Invalid` when it is no integer.
pub fn slot_number(text: &str) -> Result<u32, Error> {
    let number: i64 = text
        .parse()
        .map_err(|_| Error::invalid_field("slot_number", "not_a_number", "use a whole number"))?;
    Ok(u32::try_from(number).unwrap_or(0))
}
