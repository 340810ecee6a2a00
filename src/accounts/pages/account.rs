//! The own account: password, signed-in browsers and plugins.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use serde::Deserialize;

use crate::accounts::extract::BrowserActor;
use crate::accounts::frame::{Frame, browser_name};
use crate::accounts::model::{AuthSession, BrowserSession, Password, SignedIn};
use crate::accounts::service::{AccountsService, PluginSessions};
use crate::accounts::views::{AccountPage, BrowserRow, PluginRow};
use crate::http::page::{DoneQuery, Flash, render, sentence};
use crate::http::{ApiError, Form, Path, Query};
use crate::kernel::ids::{AuthSessionId, BrowserSessionId};
use crate::kernel::secret::SecretString;
use crate::kernel::{Error, FieldError, Kind, Via};
use crate::plans::billing::BillingService;

/// The sentence for what a form did.
fn done(word: &str) -> Option<&'static str> {
    match word {
        "password" => Some("Your password is changed. Your other browsers are signed out."),
        "browser" => Some("The browser is signed out."),
        "plugin" => Some("The plugin is signed out."),
        "address" => Some("Your address is changed."),
        _ => None,
    }
}

/// `GET /account`
///
/// # Errors
/// The store's.
pub async fn show_account(
    State(accounts): State<AccountsService>,
    State(billing): State<BillingService>,
    BrowserActor(user): BrowserActor,
    frame: Frame,
    Query(query): Query<DoneQuery>,
) -> Result<Response, ApiError> {
    account_page(
        &accounts,
        &billing,
        &user,
        &frame,
        query.flash(done),
        StatusCode::OK,
        &[],
    )
    .await
}

async fn account_page(
    accounts: &AccountsService,
    billing: &BillingService,
    user: &SignedIn,
    frame: &Frame,
    flash: Option<Flash>,
    status: StatusCode,
    errors: &[FieldError],
) -> Result<Response, ApiError> {
    let browsers = accounts.list_browser_sessions(&user.actor).await?;
    let plugins = accounts.list_auth_sessions(&user.actor).await?;
    let due = accounts.first_proof_due(&user.actor).await?;
    let browser_row = |session: &BrowserSession| BrowserRow {
        id: session.id,
        device: browser_name(&session.user_agent),
        address: session.address.clone(),
        last_seen: session.last_seen_at.into(),
        is_current: user.actor.via == Via::Browser(session.id),
    };
    let plugin_row = |session: &AuthSession| PluginRow {
        id: session.id,
        device: session.device.device_name.clone(),
        platform: session.device.platform.clone(),
        last_seen: session.last_seen_at.into(),
    };
    let mut browsers: Vec<_> = browsers.iter().map(browser_row).collect();
    browsers.sort_by_key(|row| !row.is_current);
    let plugins = plugins.iter().map(plugin_row).collect();
    let frame = frame.at("/account");
    let shell = frame.signed_in("Account", user).with_flash(flash);
    let page = AccountPage {
        has_billing: billing.is_configured(),
        ..AccountPage::new(shell, user.email.clone(), browsers, plugins, &due, errors)
    };
    Ok(render(status, &page))
}

/// The form that changes the own password.
#[derive(Deserialize)]
pub struct PasswordForm {
    #[serde(default)]
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
    State(billing): State<BillingService>,
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
            let flash = stale_sign_in(&error);
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            account_page(
                &accounts,
                &billing,
                &user,
                &frame,
                flash,
                status,
                error.fields(),
            )
            .await
        }
        Err(error) if error.kind() == Kind::LimitReached => {
            let text = error.message().to_owned();
            let flash = Some(Flash::problem(text));
            let status = StatusCode::TOO_MANY_REQUESTS;
            account_page(&accounts, &billing, &user, &frame, flash, status, &[]).await
        }
        Err(error) => Err(error.into()),
    }
}

/// What is told above the forms, because who has no password has no field for it.
#[must_use]
pub fn stale_sign_in(error: &Error) -> Option<Flash> {
    let mut fields = error.fields().iter();
    let stale = fields.find(|field| field.code == "stale_sign_in")?;
    Some(Flash::problem(sentence(&stale.message)))
}

/// The same complaint about a field of another name.
pub(super) fn in_field(error: &Error, field: &'static str) -> Error {
    let renamed = error.fields().iter().map(|old| FieldError {
        field,
        ..old.clone()
    });
    Error::invalid_fields(renamed.collect())
}

/// What else is signed out.
#[derive(Debug, Deserialize)]
pub struct EverywhereForm {
    #[serde(default)]
    everywhere_plugins: Option<String>,
}

/// `POST /account/sign-out-everywhere`: this browser too.
///
/// # Errors
/// The store's.
pub async fn sign_out_everywhere(
    State(accounts): State<AccountsService>,
    BrowserActor(user): BrowserActor,
    Form(form): Form<EverywhereForm>,
) -> Result<Redirect, ApiError> {
    let plugins = match form.everywhere_plugins {
        Some(_) => PluginSessions::Revoke,
        None => PluginSessions::Keep,
    };
    accounts.sign_out_everywhere(&user.actor, plugins).await?;
    Ok(Redirect::to("/login"))
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
