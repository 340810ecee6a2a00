//! Keys of a user's own programs: what they are called, what they may do, and which call needs what.
//!
//! Invariant: a call that [`required_scope`] does not name is closed to keys: what signs in, what makes keys,
//! and what nobody has thought of yet.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use crate::kernel::ids::ApiKeyId;
use crate::kernel::secret::{ExposeSecret, SecretString, random_token};
use crate::kernel::{Error, Result, UnixMillis};

/// How every key begins, so that a person, a scanner of leaks and we know it at sight.
pub(super) const KEY_START: &str = "glb_";
/// Characters of a key that are kept and shown in lists.
const PREFIX_CHARACTERS: usize = 10;
/// Keys of one user at most.
pub(super) const KEYS_MAX: usize = 50;
/// Days that a key may last.
const DAYS: std::ops::RangeInclusive<u32> = 1..=3_650;

/// One thing that a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub enum ApiScope {
    /// See relay sessions, live figures and usage. Their addresses hold keys of slots.
    #[serde(rename = "relay:read")]
    RelayRead,
    /// Start, stop and move relay sessions.
    #[serde(rename = "relay:write")]
    RelayWrite,
    /// See slots, their keys included.
    #[serde(rename = "slots:read")]
    SlotsRead,
    /// Rename slots, rotate their keys, set passphrases.
    #[serde(rename = "slots:write")]
    SlotsWrite,
    /// What operators may: containers, nodes, jobs, the audit log. For others it opens nothing.
    #[serde(rename = "operate")]
    Operate,
}

impl ApiScope {
    /// All of them, the least mighty first.
    pub const ALL: [Self; 5] = [
        Self::RelayRead,
        Self::RelayWrite,
        Self::SlotsRead,
        Self::SlotsWrite,
        Self::Operate,
    ];

    /// The word on the wire and in the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RelayRead => "relay:read",
            Self::RelayWrite => "relay:write",
            Self::SlotsRead => "slots:read",
            Self::SlotsWrite => "slots:write",
            Self::Operate => "operate",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::RelayRead => 1,
            Self::RelayWrite => 2,
            Self::SlotsRead => 4,
            Self::SlotsWrite => 8,
            Self::Operate => 16,
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }
}

/// What a key may do: a set of [`ApiScope`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ApiScopes(u8);

impl ApiScopes {
    /// The set of these words.
    ///
    /// # Errors
    /// `Invalid` with field `scopes` for an unknown word, and for none.
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let refuse = |code, message: String| Err(Error::invalid_field("scopes", code, message));
        let mut scopes = Self::default();
        for word in words {
            let Some(scope) = ApiScope::parse(word) else {
                let known = ApiScope::ALL.map(ApiScope::as_str).join(", ");
                return refuse("unknown_scope", format!("choose among {known}"));
            };
            scopes.0 |= scope.bit();
        }
        if scopes == Self::default() {
            return refuse("missing", "choose what the key may do".to_owned());
        }
        Ok(scopes)
    }

    /// What stands in the table; words of old that no longer exist open nothing.
    pub(super) fn parse_stored(text: &str) -> Self {
        let known = text.split(' ').filter_map(ApiScope::parse);
        Self(known.fold(0, |bits, scope| bits | scope.bit()))
    }

    /// Whether it holds `scope`.
    #[must_use]
    pub const fn allows(self, scope: ApiScope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// What it holds.
    pub fn iter(self) -> impl Iterator<Item = ApiScope> {
        ApiScope::ALL
            .into_iter()
            .filter(move |scope| self.allows(*scope))
    }
}

impl fmt::Display for ApiScopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.iter().map(ApiScope::as_str).collect();
        f.write_str(&words.join(" "))
    }
}

/// What a call needs of a key; `None` for what no key opens. `path` is that of the request.
#[must_use]
pub fn required_scope(is_read: bool, path: &str) -> Option<ApiScope> {
    let rest = path.strip_prefix("/api/v1/")?;
    let either = |read, write| Some(if is_read { read } else { write });
    let begins = |starts: &[&str]| {
        starts.iter().any(|start| {
            rest.strip_prefix(start)
                .is_some_and(|after| after.is_empty() || after.starts_with('/'))
        })
    };
    if begins(&[
        "relay/supervisor",
        "audit",
        "jobs",
        "nodes",
        "users",
        "plans",
        "admin",
    ]) {
        return Some(ApiScope::Operate);
    }
    if begins(&["user/stream-slots", "stream-slots", "user/regenerate-token"]) {
        return either(ApiScope::SlotsRead, ApiScope::SlotsWrite);
    }
    if begins(&["relay", "usage", "ip"]) {
        return either(ApiScope::RelayRead, ApiScope::RelayWrite);
    }
    None
}

/// What a person calls a key: 1 to 64 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyName(String);

impl KeyName {
    /// Trims and checks `text`.
    ///
    /// # Errors
    /// `Invalid` with field `name`.
    pub fn parse(text: &str) -> Result<Self> {
        let name = text.trim();
        if !(1..=64).contains(&name.chars().count()) || name.chars().any(char::is_control) {
            let message = "1 to 64 characters, none of them a control character";
            return Err(Error::invalid_field("name", "invalid_length", message));
        }
        Ok(Self(name.to_owned()))
    }

