//! The operators' page of the log.

use std::collections::HashMap;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use super::{AuditFilter, AuditLog, AuditPage, AuditRow, FilterTexts, PageRequest};
use crate::accounts::AccountsService;
use crate::accounts::extract::OperatorActor;
use crate::accounts::frame::Frame;
use crate::http::form::Field;
use crate::http::moment::Moment;
use crate::http::page::{Shell, render};
use crate::http::{ApiError, Query};
use crate::kernel::ids::UserId;
use crate::kernel::{Error, FieldError, Kind};

/// Which events.
#[derive(Debug, Default, Deserialize)]
pub struct AuditPageQuery {
    #[serde(default)]
    actor: String,
    #[serde(default)]
    action: String,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    until: String,
    cursor: Option<String>,
}

impl AuditPageQuery {
    fn parse(&self) -> Result<(AuditFilter, PageRequest), Error> {
        let filter = AuditFilter::parse(&FilterTexts {
            actor: &self.actor,
            action: &self.action,
            subject: &self.subject,
            from: &self.from,
            until: &self.until,
        })?;
        Ok((filter, PageRequest::parse(self.cursor.as_deref(), None)?))
    }

    fn at(&self, cursor: &str) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let filters = [
            ("actor", &self.actor),
            ("action", &self.action),
            ("subject", &self.subject),
            ("from", &self.from),
            ("until", &self.until),
        ];
        for (name, text) in filters {
            if !text.is_empty() {
                query.append_pair(name, text);
            }
        }
        format!("/audit?{}", query.append_pair("cursor", cursor).finish())
    }

    fn fields(&self, errors: &[FieldError]) -> Vec<Field> {
        let text = |name, label, hint, value: &str| {
            Field::text(name, label)
                .with_hint(hint)
                .with_max_length(128)
                .optional()
                .with_value(value)
                .with_error_among(errors)
        };
        let day = |name, label, value: &str| {
            Field::text(name, label)
                .with_type("date")
                .optional()
                .with_value(value)
                .with_error_among(errors)
        };
        vec![
            text(
                "actor",
                "By whom",
                "A user's id, such as usr_0197…",
                &self.actor,
            ),
            text("action", "What", "Such as user.created", &self.action),
            text("subject", "To what", "An id", &self.subject),
            day("from", "From", &self.from),
            day("until", "Until, that day excluded", &self.until),
        ]
    }
}

/// `GET /audit`
#[derive(Debug, Template)]
#[template(path = "pages/audit/audit.html")]
struct AuditLogPage {
    shell: Shell,
    fields: Vec<Field>,
    rows: Vec<EventRow>,
    next: Option<String>,
}

#[derive(Debug)]
struct EventRow {
    at: Moment,
    who: String,
    action: String,
    subject: String,
    detail: String,
}

fn row(event: &AuditRow, names: &HashMap<UserId, String>) -> EventRow {
    let who = match event.actor {
        Some(id) => names.get(&id).cloned().unwrap_or_else(|| id.to_string()),
        None => "the appliance, or its command line".to_owned(),
    };
    EventRow {
        at: event.at.into(),
        who,
        action: event.action.clone(),
        subject: event.subject.clone(),
        detail: event.detail.clone(),
    }
}

/// `GET /audit`
///
/// # Errors
/// The store's.
pub async fn show_audit(
    State(log): State<AuditLog>,
    State(accounts): State<AccountsService>,
    OperatorActor(user): OperatorActor,
    frame: Frame,
    Query(query): Query<AuditPageQuery>,
) -> Result<Response, ApiError> {
    let shown = match query.parse() {
        Ok((filter, request)) => log.page(&user.actor, filter, request).await,
        Err(error) => Err(error),
    };
    let (status, page, errors) = match shown {
        Ok(page) => (StatusCode::OK, page, Vec::new()),
        Err(error) if error.kind() == Kind::Invalid => {
            let nothing = AuditPage {
                events: Vec::new(),
                next: None,
            };
            let errors = error.fields().to_vec();
            (StatusCode::UNPROCESSABLE_ENTITY, nothing, errors)
        }
        Err(error) => return Err(error.into()),
    };
    let actors = page.events.iter().filter_map(|event| event.actor).collect();
    let names = accounts.display_names(&user.actor, actors).await?;
    let next = page.next.map(|cursor| query.at(&cursor.to_string()));
    let page = AuditLogPage {
        shell: frame.at("/users").signed_in("Audit log", &user),
        fields: query.fields(&errors),
        rows: page.events.iter().map(|event| row(event, &names)).collect(),
        next,
    };
    Ok(render(status, &page))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::page_check::assert_sound_page;
    use crate::kernel::{Role, UnixMillis};
    use crate::live::views::tests::shell;

    #[test]
    fn the_page_is_sound_and_shows_what_was_written_as_text() {
        let query = AuditPageQuery {
            action: "\"><script>".to_owned(),
            ..AuditPageQuery::default()
        };
        let event = AuditRow {
            id: crate::kernel::ids::EventId::generate(),
            at: UnixMillis(0),
            actor: None,
            action: "user.created".to_owned(),
            subject: "usr_1".to_owned(),
            detail: "<script>".to_owned(),
        };
        let errors = [FieldError::new("from", "invalid", "give a day")];
        let page = AuditLogPage {
            shell: shell("Audit log", "/users", Role::Operator),
            fields: query.fields(&errors),
            rows: vec![row(&event, &HashMap::new())],
            next: Some(query.at("1.evt")),
        };
        let html = page.render().unwrap();
        assert_sound_page(&html);
        assert!(!html.contains("<script>"));
        assert!(html.contains("/audit?action=%22%3E%3Cscript%3E&#38;cursor=1.evt"));
    }
}
