//! The setup page.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::service::{Claim, SetupService};
use crate::accounts::extract::{browser_client, session_cookie};
use crate::accounts::frame::Frame;
use crate::accounts::pages::{admit, enter, field_errors};
use crate::accounts::{AccountsService, DisplayName, Email, Password};
use crate::http::page::render;
use crate::http::{ApiError, Form, Peer, Query};
use crate::kernel::secret::{ExposeSecret, SecretString};
use crate::kernel::{FieldError, Kind};
use crate::relay::RelayService;
use crate::settings::Settings;
use crate::system::views::{SetupForm, SetupPage, SetupValues, SetupWaitingPage};

const TITLE: &str = "Set up your appliance";
/// Where the setup ends: the panel that waits for the first packet.
const AFTER: &str = "/live?welcome=1";

/// The query of the setup page.
#[derive(Deserialize)]
pub struct TokenQuery {
    token: Option<SecretString>,
}

impl std::fmt::Debug for TokenQuery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenQuery(***)")
    }
}

/// `GET /setup?token=...`: the form, or how to get to it.
///
/// # Errors
/// The store's.
pub async fn get_setup(
    State(setup): State<SetupService>,
    State(settings): State<Settings>,
    frame: Frame,
    Query(query): Query<TokenQuery>,
) -> Result<Response, ApiError> {
    if setup.is_claimed().await? {
        return Ok(Redirect::to("/live").into_response());
    }
    let Some(token) = query.token else {
        return Ok(waiting(&frame, false));
    };
    if !setup.is_token_good(token.expose_secret()).await? {
        return Ok(waiting(&frame, true));
    }
    let host = settings.public_address().host.clone();
    let values = SetupValues {
        public_host: &host,
        is_host_configured: settings.is_public_host_fixed(),
        ..SetupValues::default()
    };
    Ok(form_page(&frame, &token, values, StatusCode::OK, None, &[]))
}

fn waiting(frame: &Frame, is_token_refused: bool) -> Response {
    let status = if is_token_refused {
        StatusCode::GONE
    } else {
        StatusCode::OK
    };
    let shell = frame.visitor(TITLE);
    render(
        status,
        &SetupWaitingPage {
            shell,
            is_token_refused,
        },
    )
}

fn form_page(
    frame: &Frame,
    token: &SecretString,
    values: SetupValues<'_>,
    status: StatusCode,
    problem: Option<String>,
    errors: &[FieldError],
) -> Response {
    let page = SetupPage {
        shell: frame.visitor(TITLE),
        token: token.expose_secret().to_owned(),
        problem,
        form: SetupForm::new(values, errors),
    };
    render(status, &page)
}

/// The setup form.
#[derive(Deserialize)]
pub struct SetupFormBody {
    token: SecretString,
    email: String,
    #[serde(default)]
    display_name: String,
    password: SecretString,
    #[serde(default)]
    public_host: String,
}

impl std::fmt::Debug for SetupFormBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SetupFormBody(***)")
    }
}

impl SetupFormBody {
    fn claim(&self) -> Result<Claim, Vec<FieldError>> {
        let email = Email::parse(&self.email);
        let name = DisplayName::parse(&self.display_name);
        let password = Password::parse(self.password.clone());
        let host = self.public_host.trim();
        match (email, name, password) {
            (Ok(email), Ok(display_name), Ok(password)) => Ok(Claim {
                token: self.token.clone(),
                email,
                display_name,
                password,
                public_host: (!host.is_empty()).then(|| host.to_owned()),
            }),
            (email, name, password) => Err(field_errors([email.err(), name.err(), password.err()])),
        }
    }
}

/// `POST /setup`: makes the owner, signs them in, and goes on to the first stream.
///
/// # Errors
/// The store's.
pub async fn post_setup(
    State(setup): State<SetupService>,
    State(accounts): State<AccountsService>,
    State(relay): State<RelayService>,
    State(settings): State<Settings>,
    frame: Frame,
    peer: Peer,
    headers: HeaderMap,
    Form(form): Form<SetupFormBody>,
) -> Result<Response, ApiError> {
    let is_host_configured = settings.is_public_host_fixed();
    let refuse = |errors: &[FieldError]| {
        let values = SetupValues {
            email: &form.email,
            display_name: &form.display_name,
            public_host: &form.public_host,
            is_host_configured,
        };
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        form_page(&frame, &form.token, values, status, None, errors)
    };
    if setup.is_claimed().await? {
        return Ok(Redirect::to("/login").into_response());
    }
    if !setup.is_token_good(form.token.expose_secret()).await? {
        return Ok(waiting(&frame, true));
    }
    let claim = match form.claim() {
        Ok(claim) => claim,
        Err(errors) => return Ok(refuse(&errors)),
    };
    let owner = match setup.claim(claim).await {
        Ok(owner) => owner,
        Err(error) if error.kind() == Kind::Invalid => return Ok(refuse(error.fields())),
        Err(error) if error.kind() == Kind::Gone => return Ok(waiting(&frame, true)),
        Err(error) => return Err(error.into()),
    };
    admit(&relay, &owner).await;
    let client = browser_client(&peer, &headers);
    let previous = session_cookie(&headers, peer.is_https);
    let session = accounts
        .begin_browser_session(&owner, &client, previous)
        .await?;
    Ok(enter(&accounts, &session, &peer, AFTER))
}
