//! `/api/v1/audit`: the log, for operators' programs.

use axum::Json as JsonBody;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditPage)]
pub struct AuditView {
    /// The events, newest first.
    events: Vec<AuditRow>,
    /// Where the next page begins; `null` on the last one.
    #[schema(example = "1774300000123.evt_0197f3a2b4c87d10a1b2c3d4e5f60718")]
    next_cursor: Option<String>,
}

/// What was done with power, newest first, for operators.
///
/// # Errors
/// 400 for a filter that says nothing we know, 403 for whoever is no operator.
#[utoipa::path(
    get, path = "/api/v1/audit", tag = "Server", security(("plugin" = [])),
    params(
        ("actor" = Option<String>, Query, description = "By whom: a user's id."),
        ("action" = Option<String>, Query, description = "What was done.", example = "user.created"),
        ("subject" = Option<String>, Query, description = "To what: an id."),
        ("from" = Option<String>, Query, description = "Since when: RFC 3339, or a day.", example = "2026-11-21"),
        ("until" = Option<String>, Query, description = "Until when, that moment excluded."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
        ("limit" = Option<u32>, Query, description = "Events at most, 1 to 200.", minimum = 1, maximum = 200),
    ),
    responses((status = 200, description = "A page of events.", body = AuditView)),
    extensions(("x-errors" = json!(["forbidden"]))),
)]
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
