//! The own e-mail address.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use serde::Deserialize;

use super::account::stale_sign_in;
use super::views::AddressPage;
use crate::accounts::extract::BrowserActor;
use crate::accounts::frame::Frame;
use crate::accounts::model::{Email, SignedIn};
use crate::accounts::proof_fields::{ProofFields, ProofNames};
use crate::accounts::service::{AccountsService, AddressChange};
use crate::http::form::Field;
use crate::http::page::{DoneQuery, Flash, render, sentence};
use crate::http::{ApiError, Form, Query, status_of};
use crate::kernel::secret::SecretString;
use crate::kernel::{FieldError, Kind};

const NAMES: ProofNames<'static> = ProofNames {
    password: "current_password",
    password_label: "Your password",
    code: "code",
    page: "/account/address",
};

/// The sentence for what a form did.
fn done(word: &str) -> Option<&'static str> {
    match word {
        "sent" => Some("Look into your mail: the link is on its way."),
        _ => None,
    }
}

/// `GET /account/address`
///
/// # Errors
/// The store's.
pub async fn show_address(
    State(accounts): State<AccountsService>,
    BrowserActor(user): BrowserActor,
    frame: Frame,
    Query(query): Query<DoneQuery>,
) -> Result<Response, ApiError> {
    let flash = query.flash(done);
    page(&accounts, &user, &frame, StatusCode::OK, flash, "", &[]).await
}

async fn page(
    accounts: &AccountsService,
    user: &SignedIn,
    frame: &Frame,
    status: StatusCode,
    flash: Option<Flash>,
    typed: &str,
    errors: &[FieldError],
) -> Result<Response, ApiError> {
    let known = accounts.user(user.actor.user_id).await?;
    let due = accounts.first_proof_due(&user.actor).await?;
    let frame = frame.at("/account/address");
    let page = AddressPage {
        shell: frame.signed_in("E-mail address", user).with_flash(flash),
        current: known.email,
        is_verified: known.email_verified_at.is_some(),
        has_mail: accounts.has_mail(),
        email: Field::email("email", "New address")
            .with_autocomplete("email")
            .with_value(typed)
            .with_error_among(errors),
        proof: ProofFields::of_first(&due, NAMES, errors),
    };
    Ok(render(status, &page))
}

/// The form that changes the address.
#[derive(Debug, Deserialize)]
pub struct AddressForm {
    #[serde(default)]
    email: String,
    #[serde(default)]
    current_password: SecretString,
}

/// `POST /account/address`
///
/// # Errors
/// The store's.
pub async fn change_address(
    State(accounts): State<AccountsService>,
    BrowserActor(user): BrowserActor,
    frame: Frame,
    Form(form): Form<AddressForm>,
) -> Result<Response, ApiError> {
    let changed = match Email::parse(&form.email) {
        Ok(email) => {
            let password = form.current_password;
            accounts.change_address(&user.actor, password, email).await
        }
        Err(error) => Err(error),
    };
    match changed {
        Ok(AddressChange::Done) => Ok(Redirect::to("/account?done=address").into_response()),
        Ok(AddressChange::MailSent) => {
            Ok(Redirect::to("/account/address?done=sent").into_response())
        }
        Err(error) if matches!(error.kind(), Kind::Invalid | Kind::LimitReached) => {
            let flash = match error.fields() {
                [] => Some(Flash::problem(sentence(error.message()))),
                _ => stale_sign_in(&error),
            };
            let status = match error.kind() {
                Kind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
                other => status_of(other),
            };
            let (typed, errors) = (&form.email, error.fields());
            page(&accounts, &user, &frame, status, flash, typed, errors).await
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /account/address/confirm`: sends another link.
///
/// # Errors
/// The store's.
pub async fn ask_for_confirmation(
    State(accounts): State<AccountsService>,
    BrowserActor(user): BrowserActor,
) -> Result<Redirect, ApiError> {
    accounts.ask_for_confirmation(&user.actor).await?;
    Ok(Redirect::to("/account/address?done=sent"))
}
