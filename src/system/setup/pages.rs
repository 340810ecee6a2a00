//! `/setup`: claims the appliance.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::header::SET_COOKIE;
use http::{HeaderMap, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::gate::waiting_page;
use super::{Claim, SetupService};
use crate::accounts::extract::{browser_client, set_session_cookie};
use crate::accounts::frame::Frame;
use crate::accounts::{AccountsService, DisplayName, Email, NewUser, Password, User};
use crate::http::page::render;
use crate::http::{ApiError, Form, Peer, Query};
use crate::kernel::{self, Error, FieldError, Kind, Role};
use crate::relay::RelayService;
use crate::settings::{Settings, validate_host};
use crate::slots::SlotsService;
use crate::system::views::{SetupForm, SetupPage, SetupValues};

/// The setup address's query.
#[derive(Debug, Deserialize)]
pub struct SetupQuery {
    token: Option<SecretString>,
}

/// The form, for whoever comes with a good token.
///
/// # Errors
/// The store's.
pub async fn show_setup(
    State(setup): State<SetupService>,
    State(settings): State<Settings>,
    frame: Frame,
    Query(query): Query<SetupQuery>,
) -> Result<Response, ApiError> {
    if setup.is_claimed().await? {
        return Ok(Redirect::to("/live").into_response());
    }
    let Some(token) = query.token else {
        return Ok(waiting_page(&frame, false));
    };
    if !setup.is_good_token(token.expose_secret()).await? {
        return Ok(waiting_page(&frame, true));
    }
    let address = settings.public_address();
    let values = SetupValues {
        public_host: &address.host,
        is_host_configured: settings.is_public_host_fixed(),
        ..SetupValues::default()
    };
    Ok(form(&frame, StatusCode::OK, &token, values, &[], None))
}

/// What the form sends.
#[derive(Debug, Deserialize)]
pub struct SetupInput {
    token: SecretString,
    #[serde(default)]
    email: String,
    #[serde(default)]
    display_name: String,
    password: Option<SecretString>,
    public_host: Option<String>,
}

/// Claims the appliance, signs its owner in and shows where to stream to.
///
/// # Errors
/// The store's. Bad input is answered by the form again.
#[expect(
    clippy::too_many_arguments,
    reason = "each argument is one extractor of one service"
)]
pub async fn submit_setup(
    State(setup): State<SetupService>,
    State(settings): State<Settings>,
    State(accounts): State<AccountsService>,
    State(relay): State<RelayService>,
    State(slots): State<SlotsService>,
    frame: Frame,
    peer: Peer,
    headers: HeaderMap,
    Form(input): Form<SetupInput>,
) -> Result<Response, ApiError> {
    if setup.is_claimed().await? {
        return Ok(Redirect::to("/live").into_response());
    }
    let claimed = match check(&input, settings.is_public_host_fixed()) {
        Ok(claim) => setup.claim(input.token.expose_secret(), claim).await,
        Err(error) => Err(error),
    };
    let user = match claimed {
        Ok(user) => user,
        Err(error) => return again(&settings, &frame, &input, error),
    };
    // The owner is there whatever comes of this, and a job registers what is missing.
    if let Err(error) = relay.sync_user(user.id).await {
        tracing::warn!(error = %error, "the owner's slots are not on the relay yet");
    }
    let first = slots.list(user.id).await?.first().map(|slot| slot.id);
    let to = first.map_or_else(
        || "/live?welcome=1".to_owned(),
        |slot_id| format!("/live?welcome=1&reveal={slot_id}"),
    );
    let cookie = sign_in(&accounts, &user, &peer, &headers).await?;
    Ok(([(SET_COOKIE, cookie)], Redirect::to(&to)).into_response())
}

async fn sign_in(
    accounts: &AccountsService,
    user: &User,
    peer: &Peer,
    headers: &HeaderMap,
) -> kernel::Result<String> {
    let client = browser_client(peer, headers);
    let session = accounts.begin_browser_session(user, &client, None).await?;
    let life = accounts.config().cookie_life();
    Ok(set_session_cookie(
        session.token.expose_secret(),
        life,
        peer.is_https,
    ))
}

/// Checks every field, so that all complaints come at once.
fn check(input: &SetupInput, is_host_fixed: bool) -> kernel::Result<Claim> {
    let mut fields: Vec<FieldError> = Vec::new();
    let mut note = |error: Error| fields.extend(error.fields().iter().cloned());
    let email = Email::parse(&input.email).map_err(&mut note).ok();
    let display_name = DisplayName::parse(&input.display_name)
        .map_err(&mut note)
        .ok();
    let password = input.password.clone().unwrap_or_default();
    let password = Password::parse(password).map_err(&mut note).ok();
    let host = input.public_host.as_deref().filter(|_| !is_host_fixed);
    let host = host.map(validate_host).transpose().unwrap_or_else(|error| {
        fields.push(FieldError::new(
            "public_host",
            "invalid_host",
            error.to_string(),
        ));
        None
    });
    match (email, display_name, password) {
        (Some(email), Some(display_name), Some(password)) if fields.is_empty() => Ok(Claim {
            owner: NewUser {
                email,
                display_name,
                role: Role::Owner,
                password,
            },
            public_host: host,
        }),
        _ => Err(Error::invalid_fields(fields)),
    }
}

/// The form with what was typed, the password apart; the explanation when the token is not good any more.
fn again(
    settings: &Settings,
    frame: &Frame,
    input: &SetupInput,
    error: Error,
) -> Result<Response, ApiError> {
    match error.kind() {
        Kind::Gone => return Ok(waiting_page(frame, true)),
        Kind::Invalid | Kind::Conflict => {}
        _ => return Err(error.into()),
    }
    let address = settings.public_address();
    let values = SetupValues {
        email: &input.email,
        display_name: &input.display_name,
        public_host: input.public_host.as_deref().unwrap_or(&address.host),
        is_host_configured: settings.is_public_host_fixed(),
    };
    let problem = error
        .fields()
        .is_empty()
        .then(|| error.message().to_owned());
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    Ok(form(
        frame,
        status,
        &input.token,
        values,
        error.fields(),
        problem,
    ))
}

fn form(
    frame: &Frame,
    status: StatusCode,
    token: &SecretString,
    values: SetupValues<'_>,
    errors: &[FieldError],
    problem: Option<String>,
) -> Response {
    let shell = frame.visitor("Set up this appliance");
    let form = SetupForm::new(values, errors);
    render(
        status,
        &SetupPage {
            shell,
            token: token.expose_secret().to_owned(),
            problem,
            form,
        },
    )
}
