//! The pages of linked accounts.

use askama::Template;

use crate::http::moment::Moment;
use crate::http::page::Shell;

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

#[cfg(test)]
#[path = "views_tests.rs"]
pub(crate) mod tests;
