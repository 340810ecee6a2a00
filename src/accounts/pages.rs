//! Pages of sign-in, the own account, and users.

use axum::extract::State;
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;

use super::extract::{
    BrowserActor, OptionalBrowserActor, OwnerActor, browser_client, session_cookie,
    set_session_cookie,
};
use super::frame::{Frame, browser_name};
use super::model::{DisplayName, Email, NewBrowserSession, NewUser, Password, SignedIn, User};
use super::service::{AccountsService, PluginSessions};
use super::views::{
    AccountPage, AddUserValues, AddedUser, BrowserRow, PluginRow, SignInPage, UserRow, UsersPage,
};
use crate::http::page::{Flash, FlashKind, Theme, local_path, render};
use crate::http::{ApiError, Form, Path, Peer, Query};
use crate::kernel::ids::{AuthSessionId, BrowserSessionId};
use crate::kernel::secret::{ExposeSecret, SecretString};
use crate::kernel::{Error, FieldError, Kind, Role, Via};
use crate::relay::RelayService;

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
    frame: Frame,
    OptionalBrowserActor(actor): OptionalBrowserActor,
    Query(query): Query<NextQuery>,
) -> Result<Response, ApiError> {
    let next = local_path(&query.next);
    if actor.is_some() {
        return Ok(Redirect::to(next).into_response());
    }
    let page = SignInPage::new(frame.visitor(SIGN_IN), "", None, next);
    Ok(render(StatusCode::OK, &page))
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
        Ok(session) => Ok(enter(&accounts, &session, &peer, next)),
        Err(error) if matches!(error.kind(), Kind::Unauthenticated | Kind::LimitReached) => {
            let problem = Some(error.message().to_owned());
            let page = SignInPage::new(frame.visitor(SIGN_IN), &form.email, problem, next);
            Ok(refused(&error, &page))
        }
        Err(error) => Err(error.into()),
    }
}

