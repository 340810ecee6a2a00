//! One field of a form, as every page shows it: label, hint, value, error.
//!
//! Invariant: what was typed into a password field never goes back to the browser.

use crate::kernel::FieldError;

/// A labelled input.
#[derive(Debug, Clone)]
pub struct Field {
    /// The `name` in the form, and the `id` in the page: unique on its page.
    pub name: &'static str,
    /// What a person reads above the input.
    pub label: &'static str,
    /// The `type` of the input: `text`, `email` or `password`.
    pub input_type: &'static str,
    /// The `autocomplete` token, so that password managers and keyboards help.
    pub autocomplete: &'static str,
    /// What stands in the input; always empty for a password.
    pub value: String,
    /// A line of help below the label.
    pub hint: Option<String>,
    /// What is wrong with the value, and what to do.
    pub error: Option<String>,
    /// Whether an empty value is refused.
    pub is_required: bool,
    /// Whether the value is shown but cannot be changed here.
    pub is_read_only: bool,
    /// Least characters, 0 when any number will do.
    pub min_length: usize,
    /// Most characters.
    pub max_length: usize,
}

impl Field {
    /// A required line of text, at most 200 characters.
    #[must_use]
    pub const fn text(name: &'static str, label: &'static str) -> Self {
        Self {
            name,
            label,
            input_type: "text",
            autocomplete: "off",
            value: String::new(),
            hint: None,
            error: None,
            is_required: true,
            is_read_only: false,
            min_length: 0,
            max_length: 200,
        }
    }

    /// A required e-mail address, at most 254 characters (RFC 5321).
    #[must_use]
    pub const fn email(name: &'static str, label: &'static str) -> Self {
        let mut field = Self::text(name, label);
        field.input_type = "email";
        field.autocomplete = "username";
        field.max_length = 254;
        field
    }

    /// A password that exists already: any length is let through to the comparison.
    #[must_use]
    pub const fn current_password(name: &'static str, label: &'static str) -> Self {
        let mut field = Self::text(name, label);
        field.input_type = "password";
        field.autocomplete = "current-password";
        field.max_length = 128;
        field
    }

    /// A password being chosen: 8 to 128 characters of any kind.
    #[must_use]
    pub const fn new_password(name: &'static str, label: &'static str) -> Self {
        let mut field = Self::current_password(name, label);
        field.autocomplete = "new-password";
        field.min_length = 8;
        field
    }

    /// With this in the input. A password is dropped.
    #[must_use]
    pub fn with_value(mut self, value: impl Into<String>) -> Self {
        if self.input_type != "password" {
            self.value = value.into();
        }
        self
    }

    /// With this line of help.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With this message, when there is one.
    #[must_use]
    pub fn with_error(mut self, error: Option<String>) -> Self {
        self.error = error;
        self
    }

    /// With the message of the error that names this field, when there is one.
    #[must_use]
    pub fn with_error_among(self, errors: &[FieldError]) -> Self {
        let own = errors.iter().find(|error| error.field == self.name);
        self.with_error(own.map(|error| error.message.to_string()))
    }

    /// With this token for password managers and keyboards.
    #[must_use]
    pub const fn with_autocomplete(mut self, token: &'static str) -> Self {
        self.autocomplete = token;
        self
    }

    /// With at most this many characters.
    #[must_use]
    pub const fn with_max_length(mut self, characters: usize) -> Self {
        self.max_length = characters;
        self
    }

    /// One that may stay empty.
    #[must_use]
    pub const fn optional(mut self) -> Self {
        self.is_required = false;
        self
    }

    /// With another `type` of input, such as `number` or `date`.
    #[must_use]
    pub const fn with_type(mut self, input_type: &'static str) -> Self {
        self.input_type = input_type;
        self
    }

    /// Shown only, because it is decided elsewhere.
    #[must_use]
    pub const fn read_only(mut self) -> Self {
        self.is_read_only = true;
        self
    }

    /// The `aria-describedby` of the input: the hint, the error, both or nothing.
    #[must_use]
    pub fn described_by(&self) -> String {
        let name = self.name;
        match (&self.hint, &self.error) {
            (None, None) => String::new(),
            (Some(_), None) => format!("{name}-hint"),
            (None, Some(_)) => format!("{name}-error"),
            (Some(_), Some(_)) => format!("{name}-hint {name}-error"),
        }
    }
}

/// One choice of a select or a group of radio buttons.
#[derive(Debug, Clone)]
pub struct Choice {
    /// What the form sends.
    pub value: &'static str,
    /// What a person reads.
    pub label: &'static str,
    /// What choosing it means.
    pub hint: &'static str,
    /// Whether it is chosen now.
    pub is_selected: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_never_goes_back_to_the_browser() {
        let field = Field::new_password("password", "Password").with_value("correct horse");
        assert_eq!(field.value, "");
    }

    #[test]
    fn an_input_is_described_by_its_hint_and_its_error() {
        let field = Field::email("email", "E-mail").with_hint("You sign in with it.");
        assert_eq!(field.described_by(), "email-hint");
        let field = field.with_error(Some("Not an address.".to_owned()));
        assert_eq!(field.described_by(), "email-hint email-error");
    }
}
