//! What an operator may change of a node.
//!
//! Invariant: a change is checked by the same rules as a new node.

use serde::Deserialize;
use utoipa::ToSchema;

use super::model::{NodeStatus, check_capacity, name_like};
use crate::kernel::{Error, Result};

/// A change; what is left out stays as it is.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
pub struct NodeChange {
    /// What operators call it; external nodes only.
    #[schema(example = "kc1")]
    pub name: Option<String>,
    /// Sessions that it takes; external nodes only.
    #[schema(example = 10)]
    pub capacity: Option<u32>,
    /// `active`, `draining` or `inactive`.
    #[schema(example = "draining")]
    pub status: Option<String>,
}

/// A checked change.
#[derive(Debug, Clone, Default)]
pub(in crate::relay) struct CheckedChange {
    pub(in crate::relay) name: Option<String>,
    pub(in crate::relay) capacity: Option<u32>,
    pub(in crate::relay) status: Option<NodeStatus>,
}

impl NodeChange {
    /// Nothing but another status.
    #[must_use]
    pub fn to_status(status: &str) -> Self {
        Self {
            status: Some(status.to_owned()),
            ..Self::default()
        }
    }

    /// The checked change.
    ///
    /// # Errors
    /// `Invalid`, naming the field.
    pub(in crate::relay) fn check(&self) -> Result<CheckedChange> {
        let name = self.name.as_deref().map(|name| name_like("name", name));
        Ok(CheckedChange {
            name: name.transpose()?,
            capacity: self.capacity.map(check_capacity).transpose()?,
            status: self.status.as_deref().map(status).transpose()?,
        })
    }
}

/// The status that an operator asks for.
fn status(text: &str) -> Result<NodeStatus> {
    let status = text.parse().ok();
    status
        .filter(|status| *status != NodeStatus::Removed)
        .ok_or_else(|| {
            let message = "a status is active, draining or inactive";
            Error::invalid_field("status", "invalid_format", message)
        })
}
