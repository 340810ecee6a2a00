//! What the pool offers: regions, room, and the move to another region.
//!
//! Invariant: nothing here names a node, its address or its load to those who do not run the appliance.

use axum::extract::State;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::session_view::{SessionView, ShownBy};
use crate::accounts::extract::LenientPluginActor;
use crate::http::{ApiError, Json, Peer};
use crate::kernel::UnixMillis;
use crate::relay::RelayService;
use crate::relay::model::ConnectionId;
use crate::relay::service::{MigrateRequest, RegionOffer};

#[derive(Serialize)]
struct RegionView {
    region: String,
    label: String,
    aliases: Vec<String>,
    available: bool,
    is_default: bool,
}

/// The regions that a client may ask for.
///
/// # Errors
/// None of its own.
pub async fn regions(
    State(relay): State<RelayService>,
    LenientPluginActor(_): LenientPluginActor,
) -> Result<impl IntoResponse, ApiError> {
    let view = |offer: RegionOffer| RegionView {
        region: offer.region.id,
        label: offer.region.label,
        aliases: offer.region.aliases,
        available: offer.is_available,
        is_default: offer.is_default,
    };
    let regions: Vec<_> = relay.regions().into_iter().map(view).collect();
    Ok(axum::Json(json!({ "regions": regions })))
}

#[derive(Serialize)]
struct ManifestView {
    region: String,
    ami_id: &'static str,
    default_instance_type: &'static str,
    updated_at: UnixMillis,
}

/// The regions in the words of old clients, for which a region was a machine image.
///
/// # Errors
/// None of its own.
pub async fn manifest(
    State(relay): State<RelayService>,
    LenientPluginActor(_): LenientPluginActor,
) -> Result<impl IntoResponse, ApiError> {
    let view = |offer: RegionOffer| ManifestView {
        region: offer.region.id,
        ami_id: "",
        default_instance_type: "",
        updated_at: offer.changed_at,
    };
    let regions: Vec<_> = relay.regions().into_iter().map(view).collect();
    Ok(axum::Json(json!({ "regions": regions })))
}

/// Whether there is room, for anybody.
///
/// # Errors
/// The store's.
pub async fn capacity(State(relay): State<RelayService>) -> Result<impl IntoResponse, ApiError> {
    let places = relay.places().await?;
    Ok(axum::Json(json!({
        "status": if places.free > 0 { "available" } else { "full" },
        "available": places.free > 0,
        "free": places.free,
        "total": places.total,
    })))
}

/// The caller's address as we see it.
///
/// # Errors
/// None of its own.
pub async fn ip(
    peer: Peer,
    LenientPluginActor(_): LenientPluginActor,
) -> Result<impl IntoResponse, ApiError> {
    Ok(axum::Json(json!({ "ip": peer.ip.to_canonical() })))
}

/// Which session moves where.
#[derive(Debug, Deserialize)]
pub struct MigrateBody {
    connection_id: Option<String>,
    new_region: Option<String>,
    #[serde(default)]
    force: bool,
}

/// Moves a connection's session to another region; answers the session that it has then.
///
/// # Errors
/// See `RelayService::migrate`.
pub async fn migrate(
    State(relay): State<RelayService>,
    LenientPluginActor(actor): LenientPluginActor,
    Json(body): Json<MigrateBody>,
) -> Result<impl IntoResponse, ApiError> {
    let request = MigrateRequest {
        connection_id: ConnectionId::parse(body.connection_id.as_deref())?,
        new_region: body.new_region.unwrap_or_default(),
        is_forced: body.force,
    };
    let snapshot = relay.migrate(&actor, request).await?;
    let address = relay.address_of(&snapshot.of.session);
    let token = snapshot.of.slot.keys.stream_token();
    let view = SessionView::new(&snapshot, &token, &address, ShownBy::Active);
    Ok(axum::Json(json!({ "session": view })))
}