fn refused(error: &Error, page: &SignInPage) -> Response {
    let mut response = render(crate::http::status_of(error.kind()), page);
    if let Some(wait) = error.retry_after_hint() {
        let seconds = HeaderValue::from(wait.as_secs().max(1));
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
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
    OptionalBrowserActor(actor): OptionalBrowserActor,
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

/// `GET /users`
///
/// # Errors
/// The store's.
pub async fn show_users(
    State(accounts): State<AccountsService>,
    OwnerActor(owner): OwnerActor,
    frame: Frame,
) -> Result<Response, ApiError> {
    let values = AddUserValues::default();
    users_page(&accounts, &owner, &frame, StatusCode::OK, values, &[], None).await
}

async fn users_page(
    accounts: &AccountsService,
    owner: &SignedIn,
    frame: &Frame,
    status: StatusCode,
    values: AddUserValues<'_>,
    errors: &[FieldError],
    added: Option<AddedUser>,
) -> Result<Response, ApiError> {
    let users = accounts.list_users(&owner.actor).await?;
    let row = |user: &User| UserRow {
        display_name: user.display_name.clone(),
        email: user.email.clone(),
        role: user.role,
        added: user.created_at.into(),
        is_self: user.id == owner.actor.user_id,
    };
    let rows = users.iter().map(row).collect();
    let shell = frame.signed_in("Users", owner);
    Ok(render(
        status,
        &UsersPage::new(shell, rows, values, errors, added),
    ))
}

/// The form that adds a user.
#[derive(Debug, Deserialize)]
pub struct AddUserForm {
    email: String,
    #[serde(default)]
    display_name: String,
    role: Role,
}

impl AddUserForm {
    fn new_user(&self) -> Result<NewUser, Vec<FieldError>> {
        let email = Email::parse(&self.email);
        let display_name = match (&email, self.display_name.trim()) {
            (Ok(email), "") => Ok(DisplayName::from_email(email)),
            (_, name) => DisplayName::parse(name),
        };
        match (email, display_name) {
            (Ok(email), Ok(display_name)) => Ok(NewUser {
                email,
                display_name,
                role: self.role,
                password: Password::random(),
            }),
            (email, name) => Err(field_errors(&[email.err(), name.err()])),
        }
    }
}

/// The field errors of several checks.
fn field_errors(errors: &[Option<Error>]) -> Vec<FieldError> {
    let failed = errors.iter().flatten();
    failed
        .flat_map(|error| error.fields().iter().cloned())
        .collect()
}

/// `POST /users`: adds a user; their first password is on the answer and nowhere else.
///
/// # Errors
/// The store's.
pub async fn add_user(
    State(accounts): State<AccountsService>,
    State(relay): State<RelayService>,
    OwnerActor(owner): OwnerActor,
    frame: Frame,
    Form(form): Form<AddUserForm>,
) -> Result<Response, ApiError> {
    let values = AddUserValues {
        email: &form.email,
        display_name: &form.display_name,
        role: form.role,
    };
    let refuse = StatusCode::UNPROCESSABLE_ENTITY;
    let new = match form.new_user() {
        Ok(new) => new,
        Err(errors) => {
            return users_page(&accounts, &owner, &frame, refuse, values, &errors, None).await;
        }
    };
    let initial_password = new.password.secret().clone();
    match accounts.add_user(&owner.actor, new).await {
        Ok(user) => {
            admit(&relay, &user).await;
            let added = Some(AddedUser {
                email: user.email,
                initial_password,
            });
            let blank = AddUserValues::default();
            users_page(&accounts, &owner, &frame, StatusCode::OK, blank, &[], added).await
        }
        Err(error) if error.kind() == Kind::Conflict => {
            let taken = FieldError::new("email", "taken", error.message().to_owned());
            users_page(&accounts, &owner, &frame, refuse, values, &[taken], None).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Makes the relay know the slots of a new user. The user is there whatever comes of it, and the next start
/// of the relay session tries again.
pub(crate) async fn admit(relay: &RelayService, user: &User) {
    if let Err(error) = relay.sync_user(user.id).await {
        tracing::warn!(user.id = %user.id, error = %error, "the slots of a new user are not on the relay yet");
    }
}

/// What a redirect to the account page tells.
#[derive(Debug, Deserialize)]
pub struct DoneQuery {
    #[serde(default)]
    done: String,
}

impl DoneQuery {
    fn flash(&self) -> Option<Flash> {
        let text = match self.done.as_str() {
            "password" => "Your password is changed. Your other browsers are signed out.",
            "browser" => "The browser is signed out.",
            "plugin" => "The plugin is signed out.",
            _ => return None,
        };
        Some(Flash {
            kind: FlashKind::Success,
            text: text.to_owned(),
        })
    }
}

/// `GET /account`
///
/// # Errors
/// The store's.
pub async fn show_account(
    State(accounts): State<AccountsService>,
    BrowserActor(user): BrowserActor,
    frame: Frame,
    Query(query): Query<DoneQuery>,
) -> Result<Response, ApiError> {
    account_page(&accounts, &user, &frame, query.flash(), StatusCode::OK, &[]).await
}

async fn account_page(
    accounts: &AccountsService,
    user: &SignedIn,
    frame: &Frame,
    flash: Option<Flash>,
    status: StatusCode,
    errors: &[FieldError],
) -> Result<Response, ApiError> {
    let browsers = accounts.list_browser_sessions(&user.actor).await?;
    let plugins = accounts.list_auth_sessions(&user.actor).await?;
    let browser_row = |session: &super::model::BrowserSession| BrowserRow {
        id: session.id,
        device: browser_name(&session.user_agent),
        address: session.address.clone(),
        last_seen: session.last_seen_at.into(),
        is_current: user.actor.via == Via::Browser(session.id),
    };
    let plugin_row = |session: &super::model::AuthSession| PluginRow {
        id: session.id,
        device: session.device.device_name.clone(),
        platform: session.device.platform.clone(),
        last_seen: session.last_seen_at.into(),
    };
    let mut browsers: Vec<_> = browsers.iter().map(browser_row).collect();
    browsers.sort_by_key(|row| !row.is_current);
    let plugins = plugins.iter().map(plugin_row).collect();
    let shell = frame.signed_in("Account", user).with_flash(flash);
    let page = AccountPage::new(shell, user.email.clone(), browsers, plugins, errors);
    Ok(render(status, &page))
}

/// The form that changes the own password.
#[derive(Deserialize)]
pub struct PasswordForm {
    current_password: SecretString,
    new_password: SecretString,
    #[serde(default)]
    sign_out_plugins: Option<String>,
}

impl std::fmt::Debug for PasswordForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordForm(***)")
    }
}

/// `POST /account/password`
///
/// # Errors
/// The store's.
pub async fn change_password(
    State(accounts): State<AccountsService>,
    BrowserActor(user): BrowserActor,
    frame: Frame,
    Form(form): Form<PasswordForm>,
) -> Result<Response, ApiError> {
    let plugins = match form.sign_out_plugins {
        Some(_) => PluginSessions::Revoke,
        None => PluginSessions::Keep,
    };
    let changed = match Password::parse(form.new_password) {
        Ok(new) => {
            accounts
                .change_password(&user.actor, form.current_password, &new, plugins)
                .await
        }
        Err(error) => Err(in_field(&error, "new_password")),
    };
    match changed {
        Ok(()) => Ok(Redirect::to("/account?done=password").into_response()),
        Err(error) if error.kind() == Kind::Invalid => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            account_page(&accounts, &user, &frame, None, status, error.fields()).await
        }
        Err(error) if error.kind() == Kind::LimitReached => {
            let text = error.message().to_owned();
            let flash = Some(Flash {
                kind: FlashKind::Problem,
                text,
            });
            let status = StatusCode::TOO_MANY_REQUESTS;
            account_page(&accounts, &user, &frame, flash, status, &[]).await
        }
        Err(error) => Err(error.into()),
    }
}

/// The same complaint about a field of another name.
fn in_field(error: &Error, field: &'static str) -> Error {
    let renamed = error.fields().iter().map(|old| FieldError {
        field,
        ..old.clone()
    });
    Error::invalid_fields(renamed.collect())
}

/// `POST /account/sessions/{id}/revoke`
///
/// # Errors
/// 404 for a session that is not the caller's.
pub async fn revoke_browser(
    State(accounts): State<AccountsService>,
    BrowserActor(user): BrowserActor,
    Path(id): Path<BrowserSessionId>,
) -> Result<Redirect, ApiError> {
    accounts.revoke_browser_session(&user.actor, id).await?;
    Ok(Redirect::to("/account?done=browser"))
}

/// `POST /account/plugins/{id}/revoke`
///
/// # Errors
/// 404 for a session that is not the caller's.
pub async fn revoke_plugin(
    State(accounts): State<AccountsService>,
    BrowserActor(user): BrowserActor,
    Path(id): Path<AuthSessionId>,
) -> Result<Redirect, ApiError> {
    accounts.revoke_auth_session(&user.actor, id).await?;
    Ok(Redirect::to("/account?done=plugin"))
}
