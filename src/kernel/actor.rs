//! Who is calling, and what they may do.

use std::fmt;
use std::str::FromStr;

use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use serde::{Deserialize, Serialize};

use super::error::{Error, Result};
use super::ids::{ApiKeyId, AuthSessionId, BrowserSessionId, UserId};

/// What a user may do on this appliance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything, users included. There may be several.
    Owner,
    /// Runs the appliance: sees and controls all slots, manages no owner.
    Operator,
    /// Looks at figures; never sees a secret and changes nothing.
    Viewer,
    /// Sees and controls only what is theirs.
    Streamer,
}

impl Role {
    /// All roles, mightiest first.
    pub const ALL: [Self; 4] = [Self::Owner, Self::Operator, Self::Viewer, Self::Streamer];

    /// The word in tables, on the wire and in forms.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Operator => "operator",
            Self::Viewer => "viewer",
            Self::Streamer => "streamer",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a role is one of owner, operator, viewer, streamer")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> std::result::Result<Self, UnknownRole> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(UnknownRole)
    }
}

impl ToSql for Role {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.as_str()))
    }
}

impl FromSql for Role {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map_err(FromSqlError::other)
    }
}

/// How a caller proved who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// A signed-in browser.
    Browser(BrowserSessionId),
    /// A signed-in plugin.
    Plugin(AuthSessionId),
    /// A program of the user's, with a key for what it does.
    ApiKey(ApiKeyId),
    /// The appliance itself, or its operator on the command line.
    System,
}

/// A caller whose identity is proved. Services take one, so a handler that proved nothing cannot call them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actor {
    /// The user.
    pub user_id: UserId,
    /// The user's role.
    pub role: Role,
    /// The proof.
    pub via: Via,
}

impl Actor {
    /// Whether the caller may see figures that belong to `owner`.
    #[must_use]
    pub fn may_see(&self, owner: UserId) -> bool {
        match self.role {
            Role::Owner | Role::Operator | Role::Viewer => true,
            Role::Streamer => self.user_id == owner,
        }
    }

    /// Whether the caller may control what belongs to `owner`, and see its secrets.
    #[must_use]
    pub fn may_control(&self, owner: UserId) -> bool {
        match self.role {
            Role::Owner | Role::Operator => true,
            Role::Viewer => false,
            Role::Streamer => self.user_id == owner,
        }
    }

    /// Whether the caller runs the appliance.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        matches!(self.role, Role::Owner | Role::Operator)
    }

    /// Whether the caller may add, invite and remove users of `role`.
    #[must_use]
    pub fn may_manage(&self, role: Role) -> bool {
        match self.role {
            Role::Owner => true,
            Role::Operator => role != Role::Owner,
            Role::Viewer | Role::Streamer => false,
        }
    }

    /// Refuses a caller who does not run the appliance.
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn require_operator(&self) -> Result<()> {
        if self.is_operator() {
            Ok(())
        } else {
            Err(Error::forbidden())
        }
    }

    /// Refuses a caller who may not control what belongs to `owner`.
    ///
    /// # Errors
    /// `NotFound` for what the caller may not even see, so that foreign ids cannot be probed; `Forbidden`
    /// for a viewer.
    pub fn require_control(&self, owner: UserId, what: &'static str) -> Result<()> {
        if self.may_control(owner) {
            Ok(())
        } else if self.may_see(owner) {
            Err(Error::forbidden())
        } else {
            Err(Error::not_found(what))
        }
    }
}
