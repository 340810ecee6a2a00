//! A relay session: its states, its identity at the plugin, and the rules between them.
//!
//! ```text
//! start ─► provisioning ─► active ◄─► grace
//!               │            │          │
//!               └────────► stopped ◄────┘    (stopped by its lease: may be revived to active)
//! ```
//! `draining` and `superseded` are states of a migration between nodes.
//!
//! Invariant: a status changes only along [`Status::may_become`].

mod credentials;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};

pub use self::credentials::SessionCredentials;
use crate::kernel::ids::{NodeId, RelaySessionId, SlotId, UserId};
use crate::kernel::{Error, UnixMillis};
use crate::slots::Slot;

/// A word that a column may not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a word of this column")]
pub struct UnknownWord;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// Every word.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word in tables and on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(UnknownWord),
                }
            }
        }

        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::from(self.as_str()))
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                value.as_str()?.parse().map_err(FromSqlError::other)
            }
        }
    };
}

words! {
    /// Where a session is in its life.
    Status {
        /// A node prepares the stream.
        Provisioning = "provisioning",
        /// Media may flow, or does.
        Active = "active",
        /// Media flowed and was lost; it may come back.
        Grace = "grace",
        /// Over.
        Stopped = "stopped",
        /// The old half of a migration, until its ingest ends.
        Draining = "draining",
        /// Replaced by the other half of a migration.
        Superseded = "superseded",
    }
}

impl Status {
    /// The states of a session that is open.
    pub const OPEN: [Self; 3] = [Self::Provisioning, Self::Active, Self::Grace];

    /// Whether it holds its slot and counts against the plan.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Provisioning | Self::Active | Self::Grace)
    }

    /// The legal transitions.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Provisioning => matches!(next, Self::Active | Self::Stopped),
            Self::Active => matches!(next, Self::Grace | Self::Stopped | Self::Draining),
            Self::Grace => matches!(next, Self::Active | Self::Stopped | Self::Draining),
            // Only one whose lease ran out is revived; `service::heartbeat` checks that.
            Self::Stopped => matches!(next, Self::Active),
            Self::Draining => matches!(next, Self::Superseded | Self::Stopped),
            Self::Superseded => matches!(next, Self::Stopped),
        }
    }
}

words! {
    /// Why a session is over.
    StopReason {
        /// The plugin asked for it.
        Requested = "requested",
        /// Its slot went to another connection, or its connection to another slot.
        Moved = "moved",
        /// Nobody renewed its lease.
        LeaseExpired = "lease_expired",
        /// The grace window passed and no connection waits for the media.
        GraceOver = "grace_over",
        /// The broadcast was longer than the plan allows.
        MaxSessionReached = "max_session_reached",
        /// The plan no longer covers a relay.
        EntitlementEnded = "entitlement_ended",
        /// The node refused the stream.
        RelayRejected = "relay_rejected",
        /// The node did not answer in time.
        RelayUnavailable = "relay_unavailable",
    }
}

impl StopReason {
    /// Whether the session never came to life, which a waiting plugin must be told.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::RelayRejected | Self::RelayUnavailable)
    }
}

/// A session that was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Which.
    pub session_id: RelaySessionId,
    /// When.
    pub at: UnixMillis,
    /// The region that it left.
    pub from_region: String,
    /// The region where it is now.
    pub to_region: String,
}

/// What the plugin calls its connection: `[A-Za-z0-9._-]{1,128}`, or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ConnectionId(String);

impl ConnectionId {
    /// Checks what a client sent; nothing and an empty text are the same.
    ///
    /// # Errors
    /// `Invalid`, naming the field.
    pub fn parse(text: Option<&str>) -> Result<Self, Error> {
        let text = text.unwrap_or_default();
        let is_clean = text.len() <= 128
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if !is_clean {
            let message = "use 1 to 128 letters, digits, dots, underscores and hyphens";
            return Err(Error::invalid_field(
                "connection_id",
                "invalid_format",
                message,
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name; `None` when the client gave none.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        (!self.0.is_empty()).then_some(self.0.as_str())
    }
}

impl ToSql for ConnectionId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0.as_str()))
    }
}

impl FromSql for ConnectionId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str().map(|text| Self(text.to_owned()))
    }
}

