//! The code at sign-in, and the page of the own second factor.

use axum::extract::State;
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;

use super::model::{PENDING_LIFE, RecoveryCodes, Standing};
use super::views::{CodePage, Decision, EnrolmentView, RecoveryCodesPage, SecondFactorPage, Stage};
use crate::accounts::extract::{
    AnyBrowserActor, browser_client, cookie_of, session_cookie, set_cookie,
};
use crate::accounts::frame::Frame;
use crate::accounts::model::SignedIn;
use crate::accounts::pages::enter;
use crate::accounts::service::AccountsService;
use crate::http::form::Field;
use crate::http::page::{Flash, local_path, render, sentence};
use crate::http::{ApiError, Form, Peer, Query, status_of};
use crate::kernel::secret::{ExposeSecret, SecretString};
use crate::kernel::{Error, FieldError, Kind, Result, Role};
use crate::settings::{SecondFactorRule, Settings};

const CODE: &str = "One more step";
const SECOND_FACTOR: &str = "Second factor";
const PAGE: &str = "/account/second-factor";

/// The cookie of a browser that owes a code, by the same rules as the session's.
const fn cookie_name(is_https: bool) -> &'static str {
    if is_https {
        "__Host-glb_pending"
    } else {
        "glb_pending"
    }
}

/// The answer that leads a browser with a proved first factor to the page of the code.
pub(in crate::accounts) fn ask(token: &SecretString, peer: &Peer, next: &str) -> Response {
    let name = cookie_name(peer.is_https);
    let cookie = set_cookie(name, token.expose_secret(), PENDING_LIFE, peer.is_https);
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("next", next)
        .finish();
    let headers = AppendHeaders([(header::SET_COOKIE, cookie)]);
    (headers, Redirect::to(&format!("/login/code?{query}"))).into_response()
}

/// The query of the page of the code.
#[derive(Debug, Deserialize)]
pub struct NextQuery {
    #[serde(default)]
    next: String,
}

/// `GET /login/code`
///
/// # Errors
/// The store's.
pub async fn show_code(
    State(accounts): State<AccountsService>,
    frame: Frame,
    peer: Peer,
    headers: HeaderMap,
    Query(query): Query<NextQuery>,
) -> std::result::Result<Response, ApiError> {
    let token = cookie_of(&headers, cookie_name(peer.is_https)).unwrap_or_default();
    if !accounts.second_factors().is_waiting(token).await? {
        return Ok(Redirect::to("/login").into_response());
    }
    let page = CodePage::new(frame.visitor(CODE), local_path(&query.next), &[], None);
    Ok(render(StatusCode::OK, &page))
}

/// The form of the code.
#[derive(Deserialize)]
pub struct CodeForm {
    code: String,
    #[serde(default)]
    next: String,
}

impl std::fmt::Debug for CodeForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CodeForm(***)")
    }
}

/// `POST /login/code`
///
/// # Errors
/// The store's.
pub async fn submit_code(
    State(accounts): State<AccountsService>,
    frame: Frame,
    peer: Peer,
    headers: HeaderMap,
    Form(form): Form<CodeForm>,
) -> std::result::Result<Response, ApiError> {
    let token = cookie_of(&headers, cookie_name(peer.is_https)).unwrap_or_default();
    let client = browser_client(&peer, &headers);
    let previous = session_cookie(&headers, peer.is_https);
    let signed_in = accounts.sign_in_with_code(token, &form.code, &client, previous);
    let next = local_path(&form.next);
    match signed_in.await {
        Ok(session) => Ok(without_pending(
            enter(&accounts, &session, &peer, next),
            &peer,
        )),
        Err(error) if error.kind() == Kind::Unauthenticated => {
            Ok(Redirect::to("/login").into_response())
        }
        Err(error) if matches!(error.kind(), Kind::Invalid | Kind::LimitReached) => {
            Ok(refused(&frame, next, &error))
        }
        Err(error) => Err(error.into()),
    }
}

