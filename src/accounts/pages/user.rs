//! One user, for operators.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::views::UserPage;
use crate::accounts::extract::OperatorActor;
use crate::accounts::frame::Frame;
use crate::accounts::model::SignedIn;
use crate::accounts::proof_fields::{ProofFields, ProofNames};
use crate::accounts::service::AccountsService;
use crate::accounts::views::role_label;
use crate::http::page::{Flash, render};
use crate::http::{ApiError, Path};
use crate::kernel::FieldError;
use crate::kernel::ids::UserId;
use crate::kernel::secret::SecretString;
use crate::settings::Settings;

/// `GET /users/{user_id}`
///
/// # Errors
/// 404 for an unknown user.
pub async fn show_user(
    State(accounts): State<AccountsService>,
    OperatorActor(operator): OperatorActor,
    frame: Frame,
    Path(id): Path<UserId>,
) -> Result<Response, ApiError> {
    user_page(
        &accounts,
        &operator,
        &frame,
        id,
        StatusCode::OK,
        Told::default(),
    )
    .await
}

/// What the page tells besides.
#[derive(Debug, Default)]
pub struct Told<'a> {
    /// What the last action did.
    pub flash: Option<Flash>,
    /// What is wrong with the form that deletes.
    pub errors: &'a [FieldError],
    /// A link just made.
    pub link: Option<SecretString>,
}

/// The page of a user, for the handlers of what it offers.
///
/// # Errors
/// 404 for an unknown user.
pub async fn user_page(
    accounts: &AccountsService,
    operator: &SignedIn,
    frame: &Frame,
    id: UserId,
    status: StatusCode,
    told: Told<'_>,
) -> Result<Response, ApiError> {
    let user = accounts.user(id).await?;
    let due = accounts.proofs_due(&operator.actor).await?;
    let page = format!("/users/{id}/account");
    let names = ProofNames {
        password: "current_password",
        password_label: "Your own password",
        code: "code",
        page: &page,
    };
    let frame = frame.at("/users");
    let page = UserPage {
        shell: frame
            .signed_in(&user.display_name, operator)
            .with_flash(told.flash),
        id,
        is_verified: user.email_verified_at.is_some(),
        role: role_label(user.role),
        added: user.created_at.into(),
        is_self: id == operator.actor.user_id,
        may_manage: operator.actor.may_manage(user.role),
        proof: ProofFields::new(&due, names, told.errors),
        link: told.link,
        email: user.email,
    };
    Ok(render(status, &page))
}

/// `POST /users/{user_id}/reset-link`: the link is on the answer and nowhere else.
///
/// # Errors
/// 403 for a user whom the caller may not manage, 404 for an unknown one.
pub async fn make_reset_link(
    State(accounts): State<AccountsService>,
    State(settings): State<Settings>,
    OperatorActor(operator): OperatorActor,
    frame: Frame,
    Path(id): Path<UserId>,
) -> Result<Response, ApiError> {
    let by = Some(&operator.actor);
    let link = accounts.make_reset_link(by, id, &settings).await?;
    let told = Told {
        link: Some(link),
        ..Told::default()
    };
    user_page(&accounts, &operator, &frame, id, StatusCode::OK, told).await
}
