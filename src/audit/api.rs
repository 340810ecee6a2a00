//! `/api/v1/audit`: the log, for operators' programs.

use axum::Json as JsonBody;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::{AuditFilter, AuditLog, AuditRow, FilterTexts, PageRequest};
use crate::accounts::extract::PluginActor;
use crate::http::{ApiError, Query};

/// Which events.
#[derive(Debug, Default, Deserialize)]
pub struct AuditQuery {
    /// By whom: a user's id.
    #[serde(default)]
    actor: String,
    /// What, such as `user.created`.
    #[serde(default)]
    action: String,
    /// To what: an id.
    #[serde(default)]
    subject: String,
    /// Since when: RFC 3339, or a day.
    #[serde(default)]
    from: String,
    /// Until when, that moment excluded.
    #[serde(default)]
    until: String,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Events at most, 1 to 200.
    limit: Option<u32>,
}

/// A page of the log.
#[derive(Debug, Serialize)]
pub struct AuditView {
    /// The events, newest first.
    events: Vec<AuditRow>,
    /// Where the next page begins; `null` on the last one.
    next_cursor: Option<String>,
}

/// `GET /api/v1/audit`
///
/// # Errors
/// 400 for a filter that says nothing we know, 403 for whoever is no operator.
pub async fn list_audit_events(
    State(log): State<AuditLog>,
    PluginActor(actor): PluginActor,
    Query(query): Query<AuditQuery>,
) -> Result<JsonBody<AuditView>, ApiError> {
    let filter = AuditFilter::parse(&FilterTexts {
        actor: &query.actor,
        action: &query.action,
        subject: &query.subject,
        from: &query.from,
        until: &query.until,
    })?;
    let request = PageRequest::parse(query.cursor.as_deref(), query.limit)?;
    let page = log.page(&actor, filter, request).await?;
    Ok(JsonBody(AuditView {
        events: page.events,
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}
