//! The pages of the first run.
//!
//! Invariant: no page here names a path, a version or a cause that would help an intruder.

use askama::Template;

use crate::http::form::Field;
use crate::http::page::Shell;
use crate::kernel::FieldError;

/// `GET /setup?token=...`: who owns the appliance, and where it is reached.
#[derive(Template)]
#[template(path = "pages/system/setup.html")]
pub struct SetupPage {
    /// What is around the content.
    pub shell: Shell,
    /// The one-time token of the address; sent back with the form as `token`.
    pub token: String,
    /// What is wrong with the form as a whole.
    pub problem: Option<String>,
    /// The form.
    pub form: SetupForm,
}

impl std::fmt::Debug for SetupPage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SetupPage")
            .field("form", &self.form)
            .finish_non_exhaustive()
    }
}

/// The fields of the setup form, in their order.
#[derive(Debug)]
pub struct SetupForm {
    /// `email`
    pub email: Field,
    /// `display_name`
    pub display_name: Field,
    /// `password`
    pub password: Field,
    /// `public_host`
    pub public_host: Field,
}

/// What stands in the setup form: the detected host at first, later what was typed.
#[derive(Debug, Default, Clone, Copy)]
pub struct SetupValues<'a> {
    /// The owner's e-mail address.
    pub email: &'a str,
    /// The owner's display name.
    pub display_name: &'a str,
    /// Name or address under which phones and OBS reach the appliance.
    pub public_host: &'a str,
    /// Whether the configuration decides about the host.
    pub is_host_configured: bool,
}

impl SetupForm {
    /// The form with these values and the messages that belong to its fields.
    #[must_use]
    pub fn new(values: SetupValues<'_>, errors: &[FieldError]) -> Self {
        Self {
            email: Field::email("email", "E-mail")
                .with_hint("You sign in with it. Nothing is sent to it.")
                .with_value(values.email)
                .with_error_among(errors),
            display_name: Field::text("display_name", "Display name")
                .with_autocomplete("nickname")
                .with_max_length(100)
                .with_value(values.display_name)
                .with_error_among(errors),
            password: Field::new_password("password", "Password")
                .with_hint("At least 8 characters of any kind; 15 or more are better.")
                .with_error_among(errors),
            public_host: public_host(values).with_error_among(errors),
        }
    }
}

fn public_host(values: SetupValues<'_>) -> Field {
    let field = Field::text("public_host", "Public name or address")
        .with_max_length(253)
        .with_value(values.public_host);
    if values.is_host_configured {
        return field
            .with_hint("Set in the configuration; it is changed there.")
            .read_only();
    }
    field
        .with_hint("Your phone and OBS connect to it. We found this one; change it if it is wrong.")
}

/// Every page before the appliance has an owner, for a visitor without a good token.
#[derive(Debug, Template)]
#[template(path = "pages/system/setup_waiting.html")]
pub struct SetupWaitingPage {
    /// What is around the content.
    pub shell: Shell,
    /// Whether the visitor came with a token that is too old, used or wrong.
    pub is_token_refused: bool,
}

#[cfg(test)]
#[path = "views_tests.rs"]
pub(crate) mod tests;
