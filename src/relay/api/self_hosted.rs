//! Relays that users run at home, in the words of the plugin's branch that has them.
//!
//! Invariant: a caller names and asks only what is their own.

use std::net::{IpAddr, SocketAddr};

use axum::Json as JsonBody;
use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::accounts::extract::LenientPluginActor;
use crate::http::{ApiError, Json, Path, Peer};
use crate::kernel::Error;
use crate::relay::RelayService;
use crate::relay::model::ConnectionId;

/// Where the relay is.
#[derive(Debug, Deserialize)]
pub struct RegisterHomeBody {
    #[serde(default)]
    external_ip: String,
    port: Option<i64>,
    connection_id: Option<String>,
}

/// `POST /api/v1/relay/self-hosted/register`: 201, or 200 when the connection had a relay before.
///
/// # Errors
/// See `RelayService::register_home`.
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
    let view = json!({
        "connection_id": home.connection_id.name(),
        "external_ip": home.address.ip(),
        "port": home.address.port(),
        "dns_slug": home.dns_slug,
        "fqdn": home.fqdn,
    });
    Ok((status, JsonBody(view)))
}

fn port(number: Option<i64>) -> Result<u16, Error> {
    let port = number.and_then(|number| u16::try_from(number).ok());
    port.filter(|port| *port > 0).ok_or_else(|| {
        let message = "use a port from 1 to 65535";
        Error::invalid_field("port", "out_of_range", message)
    })
}

/// Which relay is asked.
#[derive(Debug, Deserialize)]
pub struct ProbeHomeBody {
    #[serde(default)]
    fqdn: String,
    port: Option<i64>,
}

/// `POST /api/v1/relay/self-hosted/probe`: whether the caller's own relay answers.
///
/// # Errors
/// See `RelayService::probe_home`.
pub async fn probe_home(
    State(relay): State<RelayService>,
    LenientPluginActor(actor): LenientPluginActor,
    peer: Peer,
    Json(body): Json<ProbeHomeBody>,
) -> Result<impl IntoResponse, ApiError> {
    let port = port(body.port)?;
    let connectivity = relay.probe_home(&actor, &body.fqdn, port, peer.ip).await?;
    Ok(JsonBody(json!({ "connectivity": connectivity.as_str() })))
}

/// What becomes of a relay.
#[derive(Debug, Deserialize)]
pub struct HomeActionBody {
    #[serde(default)]
    action: String,
}

/// `POST /api/v1/relay/self-hosted/{connection_id}` with `{"action": "deregister"}`; it may be repeated.
///
/// # Errors
/// 400 for another action or what is no connection.
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
    let name = connection.name().unwrap_or_default().to_owned();
    relay.deregister_home(&actor, connection).await?;
    Ok(JsonBody(
        json!({ "connection_id": name, "status": "deregistered" }),
    ))
}
