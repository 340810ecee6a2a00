//! What a person gives about themselves, checked: address, name, password.

use std::fmt;

use serde::Serialize;

use super::password::is_common;
use crate::kernel::secret::{ExposeSecret, SecretString};
use crate::kernel::{Error, Result};

/// An e-mail address, trimmed and in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Email(String);

impl Email {
    /// Checks that `text` looks like an address: one `@` with something on both sides.
    ///
    /// # Errors
    /// `Invalid` with field `email`.
    pub fn parse(text: &str) -> Result<Self> {
        let email = text.trim().to_lowercase();
        let has_shape = email.split_once('@').is_some_and(|(local, host)| {
            !local.is_empty() && !host.is_empty() && !host.contains('@')
        });
        let is_clean = !email.chars().any(|c| c.is_whitespace() || c.is_control());
        if !has_shape || !is_clean || email.len() > 254 {
            let message = "give an e-mail address such as you@example.org";
            return Err(Error::invalid_field("email", "invalid_email", message));
        }
        Ok(Self(email))
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a user is called on pages: 1 to 64 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisplayName(String);

impl DisplayName {
    /// Trims and checks `text`.
    ///
    /// # Errors
    /// `Invalid` with field `display_name`.
    pub fn parse(text: &str) -> Result<Self> {
        let name = text.trim();
        let length = name.chars().count();
        if !(1..=64).contains(&length) || name.chars().any(char::is_control) {
            let message = "1 to 64 characters, none of them a control character";
            return Err(Error::invalid_field(
                "display_name",
                "invalid_length",
                message,
            ));
        }
        Ok(Self(name.to_owned()))
    }

    /// The part of an address before the `@`, for users who gave no name.
    #[must_use]
    pub fn from_email(email: &Email) -> Self {
        let local = email.as_str().split('@').next().unwrap_or_default();
        Self(local.chars().take(64).collect())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A new password that satisfies the rules: 8 to 128 characters of any kind, not a common one.
#[derive(Debug, Clone)]
pub struct Password(SecretString);

impl Password {
    /// Characters at least.
    pub const MIN_CHARACTERS: usize = 8;
    /// Characters at most.
    pub const MAX_CHARACTERS: usize = 128;

    /// Checks `text` against the rules.
    ///
    /// # Errors
    /// `Invalid` with field `password`.
    pub fn parse(text: SecretString) -> Result<Self> {
        let refuse = |code, message| Err(Error::invalid_field("password", code, message));
        let length = text.expose_secret().chars().count();
        if length < Self::MIN_CHARACTERS {
            return refuse("too_short", "8 characters at least, better 15");
        }
        if length > Self::MAX_CHARACTERS {
            return refuse("too_long", "128 characters at most");
        }
        if is_common(text.expose_secret()) {
            return refuse(
                "too_common",
                "this is one of the passwords that are tried first",
            );
        }
        Ok(Self(text))
    }

    /// A random one of 120 bits, to be shown once.
    #[must_use]
    pub fn random() -> Self {
        Self(crate::kernel::secret::random_token::<15>())
    }

    /// The text.
    #[must_use]
    pub fn secret(&self) -> &SecretString {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_is_trimmed_and_lower_cased() {
        assert_eq!(
            Email::parse(" You@Example.ORG ").unwrap().as_str(),
            "you@example.org"
        );
        for bad in [
            "",
            "you",
            "@x",
            "x@",
            "a@b@c",
            "a b@c",
            "a@b\n.c",
            &format!("{}@x", "a".repeat(254)),
        ] {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_password_is_8_to_128_characters_of_any_kind() {
        let parse = |text: &str| Password::parse(SecretString::from(text));
        assert!(parse("éèàçùôïü").is_ok(), "8 characters in 16 bytes");
        assert!(parse("correct horse battery staple").is_ok());
        assert!(parse(&"é!".repeat(64)).is_ok());
        assert_eq!(parse("1234567").unwrap_err().fields()[0].code, "too_short");
        assert_eq!(
            parse(&"xy".repeat(65)).unwrap_err().fields()[0].code,
            "too_long"
        );
        assert_eq!(
            parse("Password1").unwrap_err().fields()[0].code,
            "too_common"
        );
        assert!(parse(Password::random().secret().expose_secret()).is_ok());
    }

    #[test]
    fn a_name_is_trimmed_and_has_no_control_characters() {
        assert_eq!(DisplayName::parse("  Ada ").unwrap().as_str(), "Ada");
        for bad in ["", "   ", "a\u{7}b", &"x".repeat(65)] {
            assert!(DisplayName::parse(bad).is_err(), "{bad:?}");
        }
    }
}
