//! Commands about people: users, their passwords, invitations.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{Control, ControlRequest, PasswordChoice};
use crate::accounts::joining::{MadeInvite, NewInvite};
use crate::accounts::{DisplayName, Email, NewUser};
use crate::kernel::ids::UserId;
use crate::kernel::{Error, Result, Role};

/// Makes a user; the first one owns the appliance.
pub(super) async fn create_user(
    control: &Control,
    email: &str,
    display_name: Option<String>,
    role: Role,
    password: PasswordChoice,
) -> Result<Value> {
    let email = Email::parse(email)?;
    let display_name = match display_name {
        Some(name) => DisplayName::parse(&name)?,
        None => DisplayName::from_email(&email),
    };
    // Whoever comes first owns the appliance, whatever was asked for.
    let role = if control.accounts.has_owner().await? {
        role
    } else {
        Role::Owner
    };
    let (password, is_shown) = password.resolve()?;
    let shown = is_shown.then(|| password.secret().clone());
    let new = NewUser {
        email,
        display_name,
        role,
        password,
    };
    let user = control.accounts.create_user(new).await?;
    control.setup.forget_token().await?;
    if let Some(relay) = &control.relay {
        relay.sync_user(user.id).await?;
    }
    Ok(answer(user.id, shown.as_ref()))
}

/// Carries a request about a person out.
pub(super) async fn execute(control: &Control, request: ControlRequest) -> Result<Value> {
    match request {
        ControlRequest::ResetLink { email } => {
            let user = control
                .accounts
                .user_by_email(Email::parse(&email)?)
                .await?;
            let (id, settings) = (user.id, &control.settings);
            let link = control.accounts.make_reset_link(None, id, settings).await?;
            Ok(json!({ "user_id": id, "link": link.expose_secret() }))
        }
        ControlRequest::DeleteUser { email } => {
            let user = control
                .accounts
                .user_by_email(Email::parse(&email)?)
                .await?;
            match &control.departures {
                Some(departures) => departures.delete(None, user.id).await?,
                // The server carries it through when it starts.
                None => control.accounts.begin_deletion(None, user.id).await?,
            }
            Ok(json!({ "user_id": user.id }))
        }
        ControlRequest::Invite { email, role, days } => {
            let email = email.as_deref().map(Email::parse).transpose()?;
            let new = NewInvite::new(email, role, days)?;
            Ok(match control.sign_ups.invite(None, new).await? {
                MadeInvite::Link(link) => json!({ "link": link.expose_secret() }),
                MadeInvite::Mailed(email) => json!({ "mailed_to": email }),
            })
        }
        ControlRequest::SetupToken
        | ControlRequest::CreateUser { .. }
        | ControlRequest::ResetPassword { .. }
        | ControlRequest::ListNodes
        | ControlRequest::AddNode(_)
        | ControlRequest::SetNodeStatus { .. }
        | ControlRequest::RotateNodeKey { .. }
        | ControlRequest::RemoveNode { .. }
        | ControlRequest::NameRegion { .. }
        | ControlRequest::ResetSecondFactor { .. }
        | ControlRequest::RemoveContainers => Err(Error::internal("no request about people")),
    }
}

/// What is told of a user, with the password that was made for them.
pub(super) fn answer(user_id: UserId, password: Option<&SecretString>) -> Value {
    match password {
        Some(password) => json!({ "user_id": user_id, "password": password.expose_secret() }),
        None => json!({ "user_id": user_id }),
    }
}
