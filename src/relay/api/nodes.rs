//! Relay nodes and the names of regions, for operators' programs.
//!
//! Invariant: a node's key comes in and never goes out.

use axum::Json as JsonBody;
use axum::extract::State;
use axum::response::IntoResponse;
use futures_util::future::join_all;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::accounts::extract::PluginActor;
use crate::http::{ApiError, Json, Path};
use crate::kernel::UnixMillis;
use crate::kernel::ids::NodeId;
use crate::kernel::secret::SecretString;
use crate::relay::RelayService;
use crate::relay::engine::reason_and_remedy;
use crate::relay::nodes::{NodeChange, NodeSpec, Region};
use crate::relay::service::{NodeLoad, Operator};

/// A node as operators see it.
#[derive(Debug, Clone, Serialize)]
pub struct NodeView {
    pub(in crate::relay) id: NodeId,
    pub(in crate::relay) name: String,
    /// `local` or `external`.
    pub(in crate::relay) kind: &'static str,
    pub(in crate::relay) region: String,
    /// `active`, `draining` or `inactive`.
    pub(in crate::relay) status: &'static str,
    /// `unknown`, `up` or `down`.
    pub(in crate::relay) health: &'static str,
    /// What its last bad answer came to; empty after a good one.
    pub(in crate::relay) reason: String,
    /// What to do about it.
    pub(in crate::relay) remedy: String,
    /// What else is to be mended, each with its remedy.
    pub(in crate::relay) notices: Vec<String>,
    pub(in crate::relay) sessions: u32,
    pub(in crate::relay) capacity: u32,
    /// Where phones and players reach it; `null` for the own one, which has the appliance's address.
    pub(in crate::relay) public_host: Option<String>,
    pub(in crate::relay) created_at: UnixMillis,
}

impl NodeView {
    /// What is known of a node now.
    pub async fn of(load: &NodeLoad) -> Self {
        let node = &load.node;
        let (health, why) = node.health();
        let (reason, remedy) = reason_and_remedy(&why);
        let facts = &node.facts;
        Self {
            id: facts.id,
            name: facts.name.clone(),
            kind: if node.is_local() { "local" } else { "external" },
            region: facts.region.clone(),
            status: facts.status.as_str(),
            health: health.as_str(),
            reason: reason.to_owned(),
            remedy: remedy.to_owned(),
            notices: node.engine.notices().await,
            sessions: load.sessions,
            capacity: facts.capacity,
            public_host: facts.public.as_ref().map(|public| public.host.clone()),
            created_at: facts.created_at,
        }
    }
}

/// Every node with its load.
pub(in crate::relay) async fn node_views(relay: &RelayService) -> Result<Vec<NodeView>, ApiError> {
    let loads = relay.node_loads().await?;
    Ok(join_all(loads.iter().map(NodeView::of)).await)
}

async fn view_of(relay: &RelayService, id: NodeId) -> Result<NodeView, ApiError> {
    let views = node_views(relay).await?;
    let found = views.into_iter().find(|view| view.id == id);
    Ok(found.ok_or_else(|| crate::kernel::Error::not_found("relay node"))?)
}

/// `GET /api/v1/relay/nodes`
///
/// # Errors
/// 403 for whoever is no operator.
pub async fn list_nodes(
    State(relay): State<RelayService>,
    PluginActor(actor): PluginActor,
) -> Result<impl IntoResponse, ApiError> {
    Operator::signed_in(&actor)?;
    let nodes = node_views(&relay).await?;
    Ok(JsonBody(
        json!({ "nodes": nodes, "dns": relay.names_status() }),
    ))
}

/// `POST /api/v1/relay/nodes`: adds an external node; 201 with what it said of itself.
///
/// # Errors
/// 400, naming the field; 403 for whoever is no operator; 409 `name_taken`.
pub async fn add_node(
    State(relay): State<RelayService>,
    PluginActor(actor): PluginActor,
    Json(spec): Json<NodeSpec>,
) -> Result<impl IntoResponse, ApiError> {
    let by = Operator::signed_in(&actor)?;
    let node = relay.add_node(by, spec.check()?).await?;
    let view = view_of(&relay, node.id()).await?;
    Ok((StatusCode::CREATED, JsonBody(json!({ "node": view }))))
}

/// `PATCH /api/v1/relay/nodes/{node_id}`: another name, capacity or status.
///
/// # Errors
/// 400, naming the field; 403 for whoever is no operator; 404; 409 `name_taken`.
pub async fn change_node(
    State(relay): State<RelayService>,
    PluginActor(actor): PluginActor,
    Path(id): Path<NodeId>,
    Json(change): Json<NodeChange>,
) -> Result<impl IntoResponse, ApiError> {
    let by = Operator::signed_in(&actor)?;
    relay.change_node(by, id, &change).await?;
    Ok(JsonBody(json!({ "node": view_of(&relay, id).await? })))
}

/// The key of a node's API.
#[derive(Debug, Deserialize)]
pub struct NodeKeyBody {
    key: SecretString,
}

/// `POST /api/v1/relay/nodes/{node_id}/key`: another key, which is tried at once.
///
/// # Errors
/// 400, naming the field; 403 for whoever is no operator; 404.
pub async fn rotate_node_key(
    State(relay): State<RelayService>,
    PluginActor(actor): PluginActor,
    Path(id): Path<NodeId>,
    Json(body): Json<NodeKeyBody>,
) -> Result<impl IntoResponse, ApiError> {
    let by = Operator::signed_in(&actor)?;
    relay.rotate_node_key(by, id, body.key).await?;
    Ok(JsonBody(json!({ "node": view_of(&relay, id).await? })))
}

/// `DELETE /api/v1/relay/nodes/{node_id}`: removes an external node that has no sessions.
///
/// # Errors
/// 400 for the own one; 403 for whoever is no operator; 404; 409 `node_in_use`.
pub async fn remove_node(
    State(relay): State<RelayService>,
    PluginActor(actor): PluginActor,
    Path(id): Path<NodeId>,
) -> Result<StatusCode, ApiError> {
    relay.remove_node(Operator::signed_in(&actor)?, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What people call a region, and other names under which clients ask for it.
#[derive(Debug, Deserialize)]
pub struct RegionBody {
    label: String,
    #[serde(default)]
    aliases: Vec<String>,
}

/// `PUT /api/v1/relay/regions/{region}`
///
/// # Errors
/// 400, naming the field; 403 for whoever is no operator.
pub async fn name_region(
    State(relay): State<RelayService>,
    PluginActor(actor): PluginActor,
    Path(id): Path<String>,
    Json(body): Json<RegionBody>,
) -> Result<impl IntoResponse, ApiError> {
    let by = Operator::signed_in(&actor)?;
    let region = Region::check(&id, &body.label, &body.aliases)?;
    let answer = json!({ "region": region.id, "label": region.label, "aliases": region.aliases });
    relay.name_region(by, region).await?;
    Ok(JsonBody(answer))
}