/// A relay session as stored, without its sealed tokens: what ends a session must not depend on a key.
#[derive(Debug, Clone)]
pub struct Session {
    /// Its identity.
    pub id: RelaySessionId,
    /// Whose.
    pub user_id: UserId,
    /// The slot it holds while it is open.
    pub slot_id: SlotId,
    /// The plugin's connection.
    pub connection_id: ConnectionId,
    /// Where it is in its life.
    pub status: Status,
    /// The region of its node, also after its end.
    pub region: String,
    /// The node at which it has a place; `None` once that is freed.
    pub node_id: Option<NodeId>,
    /// When it was made.
    pub started_at: UnixMillis,
    /// When it ended, for the first time.
    pub stopped_at: Option<UnixMillis>,
    /// Why it ended.
    pub stop_reason: Option<StopReason>,
    /// How long media may be away before the broadcast is over.
    pub grace_window: Duration,
    /// How long one broadcast may be, where the plan limits it.
    pub max_session: Duration,
    /// Seconds in which ingest bytes flowed, as far as written.
    pub ingest_seconds: u64,
    /// The same for the broadcast that goes on, interruptions inside the grace included.
    pub broadcast_seconds: u64,
}

/// A session with what its answers need besides.
#[derive(Debug, Clone)]
pub struct SlotSession {
    /// The session.
    pub session: Session,
    /// Its tokens for old clients.
    pub credentials: SessionCredentials,
    /// Its slot, keys opened.
    pub slot: Arc<Slot>,
    /// Whether the plan limits the length of a broadcast.
    pub has_max_session: bool,
}

/// A session as it is at this moment: the row and what memory knows beyond it.
#[derive(Debug, Clone)]
pub struct SessionSnapshot {
    /// Session and slot.
    pub of: SlotSession,
    /// What is left of the grace window; `None` outside grace.
    pub grace_remaining: Option<Duration>,
    /// What is left of the longest broadcast.
    pub max_session_remaining: Duration,
    /// Seconds in which ingest bytes flowed.
    pub ingest_seconds: u64,
}

/// How a slot is chosen at the start.
#[derive(Debug, Clone)]
pub enum SlotChoice {
    /// By its play key, also by one rotated away lately.
    Token(crate::slots::StreamToken),
    /// By its number.
    Number(i64),
    /// The first one that no open session holds.
    FirstFree,
}

/// A checked request for a session.
#[derive(Debug, Clone)]
pub struct StartRequest {
    /// The plugin's connection.
    pub connection_id: ConnectionId,
    /// Which slot.
    pub slot: SlotChoice,
    /// Where the client would like its node; at most 64 characters.
    pub region_preference: String,
    /// Who asks, for the operator; at most 64 characters.
    pub requested_by: String,
}

/// Proof that a request is a repetition of another.
#[derive(Debug, Clone, Copy)]
pub struct IdempotencyKey {
    /// The header's UUID.
    pub key: uuid::Uuid,
    /// SHA-256 of the parsed request.
    pub request_hash: [u8; 32],
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a heartbeat tells of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthReport {
    /// When the sender looked.
    pub observed_at: UnixMillis,
    /// Whether media reached the relay.
    pub ingest_active: bool,
    /// Whether media left it.
    pub egress_active: bool,
    /// How long the session is up, 0 to 604800.
    pub session_uptime_seconds: u64,
}

/// A heartbeat that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthEvent {
    /// When.
    pub received_at: UnixMillis,
    /// What it told.
    pub report: HealthReport,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plugins_connection_ids_pass_and_others_do_not() {
        let id = ConnectionId::parse(Some("conn_1774300000123_1")).unwrap();
        assert_eq!(id.name(), Some("conn_1774300000123_1"));
        assert_eq!(ConnectionId::parse(None).unwrap().name(), None);
        assert_eq!(ConnectionId::parse(Some("")).unwrap().name(), None);
        assert!(ConnectionId::parse(Some("a b")).is_err());
        assert!(ConnectionId::parse(Some("ä")).is_err());
        assert!(ConnectionId::parse(Some(&"a".repeat(129))).is_err());
    }

    #[test]
    fn no_state_becomes_itself_and_nothing_leaves_stopped_but_a_revival() {
        for &status in Status::ALL {
            assert!(!status.may_become(status));
            assert!(!Status::Stopped.may_become(status) || status == Status::Active);
        }
    }
}
