//! How a user's second factor stands.

use std::time::Duration;

use crate::kernel::UnixMillis;
use crate::kernel::secret::SecretString;

/// How long a browser that gave its password may take to give the code.
pub(super) const PENDING_LIFE: Duration = Duration::from_mins(10);

/// How a user's second factor stands.
#[derive(Debug)]
pub enum Standing {
    /// There is none.
    None,
    /// It waits for its first code.
    Enrolling(Enrolment),
    /// It is asked at every sign-in.
    Enrolled {
        /// Since when.
        since: UnixMillis,
        /// Recovery codes that are not used yet.
        recovery_codes_left: u32,
    },
}

/// What goes into an authenticator app.
#[derive(Debug)]
pub struct Enrolment {
    /// The secret in base 32, to be typed.
    pub secret: SecretString,
    /// The same as an `otpauth:` address, to be scanned.
    pub url: SecretString,
}

/// Recovery codes, to be shown once.
#[derive(Debug)]
pub struct RecoveryCodes(pub Vec<SecretString>);

/// What became of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was the code; it is used up now.
    Right,
    /// It was not, or it was used before.
    Wrong,
    /// Nobody looked at it: too many wrong ones came before.
    Wait(Duration),
}
