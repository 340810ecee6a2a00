//! Keys of the user's own programs.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use serde::Deserialize;

use super::views::{KeyRow, KeysPage};
use crate::accounts::api_key::{ApiKey, ApiScope, ApiScopes, KeyName, NewApiKey};
use crate::accounts::extract::BrowserActor;
use crate::accounts::frame::Frame;
use crate::accounts::model::SignedIn;
use crate::accounts::service::AccountsService;
use crate::http::form::{Choice, Field};
use crate::http::page::{DoneQuery, Flash, render, sentence};
use crate::http::{ApiError, Form, Path, Query};
use crate::kernel::ids::ApiKeyId;
use crate::kernel::secret::SecretString;
use crate::kernel::{Error, FieldError, Kind};

/// The sentence for what a form did.
fn done(word: &str) -> Option<&'static str> {
    match word {
        "revoked" => Some("The key is revoked."),
        _ => None,
    }
}

/// What stands in the form: a name, days, and a field for each scope that is chosen.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct KeyForm(BTreeMap<String, String>);

impl KeyForm {
    fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |text| text.trim())
    }

    fn has(&self, scope: ApiScope) -> bool {
        self.0.contains_key(scope.as_str())
    }

    /// Checks every field, so that all complaints come at once.
    fn check(&self) -> Result<NewApiKey, Error> {
        let days = match self.text("days") {
            "" => None,
            // What is no number is out of the range too.
            text => Some(text.parse().unwrap_or_default()),
        };
        let chosen = ApiScope::ALL.into_iter().filter(|scope| self.has(*scope));
        let scopes = ApiScopes::parse(chosen.map(ApiScope::as_str));
        match (KeyName::parse(self.text("name")), scopes) {
            (Ok(name), Ok(scopes)) => NewApiKey::new(name, scopes, days),
            (name, scopes) => {
                let errors = [name.err(), scopes.err()];
                let fields = errors.iter().flatten().flat_map(Error::fields);
                Err(Error::invalid_fields(fields.cloned().collect()))
            }
        }
    }
}

/// `GET /account/keys`
///
/// # Errors
/// The store's.
pub async fn show_keys(
    State(accounts): State<AccountsService>,
    BrowserActor(user): BrowserActor,
    frame: Frame,
    Query(query): Query<DoneQuery>,
) -> Result<Response, ApiError> {
    let flash = query.flash(done);
    let desk = Desk {
        accounts,
        user,
        frame,
    };
    let blank = KeyForm::default();
    desk.page(StatusCode::OK, flash, &blank, &[], None).await
}

struct Desk {
    accounts: AccountsService,
    user: SignedIn,
    frame: Frame,
}

impl Desk {
    async fn page(
        &self,
        status: StatusCode,
        flash: Option<Flash>,
        typed: &KeyForm,
        errors: &[FieldError],
        made: Option<SecretString>,
    ) -> Result<Response, ApiError> {
        let keys = self.accounts.list_api_keys(&self.user.actor).await?;
        let frame = self.frame.at("/account/keys");
        let scopes_error = errors.iter().find(|error| error.field == "scopes");
        let page = KeysPage {
            shell: frame.signed_in("API keys", &self.user).with_flash(flash),
            keys: keys.iter().map(row).collect(),
            name: Field::text("name", "Name")
                .with_hint("What the program is, such as Stream deck.")
                .with_max_length(64)
                .with_value(typed.text("name"))
                .with_error_among(errors),
            days: Field::text("days", "Days that it lasts")
                .with_hint("Empty: until you revoke it.")
                .with_type("number")
                .with_max_length(4)
                .optional()
                .with_value(typed.text("days"))
                .with_error_among(errors),
            scopes: scope_choices(typed, self.user.is_operator()),
            scopes_error: scopes_error.map(|error| error.message.to_string()),
            made,
        };
        Ok(render(status, &page))
    }
}

fn row(key: &ApiKey) -> KeyRow {
    KeyRow {
        id: key.id,
        name: key.name.as_str().to_owned(),
        prefix: key.prefix.clone(),
        scopes: key.scopes.to_string(),
        used: key.last_used_at.map(Into::into),
        ends: key.expires_at.map(Into::into),
    }
}

fn scope_choices(typed: &KeyForm, is_operator: bool) -> Vec<Choice> {
    let hint = |scope| match scope {
        ApiScope::RelayRead => "See sessions and figures, stream addresses included",
        ApiScope::RelayWrite => "Start, stop and move sessions",
        ApiScope::SlotsRead => "See slots with their keys",
        ApiScope::SlotsWrite => "Rename slots, rotate keys, set passphrases",
        ApiScope::Operate => "What operators may: containers, nodes, jobs, audit log",
    };
    ApiScope::ALL
        .into_iter()
        .filter(|scope| is_operator || *scope != ApiScope::Operate)
        .map(|scope| Choice {
            value: scope.as_str(),
            label: scope.as_str(),
            hint: hint(scope),
            is_selected: typed.has(scope),
        })
        .collect()
}

/// `POST /account/keys`: the key is on the answer and nowhere else.
///
/// # Errors
/// The store's.
pub async fn make_key(
    State(accounts): State<AccountsService>,
    BrowserActor(user): BrowserActor,
    frame: Frame,
    Form(form): Form<KeyForm>,
) -> Result<Response, ApiError> {
    let made = match form.check() {
        Ok(new) => accounts.make_api_key(&user.actor, new).await,
        Err(error) => Err(error),
    };
    let desk = Desk {
        accounts,
        user,
        frame,
    };
    match made {
        Ok(made) => {
            let (blank, secret) = (KeyForm::default(), Some(made.secret));
            desk.page(StatusCode::OK, None, &blank, &[], secret).await
        }
        Err(error) if matches!(error.kind(), Kind::Invalid | Kind::Conflict) => {
            let flash = error
                .fields()
                .is_empty()
                .then(|| Flash::problem(sentence(error.message())));
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            desk.page(status, flash, &form, error.fields(), None).await
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /account/keys/{id}/revoke`
///
/// # Errors
/// 404 for a key that is not the caller's.
pub async fn revoke_key(
    State(accounts): State<AccountsService>,
    BrowserActor(user): BrowserActor,
    Path(id): Path<ApiKeyId>,
) -> Result<Response, ApiError> {
    accounts.revoke_api_key(&user.actor, id).await?;
    Ok(Redirect::to("/account/keys?done=revoked").into_response())
}
