//! Markup that was built by our own code and goes into a page as it is.
//!
//! Invariant: an [`Html`] is made of constants, numbers and escaped text only, so a template never
//! needs a filter that switches escaping off.

use std::fmt;

use askama::filters::HtmlSafe;

/// A finished piece of markup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Html(String);

impl Html {
    /// Takes markup in which everything that came from outside is already escaped.
    pub(crate) const fn built(markup: String) -> Self {
        Self(markup)
    }

    /// The markup.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HtmlSafe for Html {}
