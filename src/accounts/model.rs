//! Users, sessions and tokens: the types and the rules that need no store.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use super::identity::{DisplayName, Email, Password};
use crate::http::Allowance;
use crate::kernel::ids::{AuthSessionId, BrowserSessionId, UserId};
use crate::kernel::secret::SecretString;
use crate::kernel::{Actor, Role, UnixMillis};

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
    /// Whether a mail server is configured.
    pub has_mail: bool,
    /// How often one address may try to prove something; `None` is no limit.
    pub address_allowance: Option<Allowance>,
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
            address_allowance: Some(super::limits::ADDRESS_ALLOWANCE),
            browser: SessionLimits {
                idle: DAY,
                absolute: 30 * DAY,
            },
            operator_browser: SessionLimits {
                idle: 12 * HOUR,
                absolute: 7 * DAY,
            },
            has_mail: false,
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
    /// When they last proved their address.
    pub email_verified_at: Option<UnixMillis>,
    /// Whether they sign in only once they have proved it.
    pub must_verify_email: bool,
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

impl FromStr for AccessId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
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
