//! Typed identifiers: a prefix that names the kind, and a `UUIDv7`.
//!
//! The text form is `usr_` followed by 32 lower-case hexadecimal digits. It is what clients see, what the
//! database stores and what logs show. Clients treat it as opaque.
//!
//! Invariant: no bare `Uuid` or `String` crosses a function boundary as an identifier.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

/// A text that is not an identifier of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an identifier that begins with {prefix}")]
pub struct InvalidId {
    /// The prefix that was expected.
    pub prefix: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// The prefix of the text form.
            pub const PREFIX: &'static str = $prefix;

            /// Makes a fresh identifier; later ones sort after earlier ones.
            #[must_use]
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $prefix, self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let invalid = InvalidId { prefix: $prefix };
                let digits = text.strip_prefix($prefix).ok_or(invalid)?;
                // Only the one form we print: two texts for one id would be two cache keys.
                let is_canonical = digits.len() == 32
                    && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                if !is_canonical {
                    return Err(invalid);
                }
                Uuid::try_parse(digits).map(Self).map_err(|_| invalid)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let text = ObjectBuilder::new()
                    .schema_type(Type::String)
                    .description(Some(concat!("Opaque; begins with `", $prefix, "`.")))
                    .examples([concat!($prefix, "0197f3a2b4c87d10a1b2c3d4e5f60718")]);
                text.into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
        }

        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::from(self.to_string()))
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                value.as_str()?.parse().map_err(FromSqlError::other)
            }
        }
    };
}

id!(
    /// A person who may sign in.
    UserId, "usr_"
);
id!(
    /// A signed-in browser.
    BrowserSessionId, "bro_"
);
id!(
    /// A signed-in plugin.
    AuthSessionId, "aut_"
);
id!(
    /// One attempt of a plugin to sign in.
    LoginAttemptId, "pla_"
);
id!(
    /// One relay session, `session` on the wire.
    RelaySessionId, "ses_"
);
id!(
    /// One stream slot of a user.
    SlotId, "slt_"
);
id!(
    /// One relay node.
    NodeId, "nod_"
);
id!(
    /// The assignment of a relay session to a node.
    AssignmentId, "asg_"
);
id!(
    /// One event that was observed and stored.
    EventId, "evt_"
);
id!(
    /// The right to join once.
    InviteId, "inv_"
);
id!(
    /// One mail to be sent.
    MailId, "mai_"
);
id!(
    /// A key of a user's own program.
    ApiKeyId, "key_"
);
id!(
    /// The offer to merge two accounts.
    MergeRequestId, "mrg_"
);
id!(
    /// One correction of a user's usage.
    AdjustmentId, "adj_"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_round_trips() {
        let id = SlotId::generate();
        assert_eq!(id.to_string().parse::<SlotId>(), Ok(id));
        assert!(id.to_string().starts_with("slt_"));
    }

    #[test]
    fn another_kind_or_another_spelling_is_refused() {
        let id = SlotId::generate().to_string();
        assert!(id.parse::<UserId>().is_err());
        assert!(id.to_uppercase().parse::<SlotId>().is_err());
        assert!(format!("{id}0").parse::<SlotId>().is_err());
        assert!("slt_".parse::<SlotId>().is_err());
    }
}
