//! The operator's page of relay nodes, and what its forms do.
//!
//! Invariant: what was typed comes back with a refused form, but never a key.

mod add_form;

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use serde::Deserialize;

use super::RelayService;
use super::api::node_views;
use super::nodes::{NodeChange, Region};
use super::service::Operator;
use super::views::{NodesPage, Refusal};
use crate::accounts::extract::BrowserActor;
use crate::accounts::frame::Frame;
use crate::accounts::model::SignedIn;
use crate::http::page::{DoneQuery, Flash, render, sentence};
use crate::http::{ApiError, Form, Path, Query};
use crate::kernel::ids::NodeId;
use crate::kernel::secret::SecretString;
use crate::kernel::{Error, FieldError, Kind};

pub(super) use add_form::AddNodeForm;

const TITLE: &str = "Relay nodes";

/// `GET /nodes`
///
/// # Errors
/// 403 for whoever is no operator.
pub async fn show_nodes(
    State(relay): State<RelayService>,
    BrowserActor(user): BrowserActor,
    frame: Frame,
    Query(query): Query<DoneQuery>,
) -> Result<Response, ApiError> {
    let flash = query.flash(done);
    nodes_page(
        &relay,
        &user,
        &frame,
        StatusCode::OK,
        flash,
        Refusal::default(),
    )
    .await
}

/// The sentence for a word in the address.
fn done(word: &str) -> Option<&'static str> {
    match word {
        "added" => {
            Some("The node was added. It takes sessions as soon as it says that it is well.")
        }
        "changed" => Some("The node was changed."),
        "key" => Some("The node has its new key, and was asked with it."),
        "removed" => Some("The node was removed, and its key forgotten."),
        "region" => Some("The region has its names."),
        _ => None,
    }
}

async fn nodes_page(
    relay: &RelayService,
    user: &SignedIn,
    frame: &Frame,
    status: StatusCode,
    flash: Option<Flash>,
    refusal: Refusal,
) -> Result<Response, ApiError> {
    Operator::signed_in(&user.actor)?;
    let nodes = node_views(relay).await?;
    let regions = relay.regions();
    let shell = frame.at("/nodes").signed_in(TITLE, user).with_flash(flash);
    let names = relay.names_status();
    let page = NodesPage::new(shell, nodes, &regions, names, refusal);
    Ok(render(status, &page))
}

/// The page again with what was refused.
async fn refused(
    relay: &RelayService,
    user: &SignedIn,
    frame: &Frame,
    error: Error,
    mut refusal: Refusal,
) -> Result<Response, ApiError> {
    if !matches!(error.kind(), Kind::Invalid | Kind::Conflict) {
        return Err(error.into());
    }
    refusal.errors = error.fields().to_vec();
    let is_told_at_a_field = refusal.form.is_some_and(|form| {
        let shows = |error: &FieldError| form.fields().contains(&error.field);
        !refusal.errors.is_empty() && refusal.errors.iter().all(shows)
    });
    let flash = (!is_told_at_a_field).then(|| Flash::problem(sentence(error.message())));
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    nodes_page(relay, user, frame, status, flash, refusal).await
}

fn back(done: &str) -> Response {
    Redirect::to(&format!("/nodes?done={done}")).into_response()
}

fn capacity(text: &str) -> Result<u32, Error> {
    text.trim().parse().map_err(|_| {
        let message = "give a whole number of sessions, such as 10";
        Error::invalid_field("capacity", "invalid_format", message)
    })
}

/// `POST /nodes`
///
/// # Errors
/// 403 for whoever is no operator; a refused form is shown again.
pub async fn add_node(
    State(relay): State<RelayService>,
    BrowserActor(user): BrowserActor,
    frame: Frame,
    Form(form): Form<AddNodeForm>,
) -> Result<Response, ApiError> {
    let by = Operator::signed_in(&user.actor)?;
    let added = async { relay.add_node(by, form.spec()?.check()?).await };
    match added.await {
        Ok(_) => Ok(back("added")),
        Err(error) => refused(&relay, &user, &frame, error, Refusal::of_new_node(form)).await,
    }
}

