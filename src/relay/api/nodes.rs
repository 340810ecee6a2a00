//! Relay nodes and the names of regions, for operators' programs.
//!
//! Invariant: a node's key comes in and never goes out.

use axum::Json as JsonBody;
use axum::extract::State;
use axum::response::IntoResponse;
use futures_util::future::join_all;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::accounts::extract::PluginActor;
use crate::http::{ApiError, Json, Path};
use crate::kernel::UnixMillis;
use crate::kernel::ids::NodeId;
use crate::kernel::secret::SecretString;
use crate::relay::RelayService;
use crate::relay::engine::reason_and_remedy;
use crate::relay::nodes::{NodeChange, NodeSpec, Region};
use crate::relay::service::{NamesStatus, NodeLoad, Operator};

/// A node as operators see it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = RelayNode)]
pub struct NodeView {
    pub(in crate::relay) id: NodeId,
    #[schema(example = "kc1")]
    pub(in crate::relay) name: String,
    /// `local` or `external`.
    #[schema(example = "external")]
    pub(in crate::relay) kind: &'static str,
    #[schema(example = "us-central")]
    pub(in crate::relay) region: String,
    /// `active`, `draining` or `inactive`.
    #[schema(example = "active")]
    pub(in crate::relay) status: &'static str,
    /// `unknown`, `up` or `down`.
    #[schema(example = "down")]
    pub(in crate::relay) health: &'static str,
    /// What its last bad answer came to; empty after a good one.
    #[schema(example = "the relay node refuses our key")]
    pub(in crate::relay) reason: String,
    /// What to do about it.
    #[schema(example = "give the node's admin key")]
    pub(in crate::relay) remedy: String,
    /// What else is to be mended, each with its remedy.
    #[schema(example = json!([]))]
    pub(in crate::relay) notices: Vec<String>,
    pub(in crate::relay) sessions: u32,
    pub(in crate::relay) capacity: u32,
    /// Where phones and players reach it; `null` for the own one, which has the appliance's address.
    #[schema(example = "kc1.example.org")]
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

/// All nodes, and the DNS names of slots.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RelayNodes)]
struct NodesAnswer {
    nodes: Vec<NodeView>,
    /// `null` when no names are kept.
    dns: Option<NamesStatus>,
}

/// One node.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OneRelayNode)]
struct NodeAnswer {
    node: NodeView,
}

/// The relay nodes with health and load, for operators.
///
/// # Errors
/// 403 for whoever is no operator.
#[utoipa::path(
    get, path = "/api/v1/relay/nodes", tag = "Server", security(("plugin" = [])),
    responses((status = 200, description = "The own one first.", body = NodesAnswer)),
    extensions(("x-errors" = json!(["forbidden"]))),
)]
pub async fn list_nodes(
    State(relay): State<RelayService>,
    PluginActor(actor): PluginActor,
) -> Result<impl IntoResponse, ApiError> {
    Operator::signed_in(&actor)?;
    let nodes = node_views(&relay).await?;
    let dns = relay.names_status();
    Ok(JsonBody(NodesAnswer { nodes, dns }))
}

/// Adds an external node, which is asked at once how it is.
///
/// # Errors
/// 400, naming the field; 403 for whoever is no operator; 409 `name_taken`.
#[utoipa::path(
    post, path = "/api/v1/relay/nodes", tag = "Server", security(("plugin" = [])),
    request_body = NodeSpec,
    responses((status = 201, description = "The node as it answered.", body = NodeAnswer)),
    extensions(("x-errors" = json!(["forbidden", "conflict"]))),
)]
pub async fn add_node(
    State(relay): State<RelayService>,
    PluginActor(actor): PluginActor,
    Json(spec): Json<NodeSpec>,
) -> Result<impl IntoResponse, ApiError> {
    let by = Operator::signed_in(&actor)?;
    let node = relay.add_node(by, spec.check()?).await?;
    let node = view_of(&relay, node.id()).await?;
    Ok((StatusCode::CREATED, JsonBody(NodeAnswer { node })))
}

