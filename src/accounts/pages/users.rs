//! The owner's page of users.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use crate::accounts::extract::OwnerActor;
use crate::accounts::frame::Frame;
use crate::accounts::model::{DisplayName, Email, NewUser, Password, SignedIn, User};
use crate::accounts::service::AccountsService;
use crate::accounts::views::{AddUserValues, AddedUser, UserRow, UsersPage};
use crate::http::page::render;
use crate::http::{ApiError, Form};
use crate::kernel::{Error, FieldError, Kind, Role};
use crate::relay::RelayService;

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
        id: user.id,
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
async fn admit(relay: &RelayService, user: &User) {
    if let Err(error) = relay.sync_user(user.id).await {
        tracing::warn!(user.id = %user.id, error = %error, "the slots of a new user are not on the relay yet");
    }
}
