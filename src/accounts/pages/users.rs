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
    let values = AddUserValues::default();
    users_page(
        &accounts,
        &owner,
        &frame,
        StatusCode::OK,
        (values, after),
        &[],
        None,
    )
    .await
}

/// Which page of users.
#[derive(Debug, Deserialize)]
pub struct UsersQuery {
    after: Option<String>,
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
    (values, after): (AddUserValues<'_>, Option<UserId>),
    errors: &[FieldError],
    added: Option<AddedUser>,
) -> Result<Response, ApiError> {
    let (users, has_more) = accounts.list_users(&owner.actor, after).await?;
    let next = users.last().filter(|_| has_more);
    let next = next.map(|user| format!("/users?after={}", user.id));
    let shell = frame.signed_in("Users", owner);
    let page = UsersPage::new(shell, rows(&users, owner), values, errors, added);
    Ok(render(status, &page.with_next(next)))
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
    let refuse = StatusCode::UNPROCESSABLE_ENTITY;
    let new = match form.new_user() {
        Ok(new) => new,
        Err(errors) => {
            return users_page(
                &accounts,
                &owner,
                &frame,
                refuse,
                (values, None),
                &errors,
                None,
            )
            .await;
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
            users_page(
                &accounts,
                &owner,
                &frame,
                StatusCode::OK,
                (blank, None),
                &[],
                added,
            )
            .await
        }
        Err(error) if error.kind() == Kind::Conflict => {
            let taken = FieldError::new("email", "taken", error.message().to_owned());
            users_page(
                &accounts,
                &owner,
                &frame,
                refuse,
                (values, None),
                &[taken],
                None,
            )
            .await
        }
        Err(error) => Err(error.into()),
    }
}
