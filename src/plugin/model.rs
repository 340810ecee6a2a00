//! Sign-in attempts: the types and the rules that need no store.

use std::fmt;
use std::time::Duration;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};

use crate::accounts::{ADDRESS_ALLOWANCE, PluginDevice};
use crate::http::Allowance;
use crate::kernel::ids::{AuthSessionId, LoginAttemptId, UserId};
use crate::kernel::secret::{SecretString, TokenDigest, random_bytes};
use crate::kernel::{Error, FieldError, Result, UnixMillis};

/// How the sign-in of plugins works here.
#[derive(Debug, Clone)]
pub struct PluginConfig {
    /// How long a person has to decide (at most 10 min, OWASP ASVS 6.5.5).
    pub attempt_life: Duration,
    /// How often the plugin should ask.
    pub poll_interval: Duration,
    /// How long a claimed attempt may be claimed again.
    pub reclaim_window: Duration,
    /// `plugin_login_complete_key`: lets another web page of the operator decide. Unset, that way is off.
    pub complete_key: Option<SecretString>,
    /// How often one address may begin; `None` is no limit.
    pub address_allowance: Option<Allowance>,
}

impl Default for PluginConfig {
    fn default() -> Self {
        Self {
            attempt_life: Duration::from_mins(10),
            poll_interval: Duration::from_secs(3),
            reclaim_window: Duration::from_mins(1),
            complete_key: None,
            address_allowance: Some(ADDRESS_ALLOWANCE),
        }
    }
}

/// Checks what a plugin says about its device: `platform` is needed, the others may be empty. Control
/// characters are dropped, because the words are shown to a person.
///
/// # Errors
/// `Invalid` with the fields that are missing or too long.
pub fn device(platform: &str, plugin_version: &str, device_name: &str) -> Result<PluginDevice> {
    let mut errors = Vec::new();
    let mut clean = |field, text: &str, most: usize| {
        let text: String = text.trim().chars().filter(|c| !c.is_control()).collect();
        if text.chars().count() > most {
            let message = format!("{most} characters at most");
            errors.push(FieldError::new(field, "too_long", message));
        }
        text
    };
    let device = PluginDevice {
        platform: clean("client.platform", platform, 32),
        plugin_version: clean("client.plugin_version", plugin_version, 32),
        device_name: clean("client.device_name", device_name, 128),
    };
    if device.platform.is_empty() {
        errors.push(FieldError::new(
            "client.platform",
            "required",
            "name the platform",
        ));
    }
    if errors.is_empty() {
        Ok(device)
    } else {
        Err(Error::invalid_fields(errors))
    }
}

/// What tells two attempts apart on the page: eight characters without look-alikes, 40 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShortCode(String);

impl ShortCode {
    /// No `I`, `O`, `0` or `1`.
    const ALPHABET: &'static [u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

    /// A random one, such as `K7MX-2P9A`.
    #[must_use]
    pub fn random() -> Self {
        let letter = |byte: &u8| char::from(Self::ALPHABET[usize::from(byte % 32)]);
        let letters: String = random_bytes::<8>().iter().map(letter).collect();
        let (left, right) = letters.split_at(4);
        Self(format!("{left}-{right}"))
    }
}

impl fmt::Display for ShortCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromSql for ShortCode {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        String::column_result(value).map(Self)
    }
}

/// How far an attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nobody decided yet.
    Pending,
    /// The plugin may claim its session.
    Approved,
    /// It may not.
    Denied,
}

impl FromSql for Status {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_str()? {
            "pending" => Ok(Self::Pending),
            "approved" => Ok(Self::Approved),
            "denied" => Ok(Self::Denied),
            other => Err(FromSqlError::Other(
                format!("attempt status {other:?}").into(),
            )),
        }
    }
}

/// A sign-in attempt.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Which.
    pub id: LoginAttemptId,
    /// Of the poll token.
    pub poll_digest: TokenDigest,
    /// Shown on the page.
    pub short_code: ShortCode,
    /// Who asks.
    pub device: PluginDevice,
    /// How far it is.
    pub status: Status,
    /// Who approved it.
    pub user_id: Option<UserId>,
    /// Why it was denied.
    pub reason_code: Option<String>,
    /// When the plugin asked.
    pub created_at: UnixMillis,
    /// Until when a person may decide.
    pub expires_at: UnixMillis,
    /// What the plugin got, when it asked for it.
    pub claim: Option<Claim>,
}

impl Attempt {
    /// Whether a person may still decide.
    #[must_use]
    pub fn is_open(&self, now: UnixMillis) -> bool {
        self.status == Status::Pending && now < self.expires_at
    }
}

/// What a plugin got for an approved attempt.
#[derive(Debug, Clone)]
pub struct Claim {
    /// When.
    pub at: UnixMillis,
    /// The session.
    pub auth_session_id: AuthSessionId,
    /// The tokens, until they are wiped.
    pub sealed: Option<Vec<u8>>,
}

/// What a person, or the holder of the key, decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The plugin is signed in as this user.
    Approve(UserId),
    /// It is not, for this reason.
    Deny(String),
}

/// The reason of a denial without one.
pub const DENIED: &str = "login_denied";

/// What came of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decided {
    /// It stands.
    Done,
    /// The same was decided before, as by a double click.
    Repeated,
    /// There is no such attempt, or its time is over.
    Expired,
    /// It was decided otherwise before.
    AlreadyDecided,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_names_its_platform_and_fits() {
        let made = device(" windows ", "0.0.5", "OBS\u{1b}[31m Desktop\n").unwrap();
        assert_eq!(made.platform, "windows");
        assert_eq!(made.device_name, "OBS[31m Desktop");
        assert!(device("w", "", "").is_ok());
        let error = device("", &"v".repeat(33), &"n".repeat(129)).unwrap_err();
        let codes: Vec<_> = error
            .fields()
            .iter()
            .map(|field| (field.field, field.code))
            .collect();
        assert_eq!(
            codes,
            [
                ("client.plugin_version", "too_long"),
                ("client.device_name", "too_long"),
                ("client.platform", "required"),
            ]
        );
    }

    #[test]
    fn a_short_code_is_easy_to_compare() {
        for _ in 0..100 {
            let code = ShortCode::random().to_string();
            assert_eq!((code.len(), &code[4..5]), (9, "-"));
            assert!(!code.contains(['I', 'O', '0', '1']), "{code}");
        }
    }
}
