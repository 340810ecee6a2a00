//! Users, sessions and tokens: the types and the rules that need no store.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::password::is_common;
use crate::kernel::ids::{AuthSessionId, BrowserSessionId, UserId};
use crate::kernel::secret::{ExposeSecret, SecretString};
use crate::kernel::{Actor, Error, Result, Role, UnixMillis};

/// How long proofs last.
#[derive(Debug, Clone, Copy)]
pub struct AccountsConfig {
    /// Life of an access token.
    pub access_token_life: Duration,
    /// Life of an auth session after its last refresh.
    pub refresh_life: Duration,
    /// How long an expired access token still serves where that is allowed: the released plugin does not
    /// refresh by a timer and would lose its stream in the middle.
    pub access_grace: Duration,
    /// How long a replaced refresh token and a claimed sign-in answer again the same.
    pub retry_window: Duration,
    /// Browser sessions of streamers and viewers.
    pub browser: SessionLimits,
    /// Browser sessions of owners and operators, who see other people's secrets.
    pub operator_browser: SessionLimits,
}

/// When a browser session ends by itself.
#[derive(Debug, Clone, Copy)]
pub struct SessionLimits {
    /// Without a request and without an open live page.
    pub idle: Duration,
    /// In any case.
    pub absolute: Duration,
}

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

impl Default for AccountsConfig {
    /// An idle limit of minutes would ask for a password in the street, while the stream is in trouble:
    /// so a day, which a phone in a pocket survives, and half of it for those who see others' secrets.
    fn default() -> Self {
        Self {
            access_token_life: DAY,
            refresh_life: 90 * DAY,
            access_grace: 30 * DAY,
            retry_window: Duration::from_mins(1),
            browser: SessionLimits {
                idle: DAY,
                absolute: 30 * DAY,
            },
            operator_browser: SessionLimits {
                idle: 12 * HOUR,
                absolute: 7 * DAY,
            },
        }
    }
}

impl AccountsConfig {
    /// How long a browser keeps the cookie: as long as any session can last. The store knows better.
    #[must_use]
    pub fn cookie_life(&self) -> Duration {
        self.browser.absolute.max(self.operator_browser.absolute)
    }

    /// The limits of a browser session of `role`.
    #[must_use]
    pub const fn browser_limits(&self, role: Role) -> SessionLimits {
        match role {
            Role::Owner | Role::Operator => self.operator_browser,
            Role::Viewer | Role::Streamer => self.browser,
        }
    }
}

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

/// A user to be made.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Unique.
    pub email: Email,
    /// Shown on pages.
    pub display_name: DisplayName,
    /// What they may do.
    pub role: Role,
    /// Their first password.
    pub password: Password,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Who.
    pub id: UserId,
    /// Unique, in lower case.
    pub email: String,
    /// Shown on pages.
    pub display_name: String,
    /// What they may do.
    pub role: Role,
    /// When they were added.
    pub created_at: UnixMillis,
}

/// A caller in a browser, with what the page's frame shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// The proved identity.
    pub actor: Actor,
    /// Shown in the frame.
    pub display_name: String,
    /// Shown on the account page.
    pub email: String,
}

impl SignedIn {
    /// Whether the caller runs the appliance.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        self.actor.is_operator()
    }
}

/// Where a browser signs in from.
#[derive(Debug, Clone)]
pub struct BrowserClient {
    /// The client's address.
    pub ip: IpAddr,
    /// What it calls itself.
    pub user_agent: String,
}

/// A browser session that begins: the token goes into the cookie and nowhere else.
#[derive(Debug, Clone)]
pub struct NewBrowserSession {
    /// The row's id.
    pub id: BrowserSessionId,
    /// The cookie's value.
    pub token: SecretString,
    /// Who signed in.
    pub user_id: UserId,
    /// When it ends at the latest.
    pub expires_at: UnixMillis,
}

/// A signed-in browser, in its user's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrowserSession {
    /// The row's id.
    pub id: BrowserSessionId,
    /// What the browser calls itself.
    pub user_agent: String,
    /// Where it signed in from.
    pub address: String,
    /// When it signed in.
    pub created_at: UnixMillis,
    /// When it was last heard of.
    pub last_seen_at: UnixMillis,
}

/// A plugin's device as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginDevice {
    /// Such as `windows`.
    pub platform: String,
    /// Such as `0.0.5`.
    pub plugin_version: String,
    /// Such as `OBS Desktop`.
    pub device_name: String,
}

/// A signed-in plugin, in its user's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthSession {
    /// The row's id.
    pub id: AuthSessionId,
    /// The device.
    pub device: PluginDevice,
    /// When it signed in.
    pub created_at: UnixMillis,
    /// When it was last heard of.
    pub last_seen_at: UnixMillis,
}

/// The tokens that an answer carries: always both.
#[derive(Debug, Clone)]
pub struct TokenPair {
    /// The access token (JWT).
    pub access_jwt: SecretString,
    /// The refresh token.
    pub refresh_token: SecretString,
}

/// The `jti` of an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccessId(Uuid);

impl AccessId {
    /// A fresh one.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::new_v4())
    }
}

impl fmt::Display for AccessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.simple(), f)
    }
}

impl std::str::FromStr for AccessId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> std::result::Result<Self, uuid::Error> {
        Uuid::try_parse(text).map(Self)
    }
}

impl ToSql for AccessId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.to_string()))
    }
}

impl FromSql for AccessId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map_err(FromSqlError::other)
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