fn without_pending(mut response: Response, peer: &Peer) -> Response {
    let gone = set_cookie(
        cookie_name(peer.is_https),
        "",
        std::time::Duration::ZERO,
        peer.is_https,
    );
    if let Ok(gone) = HeaderValue::from_str(&gone) {
        response.headers_mut().append(header::SET_COOKIE, gone);
    }
    response
}

fn refused(frame: &Frame, next: &str, error: &Error) -> Response {
    let problem = (error.kind() == Kind::LimitReached).then(|| sentence(error.message()));
    let page = CodePage::new(frame.visitor(CODE), next, error.fields(), problem);
    let status = match error.kind() {
        Kind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        kind => status_of(kind),
    };
    let mut response = render(status, &page);
    if let Some(wait) = error.retry_after_hint() {
        let seconds = HeaderValue::from(wait.as_secs().max(1));
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

/// `GET /account/second-factor`
///
/// # Errors
/// The store's.
pub async fn show_second_factor(
    State(accounts): State<AccountsService>,
    State(settings): State<Settings>,
    AnyBrowserActor(user): AnyBrowserActor,
    frame: Frame,
) -> std::result::Result<Response, ApiError> {
    let page = own_page(&accounts, &settings, &user, &frame, None).await?;
    Ok(render(StatusCode::OK, &page))
}

async fn own_page(
    accounts: &AccountsService,
    settings: &Settings,
    user: &SignedIn,
    frame: &Frame,
    flash: Option<Flash>,
) -> Result<SecondFactorPage> {
    let factors = accounts.second_factors();
    let stage = match factors.standing(&user.actor, &user.email).await? {
        Standing::None => Stage::None,
        Standing::Enrolling(enrolment) => Stage::Enrolling(EnrolmentView::new(&enrolment)),
        Standing::Enrolled {
            since,
            recovery_codes_left,
        } => Stage::Enrolled {
            since: since.into(),
            recovery_codes_left,
        },
    };
    let password = || Field::current_password("current_password", "Current password").optional();
    Ok(SecondFactorPage {
        shell: frame
            .at(PAGE)
            .signed_in(SECOND_FACTOR, user)
            .with_flash(flash),
        stage,
        code: SecondFactorPage::code_field(),
        current_password: accounts.has_password(&user.actor).await?.then(password),
        is_required: factors.is_required(),
        concerns_reader: user.is_operator(),
        decision: match user.actor.role {
            Role::Owner if settings.is_fixed::<SecondFactorRule>() => Decision::OfConfiguration,
            Role::Owner => Decision::OfReader,
            Role::Operator | Role::Viewer | Role::Streamer => Decision::OfOthers,
        },
    })
}

/// `POST /account/second-factor/begin`
///
/// # Errors
/// 409 when it is on already.
pub async fn begin(
    State(accounts): State<AccountsService>,
    AnyBrowserActor(user): AnyBrowserActor,
) -> std::result::Result<Redirect, ApiError> {
    accounts.second_factors().begin(&user.actor).await?;
    Ok(Redirect::to(PAGE))
}

/// The form that confirms a secret.
#[derive(Deserialize)]
pub struct ConfirmForm {
    code: String,
}

impl std::fmt::Debug for ConfirmForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ConfirmForm(***)")
    }
}

/// `POST /account/second-factor/confirm`: the recovery codes are on the answer and nowhere else.
///
/// # Errors
/// 409 when nothing waits for a code.
pub async fn confirm(
    State(accounts): State<AccountsService>,
    State(settings): State<Settings>,
    AnyBrowserActor(user): AnyBrowserActor,
    frame: Frame,
    Form(form): Form<ConfirmForm>,
) -> std::result::Result<Response, ApiError> {
    let confirmed = accounts
        .second_factors()
        .confirm(&user.actor, &form.code)
        .await;
    match confirmed {
        Ok(codes) => Ok(show_codes(&frame, &user, codes)),
        Err(error) => refuse_change(&accounts, &settings, &user, &frame, error).await,
    }
}

