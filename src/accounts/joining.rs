//! How people join: invitations, and what a person who signs up gives.
//!
//! Invariant: pure; who may invite whom is [`crate::kernel::Actor::may_manage`].

use std::time::Duration;

use super::identity::{DisplayName, Email, Password};
use crate::kernel::ids::InviteId;
use crate::kernel::secret::SecretString;
use crate::kernel::{Error, Result, Role, UnixMillis};

/// Days that an invitation may last.
const DAYS: std::ops::RangeInclusive<u32> = 1..=90;
/// Days that one lasts when nobody says otherwise.
pub const INVITE_DAYS: u32 = 7;

/// An invitation to be made.
#[derive(Debug, Clone)]
pub struct NewInvite {
    /// Whom it is for; `None`: whoever holds the link.
    pub email: Option<Email>,
    /// What they may do.
    pub role: Role,
    /// How long it lasts.
    pub life: Duration,
}

impl NewInvite {
    /// One that lasts for `days`.
    ///
    /// # Errors
    /// `Invalid` with field `days` for fewer than 1 or more than 90.
    pub fn new(email: Option<Email>, role: Role, days: u32) -> Result<Self> {
        if !DAYS.contains(&days) {
            let message = "give 1 to 90 days";
            return Err(Error::invalid_field("days", "out_of_range", message));
        }
        Ok(Self {
            email,
            role,
            life: Duration::from_hours(24) * days,
        })
    }
}

/// An invitation, in the list of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// Which.
    pub id: InviteId,
    /// See [`NewInvite::email`].
    pub email: Option<String>,
    /// See [`NewInvite::role`].
    pub role: Role,
    /// Whether the link went by mail and nobody else saw it.
    pub is_mailed: bool,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it ends.
    pub expires_at: UnixMillis,
    /// When somebody joined with it.
    pub used_at: Option<UnixMillis>,
}

impl Invite {
    /// Whether somebody may join with it.
    #[must_use]
    pub fn is_open(&self, now: UnixMillis) -> bool {
        self.used_at.is_none() && now < self.expires_at
    }

    /// Whether it is for `email`.
    #[must_use]
    pub fn is_for(&self, email: &Email) -> bool {
        self.email
            .as_deref()
            .is_none_or(|wanted| wanted == email.as_str())
    }
}

/// What an invitation's maker gets: the link, unless it goes by mail.
#[derive(Debug, Clone)]
pub enum MadeInvite {
    /// Hand this over; it is shown once.
    Link(SecretString),
    /// It was sent to this address.
    Mailed(Email),
}

/// What a person gives who signs up.
#[derive(Debug, Clone)]
pub struct SignUp {
    /// Their address.
    pub email: Email,
    /// Their name.
    pub display_name: DisplayName,
    /// Their password.
    pub password: Password,
    /// The token of their invitation.
    pub invite: Option<SecretString>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite(email: Option<&str>) -> Invite {
        Invite {
            id: InviteId::generate(),
            email: email.map(str::to_owned),
            role: Role::Streamer,
            is_mailed: false,
            created_at: UnixMillis(0),
            expires_at: UnixMillis(10),
            used_at: None,
        }
    }

    #[test]
    fn an_invitation_is_open_until_it_is_used_or_old() {
        assert!(invite(None).is_open(UnixMillis(9)));
        assert!(!invite(None).is_open(UnixMillis(10)));
        let used = Invite {
            used_at: Some(UnixMillis(1)),
            ..invite(None)
        };
        assert!(!used.is_open(UnixMillis(2)));
    }

    #[test]
    fn an_invitation_for_an_address_is_for_nobody_else() {
        let (one, two) = ("one@example.org", "two@example.org");
        let email = Email::parse(one).unwrap();
        assert!(invite(Some(one)).is_for(&email) && invite(None).is_for(&email));
        assert!(!invite(Some(two)).is_for(&email));
    }

    #[test]
    fn an_invitation_lasts_for_1_to_90_days() {
        for days in [1, 7, 90] {
            let made = NewInvite::new(None, Role::Viewer, days).unwrap();
            assert_eq!(made.life.as_secs(), u64::from(days) * 86_400);
        }
        for days in [0, 91] {
            let refused = NewInvite::new(None, Role::Viewer, days).unwrap_err();
            assert_eq!(refused.fields()[0].field, "days");
        }
    }
}
