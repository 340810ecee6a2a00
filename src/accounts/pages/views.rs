//! The pages of joining, recovery, invitations, addresses and keys.
//!
//! Invariant: a link or key that a page shows was made for that answer, and is in no other.

use std::fmt;

use askama::Template;

use crate::accounts::oauth::Provider;
use crate::accounts::proof_fields::ProofFields;
use crate::accounts::views::ProviderLink;
use crate::http::form::{Choice, Field};
use crate::http::moment::Moment;
use crate::http::page::Shell;
use crate::kernel::FieldError;
use crate::kernel::ids::{ApiKeyId, InviteId, UserId};
use crate::kernel::secret::{ExposeSecret, SecretString};

const PASSWORD_HINT: &str = "At least 8 characters of any kind; 15 or more are better.";

/// A page that tells one thing, and where to go on.
#[derive(Debug, Template)]
#[template(path = "pages/accounts/told.html")]
pub(super) struct ToldPage {
    pub(super) shell: Shell,
    pub(super) icon: &'static str,
    pub(super) text: String,
    pub(super) href: &'static str,
    pub(super) label: &'static str,
}

/// `GET /sign-up`
#[derive(Debug, Template)]
#[template(path = "pages/accounts/sign_up.html")]
pub(super) struct SignUpPage {
    pub(super) shell: Shell,
    pub(super) invite: SecretString,
    pub(super) email: Field,
    pub(super) display_name: Field,
    pub(super) password: Field,
    pub(super) problem: Option<String>,
    pub(super) providers: Vec<ProviderLink>,
}

/// What stands in the form of [`SignUpPage`].
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SignUpValues<'a> {
    pub(super) email: &'a str,
    pub(super) is_email_fixed: bool,
    pub(super) display_name: &'a str,
}

impl SignUpPage {
    pub(super) fn new(
        shell: Shell,
        invite: SecretString,
        values: SignUpValues<'_>,
        errors: &[FieldError],
        problem: Option<String>,
    ) -> Self {
        let mut email = Field::email("email", "E-mail")
            .with_value(values.email)
            .with_error_among(errors);
        if values.is_email_fixed {
            email = email.read_only();
        }
        Self {
            shell,
            invite,
            email,
            display_name: Field::text("display_name", "Display name")
                .with_hint("Shown to whoever runs this server. Empty: the part before the @.")
                .with_max_length(64)
                .with_autocomplete("nickname")
                .optional()
                .with_value(values.display_name)
                .with_error_among(errors),
            password: Field::new_password("password", "Password")
                .with_hint(PASSWORD_HINT)
                .with_error_among(errors),
            problem,
            providers: Vec::new(),
        }
    }

    /// With these ways to join instead, which take the invitation along.
    pub(super) fn with_providers(mut self, providers: &[Provider]) -> Self {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("next", "/live?welcome=1");
        if !self.invite().is_empty() {
            query.append_pair("invite", self.invite());
        }
        let query = query.finish();
        let link = |provider: &Provider| ProviderLink {
            label: provider.label(),
            href: format!("/api/v1/auth/{provider}/authorize?{query}"),
        };
        self.providers = providers.iter().map(link).collect();
        self
    }

    fn invite(&self) -> &str {
        self.invite.expose_secret()
    }
}

/// `GET /forgot`
#[derive(Debug, Template)]
#[template(path = "pages/accounts/forgot.html")]
pub(super) struct ForgotPage {
    pub(super) shell: Shell,
    pub(super) email: Field,
    pub(super) problem: Option<String>,
}

/// `GET /reset` and `GET /verify`: what a link opens.
#[derive(Debug, Template)]
#[template(path = "pages/accounts/link.html")]
pub(super) struct LinkPage {
    pub(super) shell: Shell,
    pub(super) token: SecretString,
    /// Of a link to a new password.
    pub(super) new_password: Option<Field>,
    pub(super) action: &'static str,
    pub(super) text: &'static str,
}

impl LinkPage {
    pub(super) fn reset(shell: Shell, token: SecretString, errors: &[FieldError]) -> Self {
        let field = Field::new_password("new_password", "New password")
            .with_hint(PASSWORD_HINT)
            .with_error_among(errors);
        Self {
            shell,
            token,
            new_password: Some(field),
            action: "/reset",
            text: "All your browsers are signed out with it.",
        }
    }

    pub(super) fn verify(shell: Shell, token: SecretString) -> Self {
        Self {
            shell,
            token,
            new_password: None,
            action: "/verify",
            text: "Confirm that the address to which this link was sent is yours.",
        }
    }

    fn token(&self) -> &str {
        self.token.expose_secret()
    }
}

/// `GET /invites`
#[derive(Debug, Template)]
#[template(path = "pages/accounts/invites.html")]
pub(super) struct InvitesPage {
    pub(super) shell: Shell,
    pub(super) modes: Vec<Choice>,
    pub(super) is_mode_fixed: bool,
    pub(super) is_off: bool,
    pub(super) mail_notice: Option<String>,
    pub(super) invites: Vec<InviteRow>,
    pub(super) email: Field,
    pub(super) roles: Vec<Choice>,
    pub(super) days: Field,
    /// Shown once.
    pub(super) link: Option<SecretString>,
}

impl InvitesPage {
    fn link(&self) -> Option<&str> {
        self.link.as_ref().map(ExposeSecret::expose_secret)
    }
}

/// One invitation.
#[derive(Debug)]
pub(super) struct InviteRow {
    pub(super) id: InviteId,
    pub(super) whom: String,
    pub(super) role: &'static str,
    pub(super) state: &'static str,
    pub(super) ends: Moment,
    pub(super) is_open: bool,
}

/// `GET /users/{user_id}`
#[derive(Debug, Template)]
#[template(path = "pages/accounts/user.html")]
pub(super) struct UserPage {
    pub(super) shell: Shell,
    pub(super) id: UserId,
    pub(super) email: String,
    pub(super) is_verified: bool,
    pub(super) role: &'static str,
    pub(super) added: Moment,
    pub(super) is_self: bool,
    pub(super) may_manage: bool,
    pub(super) proof: ProofFields,
    /// Shown once.
    pub(super) link: Option<SecretString>,
}

impl UserPage {
    fn link(&self) -> Option<&str> {
        self.link.as_ref().map(ExposeSecret::expose_secret)
    }
}

/// `GET /account/address`
#[derive(Debug, Template)]
#[template(path = "pages/accounts/address.html")]
pub(super) struct AddressPage {
    pub(super) shell: Shell,
    pub(super) current: String,
    pub(super) is_verified: bool,
    pub(super) has_mail: bool,
    pub(super) email: Field,
    pub(super) proof: ProofFields,
}

/// `GET /account/keys`
#[derive(Template)]
#[template(path = "pages/accounts/keys.html")]
pub(super) struct KeysPage {
    pub(super) shell: Shell,
    pub(super) keys: Vec<KeyRow>,
    pub(super) name: Field,
    pub(super) days: Field,
    pub(super) scopes: Vec<Choice>,
    pub(super) scopes_error: Option<String>,
    /// Shown once.
    pub(super) made: Option<SecretString>,
}

impl KeysPage {
    fn made(&self) -> Option<&str> {
        self.made.as_ref().map(ExposeSecret::expose_secret)
    }
}

impl fmt::Debug for KeysPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeysPage")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

/// One key.
#[derive(Debug)]
pub(super) struct KeyRow {
    pub(super) id: ApiKeyId,
    pub(super) name: String,
    pub(super) prefix: String,
    pub(super) scopes: String,
    pub(super) used: Option<Moment>,
    pub(super) ends: Option<Moment>,
}
