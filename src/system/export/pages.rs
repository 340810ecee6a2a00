//! The pages on which people take their data along, and leave.

use askama::Template;
use axum::extract::State;
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;

use super::Departures;
use crate::accounts::AccountsService;
use crate::accounts::extract::{BrowserActor, OperatorActor, set_session_cookie};
use crate::accounts::frame::Frame;
use crate::accounts::model::SignedIn;
use crate::accounts::pages::{Told, user_page};
use crate::http::form::Field;
use crate::http::page::{Flash, Shell, render, sentence};
use crate::http::{ApiError, Form, Path, Peer, status_of};
use crate::kernel::ids::UserId;
use crate::kernel::secret::SecretString;
use crate::kernel::{Error, FieldError, Kind};

/// `GET /account/data`
#[derive(Debug, Template)]
#[template(path = "pages/system/data.html")]
struct DataPage {
    shell: Shell,
    export_password: Field,
    delete_password: Field,
}

fn data_page(
    frame: &Frame,
    user: &SignedIn,
    status: StatusCode,
    flash: Option<Flash>,
    errors: [&[FieldError]; 2],
) -> Response {
    let field = |name, errors: &[FieldError]| {
        let error = errors.first().map(|error| error.message.to_string());
        Field::current_password(name, "Your password").with_error(error)
    };
    let frame = frame.at("/account/data");
    let page = DataPage {
        shell: frame.signed_in("Your data", user).with_flash(flash),
        export_password: field("export_password", errors[0]),
        delete_password: field("delete_password", errors[1]),
    };
    render(status, &page)
}

/// `GET /account/data`
pub async fn show_data(BrowserActor(user): BrowserActor, frame: Frame) -> Response {
    data_page(&frame, &user, StatusCode::OK, None, [&[], &[]])
}

/// The form that exports.
#[derive(Debug, Deserialize)]
pub struct ExportForm {
    #[serde(default)]
    export_password: SecretString,
}

/// `POST /account/data/export`: the file.
///
/// # Errors
/// The store's.
pub async fn export_data(
    State(departures): State<Departures>,
    BrowserActor(user): BrowserActor,
    frame: Frame,
    Form(form): Form<ExportForm>,
) -> Result<Response, ApiError> {
    match departures.export(&user.actor, form.export_password).await {
        Ok(export) => {
            let text = serde_json::to_vec_pretty(&export).map_err(Error::internal)?;
            let headers = AppendHeaders([
                (header::CONTENT_TYPE, "application/json"),
                (
                    header::CONTENT_DISPOSITION,
                    "attachment; filename=\"golivebro-data.json\"",
                ),
                (header::CACHE_CONTROL, "no-store"),
            ]);
            Ok((headers, text).into_response())
        }
        Err(error) => again(&frame, &user, error, Which::Export),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Export,
    Delete,
}

fn again(frame: &Frame, user: &SignedIn, error: Error, which: Which) -> Result<Response, ApiError> {
    let status = match error.kind() {
        Kind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::Conflict | Kind::LimitReached | Kind::Unavailable => status_of(error.kind()),
        _ => return Err(error.into()),
    };
    let flash = error.fields().is_empty().then(|| problem(&error));
    let errors = match which {
        Which::Export => [error.fields(), &[]],
        Which::Delete => [&[], error.fields()],
    };
    Ok(data_page(frame, user, status, flash, errors))
}

fn problem(error: &Error) -> Flash {
    Flash::problem(sentence(error.message()))
}

/// The form that deletes.
#[derive(Debug, Deserialize)]
pub struct DeleteForm {
    #[serde(default)]
    delete_password: SecretString,
}

/// `POST /account/data/delete`: the caller leaves for good.
///
/// # Errors
/// The store's.
pub async fn delete_account(
    State(departures): State<Departures>,
    BrowserActor(user): BrowserActor,
    frame: Frame,
    peer: Peer,
    Form(form): Form<DeleteForm>,
) -> Result<Response, ApiError> {
    let by = Some((&user.actor, form.delete_password));
    match departures.delete(by, user.actor.user_id).await {
        Ok(()) => {
            let cookie = set_session_cookie("", std::time::Duration::ZERO, peer.is_https);
            let headers = AppendHeaders([(header::SET_COOKIE, cookie)]);
            Ok((headers, Redirect::to("/login")).into_response())
        }
        Err(error) => again(&frame, &user, error, Which::Delete),
    }
}

/// The form that deletes somebody else.
#[derive(Debug, Deserialize)]
pub struct DeleteUserForm {
    #[serde(default)]
    current_password: SecretString,
}

/// `POST /users/{user_id}/delete`
///
/// # Errors
/// 403 for a user whom the caller may not manage, 404 for an unknown one.
pub async fn delete_user(
    State(departures): State<Departures>,
    State(accounts): State<AccountsService>,
    OperatorActor(operator): OperatorActor,
    frame: Frame,
    Path(id): Path<UserId>,
    Form(form): Form<DeleteUserForm>,
) -> Result<Response, ApiError> {
    let by = Some((&operator.actor, form.current_password));
    let error = match departures.delete(by, id).await {
        Ok(()) => return Ok(Redirect::to("/users").into_response()),
        Err(error) => error,
    };
    let status = match error.kind() {
        Kind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::Conflict | Kind::LimitReached => status_of(error.kind()),
        _ => return Err(error.into()),
    };
    let told = Told {
        flash: error.fields().is_empty().then(|| problem(&error)),
        errors: error.fields(),
        link: None,
    };
    let mut page = user_page(&accounts, &operator, &frame, id, status, told).await?;
    if let Some(wait) = error.retry_after_hint() {
        let seconds = HeaderValue::from(wait.as_secs().max(1));
        page.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::page_check::assert_sound_page;
    use crate::kernel::Role;
    use crate::live::views::tests::shell;

    #[test]
    fn the_page_is_sound_and_a_complaint_stands_at_its_own_form() {
        let error = Some("This is not your current password.".to_owned());
        let page = DataPage {
            shell: shell("Your data", "/account/data", Role::Streamer),
            export_password: Field::current_password("export_password", "Your password"),
            delete_password: Field::current_password("delete_password", "Your password")
                .with_error(error),
        };
        let html = page.render().unwrap();
        assert_sound_page(&html);
        assert!(html.contains("id=\"delete_password-error\""));
        assert!(!html.contains("id=\"export_password-error\""));
    }
}
