//! The operators' page of invitations, and who may sign up.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use serde::Deserialize;

use super::views::{InviteRow, InvitesPage};
use crate::accounts::extract::OperatorActor;
use crate::accounts::frame::Frame;
use crate::accounts::joining::{INVITE_DAYS, Invite, MadeInvite, NewInvite};
use crate::accounts::model::{Email, SignedIn};
use crate::accounts::service::{MailHealth, Outbox, SignUps};
use crate::accounts::views::{role_choices, role_label};
use crate::http::form::{Choice, Field};
use crate::http::page::{DoneQuery, Flash, render, sentence};
use crate::http::{ApiError, Form, Path, Query};
use crate::kernel::ids::InviteId;
use crate::kernel::secret::SecretString;
use crate::kernel::{Error, FieldError, Kind, Role, UnixMillis};
use crate::settings::{SignUpMode, Word};

/// The sentence for what a form did.
fn done(word: &str) -> Option<&'static str> {
    match word {
        "mode" => Some("Saved."),
        "revoked" => Some("The invitation is taken back."),
        _ => None,
    }
}

/// What stands in the form.
#[derive(Debug, Clone, Copy)]
struct Values<'a> {
    email: &'a str,
    role: Role,
    days: &'a str,
    errors: &'a [FieldError],
}

/// `GET /invites`
///
/// # Errors
/// The store's.
pub async fn show_invites(
    State(sign_ups): State<SignUps>,
    State(outbox): State<Outbox>,
    OperatorActor(user): OperatorActor,
    frame: Frame,
    Query(query): Query<DoneQuery>,
) -> Result<Response, ApiError> {
    let flash = query.flash(done);
    let desk = Desk {
        sign_ups,
        outbox,
        user,
        frame,
    };
    desk.page(StatusCode::OK, flash, Values::default(), None)
        .await
}

impl Default for Values<'_> {
    fn default() -> Self {
        Self {
            email: "",
            role: Role::Streamer,
            days: "",
            errors: &[],
        }
    }
}

struct Desk {
    sign_ups: SignUps,
    outbox: Outbox,
    user: SignedIn,
    frame: Frame,
}

impl Desk {
    async fn page(
        &self,
        status: StatusCode,
        flash: Option<Flash>,
        values: Values<'_>,
        link: Option<SecretString>,
    ) -> Result<Response, ApiError> {
        let actor = &self.user.actor;
        let invites = self.sign_ups.list_invites(actor).await?;
        let mail = self.outbox.health(actor).await?;
        let (mode, now) = (self.sign_ups.mode(), self.sign_ups.now());
        let days = match values.days {
            "" => INVITE_DAYS.to_string(),
            days => days.to_owned(),
        };
        let frame = self.frame.at("/invites");
        let page = InvitesPage {
            shell: frame.signed_in("Invitations", &self.user).with_flash(flash),
            modes: mode_choices(mode),
            is_mode_fixed: self.sign_ups.is_mode_fixed(),
            is_off: mode == SignUpMode::Off,
            mail_notice: mail_notice(&mail),
            invites: invites.iter().map(|invite| row(invite, now)).collect(),
            email: Field::email("email", "E-mail")
                .with_autocomplete("off")
                .with_hint(email_hint(mail.is_on))
                .optional()
                .with_value(values.email)
                .with_error_among(values.errors),
            roles: role_choices(values.role, actor.role),
            days: Field::text("days", "Days that it lasts")
                .with_type("number")
                .with_max_length(2)
                .with_value(days)
                .with_error_among(values.errors),
            link,
        };
        Ok(render(status, &page))
    }
}

const fn email_hint(has_mail: bool) -> &'static str {
    if has_mail {
        "The link is sent there. Empty: you hand it over, and whoever holds it may use it."
    } else {
        "Only for this address. Empty: whoever holds the link may use it."
    }
}

fn mail_notice(mail: &MailHealth) -> Option<String> {
    let error = mail.last_error.as_deref()?;
    let MailHealth {
        waiting, given_up, ..
    } = mail;
    Some(format!(
        "Mails: {waiting} wait and {given_up} of the last two days were given up. The last trouble: {error}"
    ))
}

