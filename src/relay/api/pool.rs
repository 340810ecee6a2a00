//! What the pool offers: regions, room, and the move to another region.
//!
//! Invariant: nothing here names a node, its address or its load to those who do not run the appliance.

use std::net::IpAddr;

use axum::extract::State;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::session_view::{SessionView, ShownBy};
use crate::accounts::extract::LenientPluginActor;
use crate::http::{ApiError, Json, Peer};
use crate::kernel::UnixMillis;
use crate::relay::RelayService;
use crate::relay::model::ConnectionId;
use crate::relay::service::{MigrateRequest, RegionOffer};

/// A place where relays are.
#[derive(Serialize, ToSchema)]
#[schema(as = Region)]
struct RegionView {
    #[schema(example = "eu-west")]
    region: String,
    /// For a person.
    #[schema(example = "Europe (west)")]
    label: String,
    /// Other words for the same.
    #[schema(example = json!(["eu-west-1"]))]
    aliases: Vec<String>,
    /// Whether there is room.
    available: bool,
    is_default: bool,
}

/// All regions.
#[derive(Serialize, ToSchema)]
#[schema(as = Regions)]
struct RegionsAnswer {
    regions: Vec<RegionView>,
}

/// The regions that a client may ask for.
///
/// # Errors
/// None of its own.
#[utoipa::path(
    get, path = "/api/v1/relay/regions", tag = "Relay", security(("plugin" = [])),
    responses((status = 200, description = "The default one is marked.", body = RegionsAnswer)),
)]
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
    let regions = relay.regions().into_iter().map(view).collect();
    Ok(axum::Json(RegionsAnswer { regions }))
}

/// A region as a machine image.
#[derive(Serialize, ToSchema)]
#[schema(as = ManifestRegion)]
struct ManifestView {
    #[schema(example = "eu-west")]
    region: String,
    /// Empty: there are no images.
    #[schema(example = "")]
    ami_id: &'static str,
    /// Empty, as before.
    #[schema(example = "")]
    default_instance_type: &'static str,
    updated_at: UnixMillis,
}

/// All regions.
#[derive(Serialize, ToSchema)]
#[schema(as = Manifest)]
struct ManifestAnswer {
    regions: Vec<ManifestView>,
}

/// The regions in the words of old clients, for which a region was a machine image.
///
/// # Errors
/// None of its own.
#[utoipa::path(
    get, path = "/api/v1/relay/manifest", tag = "Relay", security(("plugin" = [])),
    responses((status = 200, description = "In the order of their names.", body = ManifestAnswer)),
)]
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
    let regions = relay.regions().into_iter().map(view).collect();
    Ok(axum::Json(ManifestAnswer { regions }))
}

/// How much room there is.
#[derive(Serialize, ToSchema)]
#[schema(as = Capacity)]
struct CapacityAnswer {
    /// `available` or `full`.
    #[schema(example = "available")]
    status: &'static str,
    #[schema(example = true)]
    available: bool,
    /// Sessions that may still start.
    #[schema(example = 97)]
    free: u32,
    /// Sessions at the same time.
    #[schema(example = 100)]
    total: u32,
}

/// Whether there is room, for anybody.
///
/// # Errors
/// The store's.
#[utoipa::path(
    get, path = "/api/v1/capacity/status", tag = "Server",
    responses((status = 200, description = "Of all relays together.", body = CapacityAnswer)),
)]
pub async fn capacity(State(relay): State<RelayService>) -> Result<impl IntoResponse, ApiError> {
    let places = relay.places().await?;
    let available = places.free > 0;
    Ok(axum::Json(CapacityAnswer {
        status: if available { "available" } else { "full" },
        available,
        free: places.free,
        total: places.total,
    }))
}

/// An address.
#[derive(Serialize, ToSchema)]
#[schema(as = CallerAddress)]
struct AddressAnswer {
    /// IPv4 or IPv6.
    #[schema(value_type = String, example = "203.0.113.9")]
    ip: IpAddr,
}

/// The caller's address as we see it.
///
/// # Errors
/// None of its own.
#[utoipa::path(
    get, path = "/api/v1/ip", tag = "Server", security(("plugin" = [])),
    responses((status = 200, description = "Behind a trusted proxy, what that says.", body = AddressAnswer)),
)]
pub async fn ip(
    peer: Peer,
    LenientPluginActor(_): LenientPluginActor,
) -> Result<impl IntoResponse, ApiError> {
    let ip = peer.ip.to_canonical();
    Ok(axum::Json(AddressAnswer { ip }))
}

/// Which session moves where.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = MigrateRequest)]
pub struct MigrateBody {
    #[schema(example = "conn_1774300000123_1")]
    connection_id: Option<String>,
    /// One of `relay/regions`, or another word for it.
    #[schema(example = "eu-west")]
    new_region: Option<String>,
    /// Also while somebody is live, or soon after the last move.
    #[serde(default)]
    #[schema(example = false)]
    force: bool,
}

/// A session.
#[derive(Serialize, ToSchema)]
#[schema(as = MigratedSession)]
struct MigratedAnswer<'a> {
    session: SessionView<'a>,
}

/// Moves a connection's session to another region; answers the session that it has then.
///
/// # Errors
/// See `RelayService::migrate`.
#[utoipa::path(
    post, path = "/api/v1/relay/migrate", tag = "Relay", security(("plugin" = [])),
    request_body = MigrateBody,
    responses((status = 200, description = "The session that the connection has now.", body = MigratedAnswer)),
    extensions(("x-errors" = json!(["not_found", "conflict", "invalid_transition", "rate_limited", "capacity_full", "unavailable", "upstream_failed"]))),
)]
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
    // Written while what it borrows from is here.
    Ok(axum::Json(MigratedAnswer { session: view }).into_response())
}
