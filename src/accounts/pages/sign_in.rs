//! Signing in and out, and the colours, which a visitor may choose too.

use axum::extract::State;
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;

use crate::accounts::extract::{
    AnyOptionalBrowserActor, ENROLMENT_PAGE, browser_client, session_cookie, set_session_cookie,
};
use crate::accounts::frame::Frame;
use crate::accounts::model::NewBrowserSession;
use crate::accounts::second_factor::pages as second_factor;
use crate::accounts::service::{AccountsService, SignInStep, SignUps};
use crate::accounts::views::{SignInPage, VisitorWays};
use crate::http::page::{Theme, local_path, render};
use crate::http::{ApiError, Form, Peer, Query, status_of};
use crate::kernel::secret::{ExposeSecret, SecretString};
use crate::kernel::{Error, Kind};
use crate::settings::SignUpMode;

const SIGN_IN: &str = "Sign in";

/// The query of the sign-in page.
#[derive(Debug, Deserialize)]
pub struct NextQuery {
    #[serde(default)]
    next: String,
}

/// `GET /login`
///
/// # Errors
/// The store's.
pub async fn show_login(
    State(accounts): State<AccountsService>,
    State(sign_ups): State<SignUps>,
    frame: Frame,
    AnyOptionalBrowserActor(actor): AnyOptionalBrowserActor,
    Query(query): Query<NextQuery>,
) -> Result<Response, ApiError> {
    let next = local_path(&query.next);
    if let Some(signed_in) = actor {
        // What asked for a sign-in takes nobody who must enrol first: sent back there, they would go in circles.
        let must_enrol = accounts
            .second_factors()
            .must_enrol(&signed_in.actor)
            .await?;
        let next = if must_enrol { ENROLMENT_PAGE } else { next };
        return Ok(Redirect::to(next).into_response());
    }
    let page = SignInPage::new(frame.visitor(SIGN_IN), "", None, next)
        .with_providers(accounts.linked_accounts().offered())
        .with_ways(ways(&accounts, &sign_ups));
    Ok(render(StatusCode::OK, &page))
}

fn ways(accounts: &AccountsService, sign_ups: &SignUps) -> VisitorWays {
    VisitorWays {
        can_reset: accounts.has_mail(),
        can_join: sign_ups.mode() == SignUpMode::Open,
    }
}

/// The sign-in form.
#[derive(Deserialize)]
pub struct LoginForm {
    email: String,
    password: SecretString,
    #[serde(default)]
    next: String,
}

impl std::fmt::Debug for LoginForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LoginForm(***)")
    }
}

/// `POST /login`
///
/// # Errors
/// What is neither a wrong password nor a limit.
pub async fn submit_login(
    State(accounts): State<AccountsService>,
    State(sign_ups): State<SignUps>,
    frame: Frame,
    peer: Peer,
    headers: HeaderMap,
    Form(form): Form<LoginForm>,
) -> Result<Response, ApiError> {
    let client = browser_client(&peer, &headers);
    let previous = session_cookie(&headers, peer.is_https);
    let outcome = accounts
        .sign_in(&form.email, form.password, &client, previous)
        .await;
    let next = local_path(&form.next);
    match outcome {
        Ok(step) => Ok(go_on(&accounts, step, &peer, next)),
        Err(error) if matches!(error.kind(), Kind::Unauthenticated | Kind::LimitReached) => {
            let problem = Some(error.message().to_owned());
            let page = SignInPage::new(frame.visitor(SIGN_IN), &form.email, problem, next)
                .with_providers(accounts.linked_accounts().offered())
                .with_ways(ways(&accounts, &sign_ups));
            Ok(refused(&error, &page))
        }
        Err(error) => Err(error.into()),
    }
}

fn refused(error: &Error, page: &SignInPage) -> Response {
    let mut response = render(status_of(error.kind()), page);
    if let Some(wait) = error.retry_after_hint() {
        let seconds = HeaderValue::from(wait.as_secs().max(1));
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

/// The answer to a proved first factor: on to `next`, or to the page that asks for the code.
pub(in crate::accounts) fn go_on(
    accounts: &AccountsService,
    step: SignInStep,
    peer: &Peer,
    next: &str,
) -> Response {
    match step {
        SignInStep::Done(session) => enter(accounts, &session, peer, next),
        SignInStep::CodeNeeded(token) => second_factor::ask(&token, peer, next),
    }
}

/// The answer that puts the cookie and goes on to `next`.
#[must_use]
pub fn enter(
    accounts: &AccountsService,
    session: &NewBrowserSession,
    peer: &Peer,
    next: &str,
) -> Response {
    let life = accounts.config().cookie_life();
    let cookie = set_session_cookie(session.token.expose_secret(), life, peer.is_https);
    (
        AppendHeaders([(header::SET_COOKIE, cookie)]),
        Redirect::to(next),
    )
        .into_response()
}

/// `POST /logout`
///
/// # Errors
/// The store's.
pub async fn log_out(
    State(accounts): State<AccountsService>,
    AnyOptionalBrowserActor(actor): AnyOptionalBrowserActor,
    peer: Peer,
) -> Result<Response, ApiError> {
    if let Some(signed_in) = actor {
        accounts.sign_out(&signed_in.actor).await?;
    }
    let cookie = set_session_cookie("", std::time::Duration::ZERO, peer.is_https);
    Ok((
        AppendHeaders([(header::SET_COOKIE, cookie)]),
        Redirect::to("/login"),
    )
        .into_response())
}

/// The choice of colours.
#[derive(Debug, Deserialize)]
pub struct ThemeForm {
    theme: String,
    #[serde(default)]
    return_to: String,
}

/// `POST /theme`
pub async fn choose_theme(Form(form): Form<ThemeForm>) -> Response {
    let cookie = Theme::parse(&form.theme).set_cookie();
    let headers = AppendHeaders([(header::SET_COOKIE, cookie)]);
    (headers, Redirect::to(local_path(&form.return_to))).into_response()
}
