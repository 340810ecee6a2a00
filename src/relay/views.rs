//! What the page of relay nodes shows.
//!
//! Invariant: no key of a node is in a page.

use askama::Template;

use super::api::NodeView;
use super::pages::{AddNodeForm, RegionForm};
use super::service::{NamesStatus, RegionOffer};
use crate::http::form::Field;
use crate::http::moment::Moment;
use crate::http::page::{Shell, sentence};
use crate::kernel::FieldError;
use crate::kernel::ids::NodeId;

/// Which form was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefusedForm {
    /// The one that adds a node.
    Add,
    /// The one that names a region.
    Region,
}

impl RefusedForm {
    /// The fields at which it can tell what is wrong.
    pub(super) const fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Add => &[
                "name",
                "region",
                "url",
                "key",
                "link_stats_url",
                "public_host",
                "capacity",
                "srtla_port",
                "srt_publish_port",
                "srt_play_port",
                "stats_port",
                "api_calls_per_minute",
                "stats_calls_per_minute",
            ],
            Self::Region => &[],
        }
    }
}

/// What was typed into the form of a node: name and capacity.
type TypedChange = (NodeId, Option<String>, Option<String>);

/// What was refused, as it was typed.
#[derive(Debug, Default)]
pub(super) struct Refusal {
    pub(super) form: Option<RefusedForm>,
    pub(super) errors: Vec<FieldError>,
    add: AddNodeForm,
    region: RegionForm,
    change: Option<TypedChange>,
}

impl Refusal {
    pub(super) fn of_new_node(add: AddNodeForm) -> Self {
        Self {
            form: Some(RefusedForm::Add),
            add,
            ..Self::default()
        }
    }

    pub(super) fn of_region(region: RegionForm) -> Self {
        Self {
            form: Some(RefusedForm::Region),
            region,
            ..Self::default()
        }
    }

    pub(super) fn of_change(id: NodeId, name: Option<String>, capacity: Option<String>) -> Self {
        Self {
            change: Some((id, name, capacity)),
            ..Self::default()
        }
    }
}

/// `GET /nodes`
#[derive(Debug, Template)]
#[template(path = "pages/relay/nodes.html")]
pub(super) struct NodesPage {
    shell: Shell,
    nodes: Vec<NodeCard>,
    regions: Vec<RegionRow>,
    /// The DNS names of slots, when there are any.
    names: Option<NamesStatus>,
    names_trouble: String,
    /// Of the form that adds a node, in its order.
    fields: Vec<Field>,
    /// What it has for those whose SLS is not as it comes, and whether one of them is wrong.
    more_fields: Vec<Field>,
    are_more_wrong: bool,
    region: RegionForm,
}

/// One node.
#[derive(Debug)]
struct NodeCard {
    view: NodeView,
    health: &'static str,
    badge: &'static str,
    status: &'static str,
    added: Moment,
    /// Why it is down, and what else is wrong, as sentences.
    reason: String,
    notices: Vec<String>,
    /// Whether what was typed into its form was refused.
    is_refused: bool,
    /// What the form holds: the node's own, or what was refused.
    name: String,
    capacity: String,
}

/// One region.
#[derive(Debug)]
struct RegionRow {
    id: String,
    label: String,
    aliases: String,
}

impl NodesPage {
    pub(super) fn new(
        shell: Shell,
        nodes: Vec<NodeView>,
        regions: &[RegionOffer],
        names: Option<NamesStatus>,
        refusal: Refusal,
    ) -> Self {
        let regions = regions.iter().map(|offer| RegionRow {
            id: offer.region.id.clone(),
            label: offer.region.label.clone(),
            aliases: offer.region.aliases.join(", "),
        });
        let card = |view| card(view, refusal.change.as_ref());
        let errors: &[FieldError] = match refusal.form {
            Some(RefusedForm::Add) => &refusal.errors,
            Some(RefusedForm::Region) | None => &[],
        };
        let more_fields = refusal.add.more_fields(errors);
        Self {
            shell,
            nodes: nodes.into_iter().map(card).collect(),
            regions: regions.collect(),
            names_trouble: names
                .as_ref()
                .map(|names| sentence(&names.trouble))
                .unwrap_or_default(),
            names,
            fields: refusal.add.fields(errors),
            are_more_wrong: more_fields.iter().any(|field| field.error.is_some()),
            more_fields,
            region: refusal.region,
        }
    }
}

fn card(view: NodeView, refused: Option<&TypedChange>) -> NodeCard {
    let (health, badge) = match view.health {
        "up" => ("up", "success"),
        "down" => ("down", "problem"),
        _ => ("not asked yet", "waiting"),
    };
    let status = match view.status {
        "draining" => "keeps its sessions and takes no others",
        "inactive" => "has no sessions: they move to other nodes",
        _ => "takes sessions",
    };
    let typed = refused.filter(|(id, _, _)| *id == view.id);
    let (typed_name, typed_capacity) = match typed {
        Some((_, name, capacity)) => (name.clone(), capacity.clone()),
        None => (None, None),
    };
    NodeCard {
        health,
        badge,
        status,
        added: view.created_at.into(),
        reason: sentence(&view.reason),
        notices: view.notices.iter().map(|it| sentence(it)).collect(),
        is_refused: typed.is_some(),
        name: typed_name.unwrap_or_else(|| view.name.clone()),
        capacity: typed_capacity.unwrap_or_else(|| view.capacity.to_string()),
        view,
    }
}

#[cfg(test)]
#[path = "views_tests.rs"]
mod tests;