fn show_codes(frame: &Frame, user: &SignedIn, codes: RecoveryCodes) -> Response {
    let shell = frame.at(PAGE).signed_in("Recovery codes", user);
    render(StatusCode::OK, &RecoveryCodesPage::new(shell, codes))
}

async fn refuse_change(
    accounts: &AccountsService,
    settings: &Settings,
    user: &SignedIn,
    frame: &Frame,
    error: Error,
) -> std::result::Result<Response, ApiError> {
    let status = match error.kind() {
        Kind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::LimitReached | Kind::Conflict => status_of(error.kind()),
        _ => return Err(error.into()),
    };
    // What belongs to no field that the page has is told above it.
    let is_shown = |field: &FieldError| ["code", "current_password"].contains(&field.field);
    let has_password = accounts.has_password(&user.actor).await?;
    let is_in_field = has_password && error.fields().iter().any(is_shown)
        || error.fields().iter().any(|field| field.field == "code");
    let text = error.fields().first().map_or_else(
        || error.message().to_owned(),
        |field| field.message.to_string(),
    );
    let flash = (!is_in_field).then(|| Flash::problem(sentence(&text)));
    let page = own_page(accounts, settings, user, frame, flash).await?;
    Ok(render(status, &page.with_errors(error.fields())))
}

/// The form that changes a second factor.
#[derive(Deserialize)]
pub struct ChangeForm {
    code: String,
    #[serde(default)]
    current_password: SecretString,
    action: Change,
}

impl std::fmt::Debug for ChangeForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ChangeForm({:?})", self.action)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Change {
    Renew,
    Disable,
}

/// `POST /account/second-factor/change`
///
/// # Errors
/// The store's.
pub async fn change(
    State(accounts): State<AccountsService>,
    State(settings): State<Settings>,
    AnyBrowserActor(user): AnyBrowserActor,
    frame: Frame,
    Form(form): Form<ChangeForm>,
) -> std::result::Result<Response, ApiError> {
    let factors = accounts.second_factors();
    let changed = match form.action {
        Change::Renew => factors
            .renew_recovery_codes(&user.actor, &form.code)
            .await
            .map(|codes| show_codes(&frame, &user, codes)),
        Change::Disable => disable(&accounts, &user, form)
            .await
            .map(|()| Redirect::to(PAGE).into_response()),
    };
    match changed {
        Ok(response) => Ok(response),
        Err(error) => refuse_change(&accounts, &settings, &user, &frame, error).await,
    }
}

async fn disable(accounts: &AccountsService, user: &SignedIn, form: ChangeForm) -> Result<()> {
    accounts
        .confirm_first_factor(&user.actor, form.current_password)
        .await?;
    accounts
        .second_factors()
        .disable(&user.actor, &form.code)
        .await
}

/// The form that decides for all owners and operators.
#[derive(Debug, Deserialize)]
pub struct PolicyForm {
    required: YesNo,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum YesNo {
    Yes,
    No,
}

/// `POST /account/second-factor/policy`
///
/// # Errors
/// 403 for everybody but an owner.
pub async fn decide_policy(
    State(accounts): State<AccountsService>,
    State(settings): State<Settings>,
    AnyBrowserActor(user): AnyBrowserActor,
    frame: Frame,
    Form(form): Form<PolicyForm>,
) -> std::result::Result<Response, ApiError> {
    let is_required = form.required == YesNo::Yes;
    let decided = accounts
        .second_factors()
        .set_required(&user.actor, &settings, is_required);
    match decided.await {
        Ok(()) => Ok(Redirect::to(PAGE).into_response()),
        Err(error) => refuse_change(&accounts, &settings, &user, &frame, error).await,
    }
}
