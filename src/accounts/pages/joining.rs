//! Making an account by oneself.

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::sign_in::enter;
use super::views::{SignUpPage, SignUpValues, ToldPage};
use crate::accounts::extract::browser_client;
use crate::accounts::frame::Frame;
use crate::accounts::joining::SignUp;
use crate::accounts::model::{DisplayName, Email, Password, User};
use crate::accounts::service::{AccountsService, Joined, Offer, SignUps};
use crate::http::page::{render, sentence};
use crate::http::{ApiError, Form, Peer, Query, status_of};
use crate::kernel::secret::{ExposeSecret, SecretString};
use crate::kernel::{Error, FieldError, Kind};
use crate::relay::RelayService;

const TITLE: &str = "Make an account";

/// The query of the sign-up page.
#[derive(Debug, Deserialize)]
pub struct SignUpQuery {
    invite: Option<SecretString>,
}

/// `GET /sign-up`
///
/// # Errors
/// The store's.
pub async fn show_sign_up(
    State(accounts): State<AccountsService>,
    State(sign_ups): State<SignUps>,
    frame: Frame,
    Query(query): Query<SignUpQuery>,
) -> Result<Response, ApiError> {
    let token = query.invite.as_ref().map(ExposeSecret::expose_secret);
    let offered = match sign_ups.offer(token).await {
        Ok(offer) => offer,
        Err(error) if error.kind() == Kind::Gone => {
            return Ok(told(&frame, StatusCode::GONE, error.message()));
        }
        Err(error) => return Err(error.into()),
    };
    let invite = query.invite.unwrap_or_default();
    let form = |values: SignUpValues<'_>| {
        let page = SignUpPage::new(frame.visitor(TITLE), invite.clone(), values, &[], None)
            .with_providers(accounts.linked_accounts().offered());
        render(StatusCode::OK, &page)
    };
    Ok(match &offered {
        Offer::Open | Offer::Invited(None) => form(SignUpValues::default()),
        Offer::Invited(Some(email)) => form(SignUpValues {
            email,
            is_email_fixed: true,
            ..SignUpValues::default()
        }),
        Offer::InviteOnly => {
            let text = "you need an invitation: ask whoever runs this server for a link";
            told(&frame, StatusCode::FORBIDDEN, text)
        }
        Offer::Closed => {
            let text = "nobody can sign up here: ask whoever runs this server for an account";
            told(&frame, StatusCode::FORBIDDEN, text)
        }
    })
}

fn told(frame: &Frame, status: StatusCode, text: &str) -> Response {
    let page = ToldPage {
        shell: frame.visitor(TITLE),
        icon: "problem",
        text: sentence(text),
        href: "/login",
        label: "Sign in",
    };
    render(status, &page)
}

/// The sign-up form.
#[derive(Debug, Deserialize)]
pub struct SignUpForm {
    #[serde(default)]
    email: String,
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    password: SecretString,
    invite: Option<SecretString>,
}

impl SignUpForm {
    /// Checks every field, so that all complaints come at once.
    fn check(&self) -> Result<SignUp, Vec<FieldError>> {
        let email = Email::parse(&self.email);
        let display_name = match (&email, self.display_name.trim()) {
            (Ok(email), "") => Ok(DisplayName::from_email(email)),
            (Err(_), "") => DisplayName::parse("somebody"),
            (_, name) => DisplayName::parse(name),
        };
        let password = Password::parse(self.password.clone());
        match (email, display_name, password) {
            (Ok(email), Ok(display_name), Ok(password)) => Ok(SignUp {
                email,
                display_name,
                password,
                invite: self.invite.clone(),
            }),
            (email, name, password) => {
                let errors = [email.err(), name.err(), password.err()];
                let fields = errors.iter().flatten().flat_map(Error::fields);
                Err(fields.cloned().collect())
            }
        }
    }

    fn again(
        &self,
        accounts: &AccountsService,
        frame: &Frame,
        status: StatusCode,
        error: &Error,
    ) -> Response {
        let values = SignUpValues {
            email: &self.email,
            is_email_fixed: false,
            display_name: &self.display_name,
        };
        let invite = self.invite.clone().unwrap_or_default();
        let problem = error.fields().is_empty().then(|| sentence(error.message()));
        let shell = frame.visitor(TITLE);
        let page = SignUpPage::new(shell, invite, values, error.fields(), problem)
            .with_providers(accounts.linked_accounts().offered());
        render(status, &page)
    }
}

/// `POST /sign-up`: makes the account, and signs in or says that a mail is on its way.
///
/// # Errors
/// The store's. Bad input is answered by the form again.
pub async fn submit_sign_up(
    State(accounts): State<AccountsService>,
    State(sign_ups): State<SignUps>,
    State(relay): State<RelayService>,
    frame: Frame,
    peer: Peer,
    headers: HeaderMap,
    Form(form): Form<SignUpForm>,
) -> Result<Response, ApiError> {
    let joined = match form.check() {
        Ok(new) => sign_ups.sign_up(new, peer.ip).await,
        Err(fields) => Err(Error::invalid_fields(fields)),
    };
    match joined {
        Ok(Joined::Ready(user)) => {
            admit(&relay, &user).await;
            let client = browser_client(&peer, &headers);
            let session = accounts.begin_browser_session(&user, &client, None).await?;
            Ok(enter(&accounts, &session, &peer, "/live?welcome=1"))
        }
        Ok(Joined::MailSent) => Ok(mail_is_on_its_way(&frame, TITLE)),
        Err(error) => match error.kind() {
            Kind::Invalid => {
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                Ok(form.again(&accounts, &frame, status, &error))
            }
            Kind::Conflict | Kind::LimitReached | Kind::Unavailable => {
                Ok(form.again(&accounts, &frame, status_of(error.kind()), &error))
            }
            Kind::Gone | Kind::Forbidden => {
                Ok(told(&frame, status_of(error.kind()), error.message()))
            }
            _ => Err(error.into()),
        },
    }
}

/// The same whether or not the address has an account.
pub(super) fn mail_is_on_its_way(frame: &Frame, title: &str) -> Response {
    let page = ToldPage {
        shell: frame.visitor(title),
        icon: "success",
        text: "Look into your mail: what we sent to that address says how to go on. It may take a \
               few minutes, or lie among the spam."
            .to_owned(),
        href: "/login",
        label: "Sign in",
    };
    render(StatusCode::OK, &page)
}

/// Makes the relay know the slots of a new user. The user is there whatever comes of it; a job tries again.
pub(in crate::accounts) async fn admit(relay: &RelayService, user: &User) {
    if let Err(error) = relay.sync_user(user.id).await {
        tracing::warn!(user.id = %user.id, error = %error, "the slots of a new user are not on the relay yet");
    }
}