/// A node's name, capacity or status.
#[derive(Debug, Default, Deserialize)]
pub struct ChangeNodeForm {
    name: Option<String>,
    capacity: Option<String>,
    status: Option<String>,
}

/// `POST /nodes/{node_id}`
///
/// # Errors
/// 403 for whoever is no operator, 404 for an unknown node; a refused form is told on the page.
pub async fn change_node(
    State(relay): State<RelayService>,
    BrowserActor(user): BrowserActor,
    frame: Frame,
    Path(id): Path<NodeId>,
    Form(form): Form<ChangeNodeForm>,
) -> Result<Response, ApiError> {
    let by = Operator::signed_in(&user.actor)?;
    let changed = async {
        let change = NodeChange {
            name: form.name.clone(),
            capacity: form.capacity.as_deref().map(capacity).transpose()?,
            status: form.status.clone(),
        };
        relay.change_node(by, id, &change).await
    };
    match changed.await {
        Ok(_) => Ok(back("changed")),
        Err(error) => {
            let refusal = Refusal::of_change(id, form.name, form.capacity);
            refused(&relay, &user, &frame, error, refusal).await
        }
    }
}

/// Another key.
#[derive(Debug, Default, Deserialize)]
pub struct NodeKeyForm {
    #[serde(default)]
    key: SecretString,
}

/// `POST /nodes/{node_id}/key`
///
/// # Errors
/// As [`change_node`].
pub async fn rotate_node_key(
    State(relay): State<RelayService>,
    BrowserActor(user): BrowserActor,
    frame: Frame,
    Path(id): Path<NodeId>,
    Form(form): Form<NodeKeyForm>,
) -> Result<Response, ApiError> {
    let by = Operator::signed_in(&user.actor)?;
    match relay.rotate_node_key(by, id, form.key).await {
        Ok(_) => Ok(back("key")),
        Err(error) => refused(&relay, &user, &frame, error, Refusal::default()).await,
    }
}

/// `POST /nodes/{node_id}/remove`
///
/// # Errors
/// As [`change_node`].
pub async fn remove_node(
    State(relay): State<RelayService>,
    BrowserActor(user): BrowserActor,
    frame: Frame,
    Path(id): Path<NodeId>,
) -> Result<Response, ApiError> {
    let by = Operator::signed_in(&user.actor)?;
    match relay.remove_node(by, id).await {
        Ok(()) => Ok(back("removed")),
        Err(error) => refused(&relay, &user, &frame, error, Refusal::default()).await,
    }
}

/// Names for a region.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct RegionForm {
    #[serde(default)]
    pub(super) region: String,
    #[serde(default)]
    pub(super) label: String,
    /// Separated by commas or spaces.
    #[serde(default)]
    pub(super) aliases: String,
}

/// `POST /nodes/regions`
///
/// # Errors
/// 403 for whoever is no operator; a refused form is shown again.
pub async fn name_region(
    State(relay): State<RelayService>,
    BrowserActor(user): BrowserActor,
    frame: Frame,
    Form(form): Form<RegionForm>,
) -> Result<Response, ApiError> {
    let by = Operator::signed_in(&user.actor)?;
    let aliases = form.aliases.split([',', ' ']).map(str::trim);
    let aliases: Vec<_> = aliases
        .filter(|alias| !alias.is_empty())
        .map(str::to_owned)
        .collect();
    let named = async {
        let region = Region::check(&form.region, &form.label, &aliases)?;
        relay.name_region(by, region).await
    };
    match named.await {
        Ok(()) => Ok(back("region")),
        Err(error) => refused(&relay, &user, &frame, error, Refusal::of_region(form)).await,
    }
}
