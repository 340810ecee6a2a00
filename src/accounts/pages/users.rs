//! The operators' page of users.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use super::joining::admit;
use crate::accounts::extract::OperatorActor;
use crate::accounts::frame::Frame;
use crate::accounts::model::{DisplayName, Email, NewUser, Password, SignedIn, User};
use crate::accounts::service::AccountsService;
use crate::accounts::views::{AddUserValues, AddedUser, UserRow, UsersPage};
use crate::http::page::render;
use crate::http::{ApiError, Form, Query};
use crate::kernel::ids::UserId;
use crate::kernel::{Error, FieldError, Kind, Role};
use crate::relay::RelayService;

/// `GET /users`
///
/// # Errors
/// The store's.
pub async fn show_users(
    State(accounts): State<AccountsService>,
    OperatorActor(owner): OperatorActor,
    frame: Frame,
    Query(query): Query<UsersQuery>,
) -> Result<Response, ApiError> {
    let after = query.after.as_deref().map(str::parse).transpose();
    let Ok(after) = after else {
        return Err(Error::not_found("page of users").into());
    };
    let shown = Shown {
        text: &query.q,
        after,
        ..Shown::default()
    };
    users_page(&accounts, &owner, &frame, StatusCode::OK, shown).await
}

/// Which users.
#[derive(Debug, Deserialize)]
pub struct UsersQuery {
    after: Option<String>,
    /// What their name, address or id begins with.
    #[serde(default)]
    q: String,
}

/// What the page shows.
#[derive(Debug, Default)]
struct Shown<'a> {
    text: &'a str,
    after: Option<UserId>,
    values: AddUserValues<'a>,
    errors: &'a [FieldError],
    added: Option<AddedUser>,
}

fn rows(users: &[User], reader: &SignedIn) -> Vec<UserRow> {
    let row = |user: &User| UserRow {
        id: user.id,
        display_name: user.display_name.clone(),
        email: user.email.clone(),
        role: user.role,
        added: user.created_at.into(),
        is_self: user.id == reader.actor.user_id,
    };
    users.iter().map(row).collect()
}

async fn users_page(
    accounts: &AccountsService,
    owner: &SignedIn,
    frame: &Frame,
    status: StatusCode,
    shown: Shown<'_>,
) -> Result<Response, ApiError> {
    let listed = accounts.list_users(&owner.actor, shown.text, shown.after);
    let (users, has_more) = listed.await?;
    let next = users.last().filter(|_| has_more);
    let next = next.map(|user| address(shown.text, user.id));
    let shell = frame.signed_in("Users", owner);
    let rows = rows(&users, owner);
    let page = UsersPage::new(shell, rows, shown.values, shown.errors, shown.added);
    Ok(render(
        status,
        &page.with_search(shown.text).with_next(next),
    ))
}

/// Where the users after one stand, of those whom the text is about.
fn address(text: &str, after: UserId) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    if !text.is_empty() {
        query.append_pair("q", text);
    }
    query.append_pair("after", &after.to_string());
    format!("/users?{}", query.finish())
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
    OperatorActor(owner): OperatorActor,
    frame: Frame,
    Form(form): Form<AddUserForm>,
) -> Result<Response, ApiError> {
    let values = AddUserValues {
        email: &form.email,
        display_name: &form.display_name,
        role: form.role,
    };
    let refused = |errors| Shown {
        values,
        errors,
        ..Shown::default()
    };
    let refuse = StatusCode::UNPROCESSABLE_ENTITY;
    let new = match form.new_user() {
        Ok(new) => new,
        Err(errors) => {
            return users_page(&accounts, &owner, &frame, refuse, refused(&errors)).await;
        }
    };
    let initial_password = new.password.secret().clone();
    match accounts.add_user(&owner.actor, new).await {
        Ok(user) => {
            admit(&relay, &user).await;
            let shown = Shown {
                added: Some(AddedUser {
                    email: user.email,
                    initial_password,
                }),
                ..Shown::default()
            };
            users_page(&accounts, &owner, &frame, StatusCode::OK, shown).await
        }
        Err(error) if error.kind() == Kind::Conflict => {
            let taken = [FieldError::new(
                "email",
                "taken",
                error.message().to_owned(),
            )];
            users_page(&accounts, &owner, &frame, refuse, refused(&taken)).await
        }
        Err(error) => Err(error.into()),
    }
}
