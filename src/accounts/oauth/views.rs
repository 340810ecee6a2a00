//! The pages of linked accounts.

use std::fmt;

use askama::Template;

use crate::http::form::Field;
use crate::http::moment::Moment;
use crate::http::page::Shell;
use crate::kernel::FieldError;
use crate::kernel::secret::{ExposeSecret, SecretString};

/// `GET /api/v1/auth/{provider}/authorize?link_user=...`: nothing is linked before the button.
#[derive(Debug, Template)]
#[template(path = "pages/accounts/confirm_link.html")]
pub struct ConfirmLinkPage {
    /// What is around the content.
    pub shell: Shell,
    /// The provider as a person reads it.
    pub provider: &'static str,
    /// The account here.
    pub email: String,
    /// Where the button leads, with a proof that this page was shown to this browser.
    pub href: String,
}

/// `GET /account/links`
#[derive(Debug, Template)]
#[template(path = "pages/accounts/links.html")]
pub struct LinksPage {
    /// What is around the content.
    pub shell: Shell,
    /// The providers that are offered, and those that are linked all the same.
    pub rows: Vec<LinkRow>,
}

/// One provider of the page.
#[derive(Debug, Clone)]
pub struct LinkRow {
    /// The word in paths.
    pub provider: &'static str,
    /// The name that a person reads.
    pub label: &'static str,
    /// The linked account, if any.
    pub linked: Option<LinkedRow>,
    /// Where linking begins.
    pub href: String,
}

/// A linked account.
#[derive(Debug, Clone)]
pub struct LinkedRow {
    /// What the person calls themselves there.
    pub display_name: String,
    /// Since when.
    pub since: Moment,
}

/// The answer that offers to merge two accounts, and `POST /account/merge` when something is wrong with it.
#[derive(Template)]
#[template(path = "pages/accounts/merge.html")]
pub struct MergePage {
    /// What is around the content.
    pub shell: Shell,
    /// The account that stays.
    pub kept: String,
    /// The account that goes.
    pub merged: String,
    token: SecretString,
    /// `current_password`; absent for who has none.
    pub current_password: Option<Field>,
    /// `code` of the account that stays, when it has a second factor.
    pub code: Option<Field>,
    /// `other_code` of the account that goes, when it has a second factor.
    pub other_code: Option<Field>,
}

impl fmt::Debug for MergePage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MergePage({} into {})", self.merged, self.kept)
    }
}

/// What a merge still wants to be proved.
#[derive(Debug, Clone, Copy)]
pub struct Proofs {
    /// The password of the account that stays.
    pub password: bool,
    /// Its second factor.
    pub code: bool,
    /// The second factor of the account that goes.
    pub other_code: bool,
}

impl MergePage {
    /// The page with the messages that belong to its fields.
    #[must_use]
    pub fn new(
        shell: Shell,
        [kept, merged]: [String; 2],
        token: SecretString,
        proofs: Proofs,
        errors: &[FieldError],
    ) -> Self {
        let code = |name, label| {
            Field::text(name, label)
                .with_autocomplete("one-time-code")
                .with_max_length(20)
                .with_error_among(errors)
        };
        let password = || {
            Field::current_password("current_password", "Your password here")
                .with_error_among(errors)
        };
        Self {
            current_password: proofs.password.then(password),
            code: proofs.code.then(|| code("code", "Code of this account")),
            other_code: proofs
                .other_code
                .then(|| code("other_code", "Code of the other account")),
            shell,
            kept,
            merged,
            token,
        }
    }

    fn token(&self) -> &str {
        self.token.expose_secret()
    }
}

#[cfg(test)]
#[path = "views_tests.rs"]
pub(crate) mod tests;