/// Gives a node another name, capacity or status.
///
/// # Errors
/// 400, naming the field; 403 for whoever is no operator; 404; 409 `name_taken`.
#[utoipa::path(
    patch, path = "/api/v1/relay/nodes/{node_id}", tag = "Server", security(("plugin" = [])),
    params(("node_id" = NodeId, Path, description = "As the list has it.")),
    request_body = NodeChange,
    responses((status = 200, description = "The node as it is now.", body = NodeAnswer)),
    extensions(("x-errors" = json!(["forbidden", "not_found", "conflict"]))),
)]
pub async fn change_node(
    State(relay): State<RelayService>,
    PluginActor(actor): PluginActor,
    Path(id): Path<NodeId>,
    Json(change): Json<NodeChange>,
) -> Result<impl IntoResponse, ApiError> {
    let by = Operator::signed_in(&actor)?;
    relay.change_node(by, id, &change).await?;
    let node = view_of(&relay, id).await?;
    Ok(JsonBody(NodeAnswer { node }))
}

/// The key of a node's API.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = RelayNodeKey)]
pub struct NodeKeyBody {
    #[schema(value_type = String, example = "the new key of its API")]
    key: SecretString,
}

/// Replaces the key of a node's API; the new one is tried at once.
///
/// # Errors
/// 400, naming the field; 403 for whoever is no operator; 404.
#[utoipa::path(
    post, path = "/api/v1/relay/nodes/{node_id}/key", tag = "Server", security(("plugin" = [])),
    params(("node_id" = NodeId, Path, description = "As the list has it.")),
    request_body = NodeKeyBody,
    responses((status = 200, description = "The node as it answered.", body = NodeAnswer)),
    extensions(("x-errors" = json!(["forbidden", "not_found"]))),
)]
pub async fn rotate_node_key(
    State(relay): State<RelayService>,
    PluginActor(actor): PluginActor,
    Path(id): Path<NodeId>,
    Json(body): Json<NodeKeyBody>,
) -> Result<impl IntoResponse, ApiError> {
    let by = Operator::signed_in(&actor)?;
    relay.rotate_node_key(by, id, body.key).await?;
    let node = view_of(&relay, id).await?;
    Ok(JsonBody(NodeAnswer { node }))
}

/// Removes an external node that has no sessions.
///
/// # Errors
/// 400 for the own one; 403 for whoever is no operator; 404; 409 `node_in_use`.
#[utoipa::path(
    delete, path = "/api/v1/relay/nodes/{node_id}", tag = "Server", security(("plugin" = [])),
    params(("node_id" = NodeId, Path, description = "As the list has it.")),
    responses((status = 204, description = "It is gone, and its key forgotten.")),
    extensions(("x-errors" = json!(["forbidden", "not_found", "conflict"]))),
)]
pub async fn remove_node(
    State(relay): State<RelayService>,
    PluginActor(actor): PluginActor,
    Path(id): Path<NodeId>,
) -> Result<StatusCode, ApiError> {
    relay.remove_node(Operator::signed_in(&actor)?, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What people call a region, and other names under which clients ask for it.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = RegionNames)]
pub struct RegionBody {
    #[schema(example = "US Central")]
    label: String,
    #[serde(default)]
    #[schema(example = json!(["us"]))]
    aliases: Vec<String>,
}

/// A region and its names.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NamedRegion)]
struct NamedRegion {
    #[schema(example = "us-central")]
    region: String,
    #[schema(example = "US Central")]
    label: String,
    #[schema(example = json!(["us"]))]
    aliases: Vec<String>,
}

/// Names a region, for operators.
///
/// # Errors
/// 400, naming the field; 403 for whoever is no operator.
#[utoipa::path(
    put, path = "/api/v1/relay/regions/{region}", tag = "Server", security(("plugin" = [])),
    params(("region" = String, Path, description = "As nodes name it.")),
    request_body = RegionBody,
    responses((status = 200, description = "The names from now on.", body = NamedRegion)),
    extensions(("x-errors" = json!(["forbidden"]))),
)]
pub async fn name_region(
    State(relay): State<RelayService>,
    PluginActor(actor): PluginActor,
    Path(id): Path<String>,
    Json(body): Json<RegionBody>,
) -> Result<impl IntoResponse, ApiError> {
    let by = Operator::signed_in(&actor)?;
    let region = Region::check(&id, &body.label, &body.aliases)?;
    let answer = NamedRegion {
        region: region.id.clone(),
        label: region.label.clone(),
        aliases: region.aliases.clone(),
    };
    relay.name_region(by, region).await?;
    Ok(JsonBody(answer))
}
