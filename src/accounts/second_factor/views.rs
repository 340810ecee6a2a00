//! The pages of the second factor.
//!
//! Invariant: the secret is on the page that enrols it, recovery codes on the answer that made them, and neither
//! anywhere else.

use std::fmt::{self, Write as _};

use askama::Template;
use fast_qr::QRBuilder;

use super::model::{Enrolment, RecoveryCodes};
use crate::http::form::Field;
use crate::http::html::Html;
use crate::http::moment::Moment;
use crate::http::page::Shell;
use crate::kernel::FieldError;
use crate::kernel::secret::ExposeSecret;

/// `GET /login/code`
#[derive(Debug, Template)]
#[template(path = "pages/accounts/code.html")]
pub struct CodePage {
    /// What is around the content.
    pub shell: Shell,
    /// `code`
    pub code: Field,
    /// Why nobody looked at the code.
    pub problem: Option<String>,
    /// The path of ours to go to afterwards, sent as `next`.
    pub next: String,
}

impl CodePage {
    /// The form with the message that belongs to its field.
    #[must_use]
    pub fn new(shell: Shell, next: &str, errors: &[FieldError], problem: Option<String>) -> Self {
        Self {
            shell,
            code: code_field().with_error_among(errors),
            problem,
            next: next.to_owned(),
        }
    }
}

fn code_field() -> Field {
    Field::text("code", "Code")
        .with_autocomplete("one-time-code")
        .with_max_length(20)
        .with_hint("6 digits from your authenticator app, or a recovery code.")
}

/// What the page of the own second factor is about.
#[derive(Debug)]
pub enum Stage {
    /// There is none.
    None,
    /// It waits for its first code.
    Enrolling(EnrolmentView),
    /// It is asked at every sign-in.
    Enrolled {
        /// Since when.
        since: Moment,
        /// Recovery codes left.
        recovery_codes_left: u32,
    },
}

/// What goes into an authenticator app.
pub struct EnrolmentView {
    /// To be scanned.
    pub qr: Html,
    /// To be typed, in groups of four.
    pub secret: String,
}

impl fmt::Debug for EnrolmentView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnrolmentView(***)")
    }
}

impl EnrolmentView {
    /// Draws the code.
    #[must_use]
    pub fn new(enrolment: &Enrolment) -> Self {
        let letters: Vec<char> = enrolment.secret.expose_secret().chars().collect();
        let groups: Vec<String> = letters
            .chunks(4)
            .map(|group| group.iter().collect())
            .collect();
        Self {
            qr: qr_code(enrolment.url.expose_secret()),
            secret: groups.join(" "),
        }
    }
}

/// Light modules around a code (ISO/IEC 18004, 6.3.8).
const QUIET_ZONE: usize = 4;

/// A QR code as a picture; no picture for what is too long for one.
fn qr_code(text: &str) -> Html {
    let Ok(code) = QRBuilder::new(text).build() else {
        return Html::built(String::new());
    };
    let size = code.size + 2 * QUIET_ZONE;
    let mut path = String::new();
    for y in 0..code.size {
        for x in 0..code.size {
            if code[y][x].value() {
                let (x, y) = (x + QUIET_ZONE, y + QUIET_ZONE);
                write!(path, "M{x} {y}h1v1h-1z").expect("a text takes what is written");
            }
        }
    }
    Html::built(format!(
        "<svg class=\"qr\" viewBox=\"0 0 {size} {size}\" width=\"240\" height=\"240\" role=\"img\" \
         aria-label=\"QR code for your authenticator app\"><rect width=\"{size}\" height=\"{size}\" \
         fill=\"#fff\"></rect><path d=\"{path}\" fill=\"#000\"></path></svg>"
    ))
}

/// Who decides whether owners and operators must have a second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Not the reader.
    OfOthers,
    /// The reader, an owner, if the configuration did not.
    OfConfiguration,
    /// The reader, an owner.
    OfReader,
}

/// `GET /account/second-factor`
#[derive(Debug, Template)]
#[template(path = "pages/accounts/second_factor.html")]
pub struct SecondFactorPage {
    /// What is around the content.
    pub shell: Shell,
    /// How it stands.
    pub stage: Stage,
    /// `code`
    pub code: Field,
    /// `current_password` of the form that switches it off; absent for who has none.
    pub current_password: Option<Field>,
    /// Whether owners and operators must have one.
    pub is_required: bool,
    /// Whether the reader is one of them.
    pub concerns_reader: bool,
    /// Who decides that.
    pub decision: Decision,
}

impl SecondFactorPage {
    /// The page with the messages that belong to its fields.
    #[must_use]
    pub fn with_errors(mut self, errors: &[FieldError]) -> Self {
        self.code = self.code.with_error_among(errors);
        self.current_password = self.current_password.map(|it| it.with_error_among(errors));
        self
    }

    /// The field of the code.
    #[must_use]
    pub fn code_field() -> Field {
        code_field()
    }
}

/// The answer that shows recovery codes.
#[derive(Template)]
#[template(path = "pages/accounts/recovery_codes.html")]
pub struct RecoveryCodesPage {
    /// What is around the content.
    pub shell: Shell,
    codes: RecoveryCodes,
}

impl fmt::Debug for RecoveryCodesPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCodesPage(***)")
    }
}

impl RecoveryCodesPage {
    /// The page, which is shown once.
    #[must_use]
    pub const fn new(shell: Shell, codes: RecoveryCodes) -> Self {
        Self { shell, codes }
    }

    fn lines(&self) -> impl Iterator<Item = &str> {
        self.codes.0.iter().map(ExposeSecret::expose_secret)
    }
}

#[cfg(test)]
#[path = "views_tests.rs"]
pub(crate) mod tests;