    pub(super) fn stored(text: String) -> Self {
        Self(text)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A key to be made.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// What to call it.
    pub name: KeyName,
    /// What it may do.
    pub scopes: ApiScopes,
    /// How long it lasts; `None`: until it is revoked.
    pub life: Option<Duration>,
}

impl NewApiKey {
    /// One that lasts for `days`, or until it is revoked.
    ///
    /// # Errors
    /// `Invalid` with field `days` for fewer than 1 or more than 3650.
    pub fn new(name: KeyName, scopes: ApiScopes, days: Option<u32>) -> Result<Self> {
        if days.is_some_and(|days| !DAYS.contains(&days)) {
            let message = "give 1 to 3650 days, or none";
            return Err(Error::invalid_field("days", "out_of_range", message));
        }
        Ok(Self {
            name,
            scopes,
            life: days.map(|days| Duration::from_hours(24) * days),
        })
    }
}

/// A key, in its user's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Which.
    pub id: ApiKeyId,
    /// What it is called.
    pub name: KeyName,
    /// How it begins.
    pub prefix: String,
    /// What it may do.
    pub scopes: ApiScopes,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it ends.
    pub expires_at: Option<UnixMillis>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<UnixMillis>,
}

/// A key just made, with its text, which is shown once.
#[derive(Debug, Clone)]
pub struct MadeApiKey {
    /// What is kept of it.
    pub key: ApiKey,
    /// The key itself.
    pub secret: SecretString,
}

impl MadeApiKey {
    pub(super) fn draw(new: NewApiKey, now: UnixMillis) -> Self {
        let secret = format!("{KEY_START}{}", random_token::<32>().expose_secret());
        let key = ApiKey {
            id: ApiKeyId::generate(),
            name: new.name,
            prefix: secret.chars().take(PREFIX_CHARACTERS).collect(),
            scopes: new.scopes,
            created_at: now,
            expires_at: new.life.map(|life| now + life),
            last_used_at: None,
        };
        Self {
            key,
            secret: SecretString::from(secret),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_read_as_they_are_written() {
        let scopes = ApiScopes::parse(["slots:read", "relay:read"]).unwrap();
        assert_eq!(scopes.to_string(), "relay:read slots:read");
        assert_eq!(ApiScopes::parse_stored(&scopes.to_string()), scopes);
        assert!(scopes.allows(ApiScope::SlotsRead) && !scopes.allows(ApiScope::Operate));
        assert_eq!(
            ApiScopes::parse_stored("gone relay:read").to_string(),
            "relay:read"
        );
        let words: [&[&str]; 2] = [&[], &["everything"]];
        for bad in words {
            let refused = ApiScopes::parse(bad.iter().copied()).unwrap_err();
            assert_eq!(refused.fields()[0].field, "scopes");
        }
        for scope in ApiScope::ALL {
            let json = serde_json::to_value(scope).unwrap();
            assert_eq!(json, scope.as_str(), "one word for one thing");
        }
    }

    #[test]
    fn every_call_needs_a_scope_or_is_closed_to_keys() {
        for (is_read, path, scope) in [
            (true, "/api/v1/relay/active", Some(ApiScope::RelayRead)),
            (false, "/api/v1/relay/start", Some(ApiScope::RelayWrite)),
            (true, "/api/v1/usage/current", Some(ApiScope::RelayRead)),
            (true, "/api/v1/stream-slots", Some(ApiScope::SlotsRead)),
            (
                false,
                "/api/v1/user/stream-slots/1/label",
                Some(ApiScope::SlotsWrite),
            ),
            (
                false,
                "/api/v1/user/regenerate-token",
                Some(ApiScope::SlotsWrite),
            ),
            (true, "/api/v1/relay/supervisor", Some(ApiScope::Operate)),
            (
                false,
                "/api/v1/relay/supervisor/restart",
                Some(ApiScope::Operate),
            ),
            (true, "/api/v1/audit", Some(ApiScope::Operate)),
            (true, "/api/v1/auth/session", None),
            (false, "/api/v1/auth/refresh", None),
            (false, "/api/v1/user/api-keys", None),
            (true, "/api/v1/user/api-keys", None),
            (true, "/api/v1/relayed", None),
            (true, "/account", None),
        ] {
            assert_eq!(required_scope(is_read, path), scope, "{path}");
        }
    }

    #[test]
    fn a_key_is_known_by_its_beginning_and_prints_nothing() {
        let name = KeyName::parse(" Stream deck ").unwrap();
        let scopes = ApiScopes::parse(["operate"]).unwrap();
        let new = NewApiKey::new(name, scopes, Some(1)).unwrap();
        let made = MadeApiKey::draw(new, UnixMillis(0));
        let text = made.secret.expose_secret();
        assert_eq!(text.len(), KEY_START.len() + 43, "256 bits");
        assert!(text.starts_with(&made.key.prefix) && made.key.prefix.len() == 10);
        assert_eq!(made.key.expires_at, Some(UnixMillis(86_400_000)));
        assert!(!format!("{made:?}").contains(&text[10..]));
        for bad in ["", " ", "a\nb", &"x".repeat(65)] {
            assert!(KeyName::parse(bad).is_err(), "{bad:?}");
        }
    }
}
