//! Relays that users run at home, in the words of the plugin's branch that has them.
//!
//! Invariant: a caller names and asks only what is their own.

use std::net::{IpAddr, SocketAddr};

use axum::Json as JsonBody;
use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::accounts::extract::LenientPluginActor;
use crate::http::{ApiError, Json, Path, Peer};
use crate::kernel::Error;
use crate::relay::RelayService;
use crate::relay::model::ConnectionId;

/// Where the relay is.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = SelfHostedRegistration)]
pub struct RegisterHomeBody {
    /// A public unicast address.
    #[serde(default)]
    #[schema(example = "198.51.100.7")]
    external_ip: String,
    #[schema(example = 5000)]
    port: Option<i64>,
    #[schema(example = "self_hosted_1774300000123")]
    connection_id: Option<String>,
}

/// A relay at somebody's home.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SelfHostedRelay)]
struct HomeAnswer {
    #[schema(example = "self_hosted_1774300000123")]
    connection_id: String,
    #[schema(value_type = String, example = "198.51.100.7")]
    external_ip: IpAddr,
    #[schema(example = 5000)]
    port: u16,
    #[schema(example = "k7mx2p9a")]
    dns_slug: String,
    /// Its name; its address where no names are kept, or when the caller is elsewhere.
    #[schema(example = "k7mx2p9a.relay.example.org")]
    fqdn: String,
}

/// Registers a relay that the caller runs at home.
///
/// # Errors
/// See `RelayService::register_home`.
#[utoipa::path(
    post, path = "/api/v1/relay/self-hosted/register", tag = "Relay", security(("plugin" = [])),
    request_body = RegisterHomeBody,
    responses(
        (status = 201, description = "It is registered.", body = HomeAnswer),
        (status = 200, description = "It was before, and is as told now.", body = HomeAnswer),
    ),
    extensions(("x-errors" = json!(["forbidden", "conflict", "rate_limited"]))),
)]
pub async fn register_home(
    State(relay): State<RelayService>,
    LenientPluginActor(actor): LenientPluginActor,
    peer: Peer,
    Json(body): Json<RegisterHomeBody>,
) -> Result<impl IntoResponse, ApiError> {
    let connection = ConnectionId::parse(body.connection_id.as_deref())?;
    let ip: IpAddr = body.external_ip.trim().parse().map_err(|_| {
        let message = "give an address such as 198.51.100.7";
        Error::invalid_field("external_ip", "invalid_format", message)
    })?;
    let address = SocketAddr::new(ip.to_canonical(), port(body.port)?);
    let home = relay
        .register_home(&actor, connection, address, peer.ip)
        .await?;
    let status = if home.is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let answer = HomeAnswer {
        connection_id: home.connection_id.name().unwrap_or_default().to_owned(),
        external_ip: home.address.ip(),
        port: home.address.port(),
        dns_slug: home.dns_slug,
        fqdn: home.fqdn,
    };
    Ok((status, JsonBody(answer)))
}

fn port(number: Option<i64>) -> Result<u16, Error> {
    let port = number.and_then(|number| u16::try_from(number).ok());
    port.filter(|port| *port > 0).ok_or_else(|| {
        let message = "use a port from 1 to 65535";
        Error::invalid_field("port", "out_of_range", message)
    })
}

/// Which relay is asked.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = SelfHostedProbe)]
pub struct ProbeHomeBody {
    /// As the registration answered it.
    #[serde(default)]
    #[schema(example = "k7mx2p9a.relay.example.org")]
    fqdn: String,
    #[schema(example = 5000)]
    port: Option<i64>,
}

/// Whether a relay at home can be reached.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SelfHostedConnectivity)]
struct ConnectivityAnswer {
    /// `reachable`, `unreachable`, or `unknown` when the caller is elsewhere.
    #[schema(example = "reachable")]
    connectivity: &'static str,
}

/// Asks the caller's own relay whether it can be reached.
///
/// # Errors
/// See `RelayService::probe_home`.
#[utoipa::path(
    post, path = "/api/v1/relay/self-hosted/probe", tag = "Relay", security(("plugin" = [])),
    request_body = ProbeHomeBody,
    responses((status = 200, description = "What came back.", body = ConnectivityAnswer)),
    extensions(("x-errors" = json!(["not_found", "rate_limited"]))),
)]
pub async fn probe_home(
    State(relay): State<RelayService>,
    LenientPluginActor(actor): LenientPluginActor,
    peer: Peer,
    Json(body): Json<ProbeHomeBody>,
) -> Result<impl IntoResponse, ApiError> {
    let port = port(body.port)?;
    let connectivity = relay.probe_home(&actor, &body.fqdn, port, peer.ip).await?;
    let connectivity = connectivity.as_str();
    Ok(JsonBody(ConnectivityAnswer { connectivity }))
}

/// What becomes of a relay.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = SelfHostedAction)]
pub struct HomeActionBody {
    /// `deregister`.
    #[serde(default)]
    #[schema(example = "deregister")]
    action: String,
}

/// What became of a relay.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SelfHostedStatus)]
struct HomeStatusAnswer {
    #[schema(example = "self_hosted_1774300000123")]
    connection_id: String,
    #[schema(example = "deregistered")]
    status: &'static str,
}

/// Forgets a relay at the caller's home; it may be repeated.
///
/// # Errors
/// 400 for another action or what is no connection.
#[utoipa::path(
    post, path = "/api/v1/relay/self-hosted/{connection_id}", tag = "Relay", security(("plugin" = [])),
    params(("connection_id" = String, Path, description = "As it was registered.")),
    request_body = HomeActionBody,
    responses((status = 200, description = "It is not registered any more.", body = HomeStatusAnswer)),
    extensions(("x-errors" = json!(["forbidden"]))),
)]
pub async fn deregister_home(
    State(relay): State<RelayService>,
    LenientPluginActor(actor): LenientPluginActor,
    Path(connection): Path<String>,
    Json(body): Json<HomeActionBody>,
) -> Result<impl IntoResponse, ApiError> {
    if body.action != "deregister" {
        let message = "the only action is \"deregister\"";
        return Err(Error::invalid_field("action", "unknown_action", message).into());
    }
    let connection = ConnectionId::parse(Some(&connection))?;
    let connection_id = connection.name().unwrap_or_default().to_owned();
    relay.deregister_home(&actor, connection).await?;
    Ok(JsonBody(HomeStatusAnswer {
        connection_id,
        status: "deregistered",
    }))
}
