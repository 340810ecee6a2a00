//! The pages on which people take their data along, and leave.

mod merging;

pub use merging::{decline_merge, merge, show_merge};

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
use crate::accounts::pages::{Told, stale_sign_in, user_page};
use crate::accounts::proof_fields::{ProofFields, ProofNames};
use crate::accounts::service::{Proofs, ProofsDue};
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
    export_proof: ProofFields,
    delete_proof: ProofFields,
}

const PAGE: &str = "/account/data";

impl DataPage {
    /// With the messages about each form's fields.
    fn new(shell: Shell, due: &ProofsDue, errors: [&[FieldError]; 2]) -> Self {
        let names = |password, code| ProofNames {
            password,
            password_label: "Your password",
            code,
            page: PAGE,
        };
        let (export, delete) = (
            names("export_password", "export_code"),
            names("delete_password", "delete_code"),
        );
        Self {
            shell,
            export_proof: ProofFields::new(due, export, errors[0]),
            delete_proof: ProofFields::new(due, delete, errors[1]),
        }
    }
}

async fn data_page(
    accounts: &AccountsService,
    frame: &Frame,
    user: &SignedIn,
    status: StatusCode,
    flash: Option<Flash>,
    errors: [&[FieldError]; 2],
) -> Result<Response, ApiError> {
    let due = accounts.proofs_due(&user.actor).await?;
    let shell = frame.at(PAGE).signed_in("Your data", user);
    let page = DataPage::new(shell.with_flash(flash), &due, errors);
    Ok(render(status, &page))
}

/// `GET /account/data`
///
/// # Errors
/// The store's.
pub async fn show_data(
    State(accounts): State<AccountsService>,
    BrowserActor(user): BrowserActor,
    frame: Frame,
) -> Result<Response, ApiError> {
    data_page(&accounts, &frame, &user, StatusCode::OK, None, [&[], &[]]).await
}

/// The form that exports.
#[derive(Debug, Deserialize)]
pub struct ExportForm {
    #[serde(default)]
    export_password: SecretString,
    #[serde(default)]
    export_code: SecretString,
}

/// `POST /account/data/export`: the file.
///
/// # Errors
/// The store's.
pub async fn export_data(
    State(departures): State<Departures>,
    State(accounts): State<AccountsService>,
    BrowserActor(user): BrowserActor,
    frame: Frame,
    Form(form): Form<ExportForm>,
) -> Result<Response, ApiError> {
    let proofs = Proofs {
        password: form.export_password,
        code: form.export_code,
    };
    match departures.export(&user.actor, proofs).await {
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
        Err(error) => again(&accounts, &frame, &user, error, Which::Export).await,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Export,
    Delete,
}

async fn again(
    accounts: &AccountsService,
    frame: &Frame,
    user: &SignedIn,
    error: Error,
    which: Which,
) -> Result<Response, ApiError> {
    let status = match error.kind() {
        Kind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::Conflict | Kind::LimitReached | Kind::Unavailable => status_of(error.kind()),
        _ => return Err(error.into()),
    };
    let flash = told_above(&error);
    let errors = match which {
        Which::Export => [error.fields(), &[]],
        Which::Delete => [&[], error.fields()],
    };
    data_page(accounts, frame, user, status, flash, errors).await
}

/// What belongs to no field that the page has.
fn told_above(error: &Error) -> Option<Flash> {
    match error.fields() {
        [] => Some(Flash::problem(sentence(error.message()))),
        _ => stale_sign_in(error),
    }
}

/// The form that deletes.
#[derive(Debug, Deserialize)]
pub struct DeleteForm {
    #[serde(default)]
    delete_password: SecretString,
    #[serde(default)]
    delete_code: SecretString,
}

/// `POST /account/data/delete`: the caller leaves for good.
///
/// # Errors
/// The store's.
pub async fn delete_account(
    State(departures): State<Departures>,
    State(accounts): State<AccountsService>,
    BrowserActor(user): BrowserActor,
    frame: Frame,
    peer: Peer,
    Form(form): Form<DeleteForm>,
) -> Result<Response, ApiError> {
    let proofs = Proofs {
        password: form.delete_password,
        code: form.delete_code,
    };
    let by = Some((&user.actor, proofs));
    match departures.delete(by, user.actor.user_id).await {
        Ok(()) => {
            let cookie = set_session_cookie("", std::time::Duration::ZERO, peer.is_https);
            let headers = AppendHeaders([(header::SET_COOKIE, cookie)]);
            Ok((headers, Redirect::to("/login")).into_response())
        }
        Err(error) => again(&accounts, &frame, &user, error, Which::Delete).await,
    }
}

/// The form that deletes somebody else.
#[derive(Debug, Deserialize)]
pub struct DeleteUserForm {
    #[serde(default)]
    current_password: SecretString,
    #[serde(default)]
    code: SecretString,
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
    let proofs = Proofs {
        password: form.current_password,
        code: form.code,
    };
    let by = Some((&operator.actor, proofs));
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
        flash: told_above(&error),
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
    use crate::accounts::service::FirstProof;
    use crate::http::page_check::assert_sound_page;
    use crate::kernel::Role;
    use crate::live::views::tests::shell;

    #[test]
    fn the_page_is_sound_and_a_complaint_stands_at_its_own_form() {
        let due = ProofsDue {
            first: FirstProof::Password,
            code: true,
        };
        let message = "This is not your current password.";
        let wrong = [FieldError::new(
            "current_password",
            "wrong_password",
            message,
        )];
        let shell = shell("Your data", PAGE, Role::Streamer);
        let page = DataPage::new(shell, &due, [&[], &wrong]);
        let html = page.render().unwrap();
        assert_sound_page(&html);
        assert!(html.contains("id=\"delete_password-error\""));
        assert!(!html.contains("id=\"export_password-error\""));
        assert!(html.contains("id=\"export_code\"") && html.contains("id=\"delete_code\""));
    }
}
