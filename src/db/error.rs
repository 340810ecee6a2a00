//! Database errors, mapped once.

use rusqlite::ffi;

use crate::kernel::{Code, Error, Kind};

/// What went wrong with the database, by what a caller can do.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// A unique row is there already.
    #[error("{what} is taken")]
    Conflict {
        /// Table and column, as `SQLite` names them.
        what: String,
    },
    /// A row that this one refers to is missing.
    #[error("a referenced row is missing")]
    MissingReference(#[source] rusqlite::Error),
    /// Another process holds the lock, or the queue is full.
    #[error("the database is busy")]
    Busy,
    /// No space left.
    #[error("the disk is full")]
    StorageFull,
    /// The file is damaged or is no database.
    #[error("the database file is damaged")]
    Corrupt(#[source] rusqlite::Error),
    /// It was found damaged, so nothing is written to it any more.
    #[error(
        "{database} is damaged and nothing is written to it: stop the server and put a backup in its place"
    )]
    Damaged {
        /// The file's name.
        database: String,
    },
    /// The file is a database of another application.
    #[error("the file is the database of another application")]
    Foreign,
    /// The group's BEGIN or COMMIT failed, so nothing of it was stored.
    #[error("the transaction could not be committed: {reason}")]
    NotCommitted {
        /// The cause in words: every job of the group gets a copy.
        reason: String,
    },
    /// The job panicked; its changes were rolled back.
    #[error("a database job panicked")]
    Panicked,
    /// The store is shutting down.
    #[error("the database is closed")]
    Closed,
    /// Anything else: our fault.
    #[error("a statement failed")]
    Statement(#[source] rusqlite::Error),
}

impl DbError {
    /// The same failure for another job of the same group.
    #[must_use]
    pub fn for_neighbour(&self) -> Self {
        match self {
            Self::StorageFull => Self::StorageFull,
            Self::Busy => Self::Busy,
            Self::Closed => Self::Closed,
            Self::Panicked => Self::Panicked,
            Self::Foreign => Self::Foreign,
            Self::Damaged { database } => Self::Damaged {
                database: database.clone(),
            },
            Self::NotCommitted { reason } => Self::NotCommitted {
                reason: reason.clone(),
            },
            Self::Conflict { .. }
            | Self::MissingReference(_)
            | Self::Corrupt(_)
            | Self::Statement(_) => Self::NotCommitted {
                reason: self.to_string(),
            },
        }
    }
}

impl From<rusqlite::Error> for DbError {
    fn from(error: rusqlite::Error) -> Self {
        let rusqlite::Error::SqliteFailure(failure, message) = &error else {
            return Self::Statement(error);
        };
        match (failure.code, failure.extended_code) {
            (_, ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY) => {
                Self::Conflict {
                    what: constraint_name(message.as_deref()),
                }
            }
            (_, ffi::SQLITE_CONSTRAINT_FOREIGNKEY) => Self::MissingReference(error),
            (rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked, _) => {
                Self::Busy
            }
            (rusqlite::ErrorCode::DiskFull, _) => Self::StorageFull,
            (rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase, _) => {
                Self::Corrupt(error)
            }
            _ => Self::Statement(error),
        }
    }
}

fn constraint_name(message: Option<&str>) -> String {
    let text = message.unwrap_or_default();
    text.rsplit(": ").next().unwrap_or(text).to_owned()
}

impl From<DbError> for Error {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Conflict { .. } => Self::conflict("that already exists").caused_by(error),
            DbError::MissingReference(_) => {
                Self::conflict("something this refers to is gone").caused_by(error)
            }
            // Nothing of the group was stored, so the caller may simply try again.
            DbError::Busy | DbError::Closed | DbError::NotCommitted { .. } => {
                Self::busy().caused_by(error)
            }
            DbError::Damaged { .. } => {
                let message = "the database is damaged and nothing is written to it: an operator must put a \
                               backup in its place";
                Self::new(Kind::Unavailable, Code::Unavailable, message)
                    .reason("database_damaged")
                    .caused_by(error)
            }
            DbError::StorageFull => Self::new(
                Kind::StorageFull,
                Code::StorageFull,
                "the disk is full: free some space, then try again; nothing was changed",
            )
            .caused_by(error),
            DbError::Corrupt(_) | DbError::Foreign | DbError::Panicked | DbError::Statement(_) => {
                Self::internal(error)
            }
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        DbError::from(error).into()
    }
}
