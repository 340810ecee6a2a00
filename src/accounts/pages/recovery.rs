//! Forgotten passwords, and links that prove an address.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use super::account::in_field;
use super::joining::mail_is_on_its_way;
use super::views::{ForgotPage, LinkPage, ToldPage};
use crate::accounts::frame::Frame;
use crate::accounts::mail::LinkPurpose;
use crate::accounts::model::Password;
use crate::accounts::service::{AccountsService, PluginSessions};
use crate::http::form::Field;
use crate::http::page::{render, sentence};
use crate::http::{ApiError, Form, Peer, Query, status_of};
use crate::kernel::secret::{ExposeSecret, SecretString};
use crate::kernel::{Error, Kind};

const FORGOT: &str = "Forgotten password";
const RESET: &str = "Choose a new password";
const VERIFY: &str = "Confirm your address";

/// `GET /forgot`
pub async fn show_forgot(State(accounts): State<AccountsService>, frame: Frame) -> Response {
    if !accounts.has_mail() {
        let text = "this server sends no mails: ask whoever runs it for a link to a new password";
        return told(&frame, FORGOT, StatusCode::OK, text);
    }
    forgot(&frame, StatusCode::OK, "", None)
}

fn forgot(frame: &Frame, status: StatusCode, email: &str, problem: Option<String>) -> Response {
    let page = ForgotPage {
        shell: frame.visitor(FORGOT),
        email: Field::email("email", "E-mail").with_value(email),
        problem,
    };
    render(status, &page)
}

/// Whose password is forgotten.
#[derive(Debug, Deserialize)]
pub struct ForgotForm {
    #[serde(default)]
    email: String,
}

/// `POST /forgot`: the answer is the same whether or not anybody has the address.
///
/// # Errors
/// The store's.
pub async fn submit_forgot(
    State(accounts): State<AccountsService>,
    frame: Frame,
    peer: Peer,
    Form(form): Form<ForgotForm>,
) -> Result<Response, ApiError> {
    match accounts.request_reset(&form.email, peer.ip).await {
        Ok(()) => Ok(mail_is_on_its_way(&frame, FORGOT)),
        Err(error) if matches!(error.kind(), Kind::LimitReached | Kind::Unavailable) => {
            let (status, problem) = (status_of(error.kind()), sentence(error.message()));
            Ok(forgot(&frame, status, &form.email, Some(problem)))
        }
        Err(error) => Err(error.into()),
    }
}

/// The query of a page that a link opens.
#[derive(Debug, Deserialize)]
pub struct LinkQuery {
    #[serde(default)]
    token: SecretString,
}

/// `GET /reset`
///
/// # Errors
/// The store's.
pub async fn show_reset(
    State(accounts): State<AccountsService>,
    frame: Frame,
    Query(query): Query<LinkQuery>,
) -> Result<Response, ApiError> {
    let token = query.token.expose_secret();
    let checked = accounts.check_link(LinkPurpose::ResetPassword, token);
    match checked.await {
        Ok(()) => {
            let page = LinkPage::reset(frame.visitor(RESET), query.token, &[]);
            Ok(render(StatusCode::OK, &page))
        }
        Err(error) => refused(&frame, RESET, error),
    }
}

/// The new password.
#[derive(Debug, Deserialize)]
pub struct ResetForm {
    #[serde(default)]
    token: SecretString,
    #[serde(default)]
    new_password: SecretString,
    #[serde(default)]
    sign_out_plugins: Option<String>,
}

/// `POST /reset`
///
/// # Errors
/// The store's.
pub async fn submit_reset(
    State(accounts): State<AccountsService>,
    frame: Frame,
    peer: Peer,
    Form(form): Form<ResetForm>,
) -> Result<Response, ApiError> {
    let plugins = match form.sign_out_plugins {
        Some(_) => PluginSessions::Revoke,
        None => PluginSessions::Keep,
    };
    let token = form.token.expose_secret();
    let reset = match Password::parse(form.new_password) {
        Ok(new) => accounts.reset_by_link(token, &new, plugins, peer.ip).await,
        Err(error) => Err(in_field(&error, "new_password")),
    };
    match reset {
        Ok(()) => {
            let text = "your password is changed; sign in with it";
            Ok(told(&frame, RESET, StatusCode::OK, text))
        }
        Err(error) if error.kind() == Kind::Invalid => {
            let page = LinkPage::reset(frame.visitor(RESET), form.token, error.fields());
            Ok(render(StatusCode::UNPROCESSABLE_ENTITY, &page))
        }
        Err(error) => refused(&frame, RESET, error),
    }
}

/// `GET /verify`: opening a link changes nothing, because mail programs open links by themselves.
///
/// # Errors
/// The store's.
pub async fn show_verify(
    State(accounts): State<AccountsService>,
    frame: Frame,
    Query(query): Query<LinkQuery>,
) -> Result<Response, ApiError> {
    let token = query.token.expose_secret();
    let checked = accounts.check_link(LinkPurpose::VerifyAddress, token);
    match checked.await {
        Ok(()) => {
            let page = LinkPage::verify(frame.visitor(VERIFY), query.token);
            Ok(render(StatusCode::OK, &page))
        }
        Err(error) => refused(&frame, VERIFY, error),
    }
}

/// `POST /verify`
///
/// # Errors
/// The store's.
pub async fn submit_verify(
    State(accounts): State<AccountsService>,
    frame: Frame,
    peer: Peer,
    Form(form): Form<LinkQuery>,
) -> Result<Response, ApiError> {
    let token = form.token.expose_secret();
    match accounts.confirm_address(token, peer.ip).await {
        Ok(_) => {
            let text = "your address is confirmed; sign in with it";
            Ok(told(&frame, VERIFY, StatusCode::OK, text))
        }
        Err(error) => refused(&frame, VERIFY, error),
    }
}

fn refused(frame: &Frame, title: &str, error: Error) -> Result<Response, ApiError> {
    match error.kind() {
        Kind::Gone | Kind::LimitReached | Kind::Invalid | Kind::Unavailable => {
            let status = status_of(error.kind());
            let message = error.fields().first().map(|field| field.message.as_ref());
            Ok(told(
                frame,
                title,
                status,
                message.unwrap_or(error.message()),
            ))
        }
        _ => Err(error.into()),
    }
}

fn told(frame: &Frame, title: &str, status: StatusCode, text: &str) -> Response {
    let page = ToldPage {
        shell: frame.visitor(title),
        icon: if status == StatusCode::OK {
            "success"
        } else {
            "problem"
        },
        text: sentence(text),
        href: "/login",
        label: "Sign in",
    };
    render(status, &page)
}
