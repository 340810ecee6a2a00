//! Mails: which there are, what they say, and the port through which they leave.
//!
//! ```text
//! a change ──► row of `mail`, in the same transaction ──► job: text and link ──► Mailer ──► SMTP server
//! ```
//!
//! Invariant: a mail is written with the change that it tells of, or not at all; its link is made when it is
//! sent, so no link lies in the store.

mod smtp;
mod text;

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
pub use smtp::{SmtpMailer, SmtpSecurity, SmtpServer};
pub(super) use text::write_message;

use crate::kernel::ids::MailId;
use crate::kernel::secret::SecretString;

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// What a link in a mail lets its reader do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkPurpose {
    /// Prove that they read this address.
    VerifyAddress,
    /// Choose a new password.
    ResetPassword,
}

impl LinkPurpose {
    /// The word in the table.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::VerifyAddress => "verify_address",
            Self::ResetPassword => "reset_password",
        }
    }

    /// How long the link serves.
    #[must_use]
    pub const fn life(self) -> Duration {
        match self {
            Self::VerifyAddress => DAY,
            Self::ResetPassword => HOUR,
        }
    }

    /// The path of the page that it opens.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::VerifyAddress => "/verify",
            Self::ResetPassword => "/reset",
        }
    }
}

/// What a mail tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MailKind {
    /// Here is the link that proves the address.
    VerifyAddress,
    /// Here is the link to a new password.
    ResetPassword,
    /// Here is the link to join.
    Invitation,
    /// Somebody tried to join with an address that has an account.
    AccountExists,
    /// The password was changed.
    PasswordChanged,
    /// The account has another address now.
    AddressChanged,
}

impl MailKind {
    const ALL: [Self; 6] = [
        Self::VerifyAddress,
        Self::ResetPassword,
        Self::Invitation,
        Self::AccountExists,
        Self::PasswordChanged,
        Self::AddressChanged,
    ];

    /// The word in the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VerifyAddress => "verify_address",
            Self::ResetPassword => "reset_password",
            Self::Invitation => "invitation",
            Self::AccountExists => "account_exists",
            Self::PasswordChanged => "password_changed",
            Self::AddressChanged => "address_changed",
        }
    }

    /// How long it is worth sending.
    pub(super) const fn life(self) -> Duration {
        match self {
            Self::ResetPassword => HOUR,
            Self::VerifyAddress
            | Self::AccountExists
            | Self::PasswordChanged
            | Self::AddressChanged => DAY,
            Self::Invitation => Duration::from_hours(72),
        }
    }
}

impl ToSql for MailKind {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.as_str()))
    }
}

impl FromSql for MailKind {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let text = value.as_str()?;
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or(FromSqlError::InvalidType)
    }
}

/// A mail that is ready to leave.
#[derive(Debug, Clone)]
pub struct Message {
    /// Which: two copies of one mail have the same.
    pub id: MailId,
    /// To whom.
    pub to: String,
    /// The subject.
    pub subject: &'static str,
    /// The plain text; it holds a link that is a secret.
    pub body: SecretString,
}

/// Why a mail did not leave.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// The server will never take it: the address does not exist, the account is refused.
    #[error("the mail server refused it: {0}")]
    Refused(String),
    /// The server cannot be reached, or takes none now.
    #[error("the mail server takes none now: {0}")]
    Unavailable(String),
}

/// Where mails leave the house.
#[async_trait]
pub trait Mailer: Send + Sync + std::fmt::Debug {
    /// Hands a mail over. `Ok` means that the server took it.
    ///
    /// # Errors
    /// [`MailError`].
    async fn send(&self, message: &Message) -> Result<(), MailError>;
}

/// How long to wait after the `attempts`th failed one.
pub(super) fn wait_after(attempts: u32) -> Duration {
    const MINUTES: [u64; 5] = [1, 3, 10, 30, 60];
    let index = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    Duration::from_mins(MINUTES[index.min(MINUTES.len() - 1)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_to_an_hour_and_a_reset_is_tried_more_than_once() {
        let waits: Vec<_> = (1..=7).map(|n| wait_after(n).as_secs() / 60).collect();
        assert_eq!(waits, [1, 3, 10, 30, 60, 60, 60]);
        let four: Duration = (1..=4).map(wait_after).sum();
        assert!(four < MailKind::ResetPassword.life());
        assert_eq!(wait_after(u32::MAX).as_secs(), 3600);
    }

    #[test]
    fn a_reset_link_serves_for_an_hour_at_most() {
        assert!(LinkPurpose::ResetPassword.life() <= HOUR);
    }
}
