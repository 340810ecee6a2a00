//! The page on which a person lets an OBS plugin in.
//!
//! Invariant: the page shows what the plugin said about itself and the short code, and nothing
//! that would let another program finish the sign-in.

use askama::Template;

use crate::http::moment::Moment;
use crate::http::page::Shell;
use crate::kernel::ids::LoginAttemptId;

/// `GET /login/plugin?attempt=...`: approve or deny.
#[derive(Debug, Template)]
#[template(path = "pages/plugin/approval.html")]
pub struct ApprovalPage {
    /// What is around the content.
    pub shell: Shell,
    /// The attempt, sent back as `attempt`.
    pub attempt: LoginAttemptId,
    /// What the plugin calls its device, such as `OBS Desktop`.
    pub device: String,
    /// The platform, such as `windows`.
    pub platform: String,
    /// The code of this attempt; the released plugin does not show it.
    pub short_code: String,
    /// When the plugin asked.
    pub asked: Moment,
    /// The account that the plugin would get into.
    pub email: String,
}

/// How an attempt to sign a plugin in ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The plugin gets in.
    Approved,
    /// It does not.
    Denied,
    /// Nobody decided in time, or there never was such an attempt.
    Expired,
    /// It was decided before.
    AlreadyUsed,
}

impl Outcome {
    /// What happened.
    #[must_use]
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Approved => "OBS is signed in",
            Self::Denied => "Sign-in denied",
            Self::Expired => "This sign-in has expired",
            Self::AlreadyUsed => "This sign-in was already answered",
        }
    }

    fn explanation(self) -> &'static str {
        match self {
            Self::Approved => "Go back to OBS: it goes on by itself within a few seconds.",
            Self::Denied => "The plugin was not let in. Nothing else changed.",
            Self::Expired => {
                "A sign-in is good for a few minutes only. Press Sign in in OBS again."
            }
            Self::AlreadyUsed => {
                "Each sign-in is answered once. If OBS still asks, press Sign in there again."
            }
        }
    }

    fn icon(self) -> &'static str {
        match self {
            Self::Approved => "success",
            Self::Denied => "offline",
            Self::Expired | Self::AlreadyUsed => "waiting",
        }
    }
}

/// What came of it.
#[derive(Debug, Template)]
#[template(path = "pages/plugin/outcome.html")]
pub struct OutcomePage {
    /// What is around the content; use [`Outcome::heading`] as its title.
    pub shell: Shell,
    /// What came of it.
    pub outcome: Outcome,
}

#[cfg(test)]
#[path = "views_tests.rs"]
pub(crate) mod tests;