fn mode_choices(selected: SignUpMode) -> Vec<Choice> {
    let choice = |mode: SignUpMode, label, hint| Choice {
        value: mode.as_str(),
        label,
        hint,
        is_selected: mode == selected,
    };
    vec![
        choice(SignUpMode::Off, "Nobody", "Owners add users"),
        choice(
            SignUpMode::Invite,
            "Invited people",
            "With a link that works once",
        ),
        choice(
            SignUpMode::Open,
            "Everybody",
            "As streamers, with slots of their own",
        ),
    ]
}

fn row(invite: &Invite, now: UnixMillis) -> InviteRow {
    let is_open = invite.is_open(now);
    let state = match (is_open, invite.used_at) {
        (_, Some(_)) => "used",
        (true, None) => "open",
        (false, None) => "too old",
    };
    InviteRow {
        id: invite.id,
        whom: invite
            .email
            .clone()
            .unwrap_or_else(|| "Whoever holds the link".to_owned()),
        role: role_label(invite.role),
        state,
        ends: invite.expires_at.into(),
        is_open,
    }
}

/// The form that invites.
#[derive(Debug, Deserialize)]
pub struct InviteForm {
    #[serde(default)]
    email: String,
    role: Role,
    #[serde(default)]
    days: String,
}

impl InviteForm {
    fn check(&self) -> Result<NewInvite, Error> {
        let email = match self.email.trim() {
            "" => None,
            text => Some(Email::parse(text)?),
        };
        let days = match self.days.trim() {
            "" => INVITE_DAYS,
            // What is no number is out of the range too.
            text => text.parse().unwrap_or_default(),
        };
        NewInvite::new(email, self.role, days)
    }
}

/// `POST /invites`: the link is on the answer and nowhere else, or goes by mail.
///
/// # Errors
/// The store's; 403 for a role that the caller may not manage.
pub async fn create_invite(
    State(sign_ups): State<SignUps>,
    State(outbox): State<Outbox>,
    OperatorActor(user): OperatorActor,
    frame: Frame,
    Form(form): Form<InviteForm>,
) -> Result<Response, ApiError> {
    let made = match form.check() {
        Ok(new) => sign_ups.invite(Some(&user.actor), new).await,
        Err(error) => Err(error),
    };
    let desk = Desk {
        sign_ups,
        outbox,
        user,
        frame,
    };
    match made {
        Ok(MadeInvite::Link(link)) => {
            let blank = Values::default();
            desk.page(StatusCode::OK, None, blank, Some(link)).await
        }
        Ok(MadeInvite::Mailed(email)) => {
            let flash = Flash::success(format!("The invitation is on its way to {email}."));
            let blank = Values::default();
            desk.page(StatusCode::OK, Some(flash), blank, None).await
        }
        Err(error) if matches!(error.kind(), Kind::Invalid | Kind::Conflict) => {
            let flash = error
                .fields()
                .is_empty()
                .then(|| Flash::problem(sentence(error.message())));
            let values = Values {
                email: &form.email,
                role: form.role,
                days: &form.days,
                errors: error.fields(),
            };
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            desk.page(status, flash, values, None).await
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /invites/{id}/revoke`
///
/// # Errors
/// 404 for an invitation that is not open.
pub async fn revoke_invite(
    State(sign_ups): State<SignUps>,
    OperatorActor(user): OperatorActor,
    Path(id): Path<InviteId>,
) -> Result<Redirect, ApiError> {
    sign_ups.revoke_invite(&user.actor, id).await?;
    Ok(Redirect::to("/invites?done=revoked"))
}

/// Who may sign up.
#[derive(Debug, Deserialize)]
pub struct ModeForm {
    #[serde(default)]
    mode: String,
}

/// `POST /invites/sign-up`
///
/// # Errors
/// 400 for an unknown word, 409 when the configuration says it.
pub async fn change_mode(
    State(sign_ups): State<SignUps>,
    OperatorActor(user): OperatorActor,
    Form(form): Form<ModeForm>,
) -> Result<Response, ApiError> {
    let Some(mode) = SignUpMode::parse(&form.mode) else {
        let message = "choose off, invite or open";
        return Err(Error::invalid_field("mode", "unknown", message).into());
    };
    sign_ups.change_mode(&user.actor, mode).await?;
    Ok(Redirect::to("/invites?done=mode").into_response())
}
