//! What every page has around its content, and how a page becomes an answer.
//!
//! Invariant: no page is ever kept by a browser or a proxy, because it may show a key.

use std::fmt;

use askama::Template;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use cookie::{Cookie, SameSite, time};
use serde::Deserialize;

use crate::kernel::Role;

/// The cookie that holds the choice of colours. It is no secret and proves nothing.
pub const THEME_COOKIE: &str = "glb_theme";
const THEME_COOKIE_LIFE: time::Duration = time::Duration::days(365);

/// Which colours a page has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Theme {
    /// What the device prefers.
    #[default]
    Auto,
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

impl Theme {
    /// All choices, in the order in which a page offers them.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Light, Self::Dark];

    /// The word in the cookie, in the form and in `data-theme`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The word that a person reads.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Auto => "Auto",
            Self::Light => "Light",
            Self::Dark => "Dark",
        }
    }

    /// The theme of that word; anything else is [`Theme::Auto`].
    #[must_use]
    pub fn parse(word: &str) -> Self {
        Self::ALL
            .into_iter()
            .find(|theme| theme.as_str() == word)
            .unwrap_or_default()
    }

    /// The theme in the cookies of a request.
    #[must_use]
    pub fn of_request(headers: &HeaderMap) -> Self {
        headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(Cookie::split_parse)
            .filter_map(Result::ok)
            .find(|cookie| cookie.name() == THEME_COOKIE)
            .map_or(Self::Auto, |cookie| Self::parse(cookie.value()))
    }

    /// The value of a `Set-Cookie` header that keeps the choice for a year.
    #[must_use]
    pub fn set_cookie(self) -> String {
        Cookie::build((THEME_COOKIE, self.as_str()))
            .path("/")
            .http_only(true)
            .same_site(SameSite::Lax)
            .max_age(THEME_COOKIE_LIFE)
            .build()
            .to_string()
    }
}

impl fmt::Display for Theme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One entry of the navigation.
#[derive(Debug, Clone, Copy)]
pub struct NavItem {
    /// What a person reads.
    pub label: &'static str,
    /// Where it leads.
    pub href: &'static str,
    /// A name that `parts/icon.html` knows.
    pub icon: &'static str,
    /// Whether the page is this one.
    pub is_current: bool,
}

/// Who is signed in, as the page shows it.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// The name they gave themselves.
    pub display_name: String,
    /// What they may do.
    pub role: Role,
}

/// How a message feels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlashKind {
    /// Done as asked.
    Success,
    /// Not done, or it needs attention.
    Problem,
}

/// What the last action did, told once on the page that follows it.
#[derive(Debug, Clone)]
pub struct Flash {
    /// How it feels.
    pub kind: FlashKind,
    /// What happened, as a sentence.
    pub text: String,
}

impl Flash {
    /// What went well.
    #[must_use]
    pub fn success(text: impl Into<String>) -> Self {
        Self {
            kind: FlashKind::Success,
            text: text.into(),
        }
    }

    /// What did not, with what to do.
    #[must_use]
    pub fn problem(text: impl Into<String>) -> Self {
        Self {
            kind: FlashKind::Problem,
            text: text.into(),
        }
    }

    /// The class and icon of the message.
    #[must_use]
    pub const fn style(&self) -> &'static str {
        match self.kind {
            FlashKind::Success => "success",
            FlashKind::Problem => "problem",
        }
    }
}

/// What a form did, as a word in the address of the page that follows it.
#[derive(Debug, Default, Deserialize)]
pub struct DoneQuery {
    #[serde(default)]
    done: String,
}

impl DoneQuery {
    /// The message, when `sentence_of` knows the word. Anybody may write an address, so the word itself is
    /// never shown.
    pub fn flash(&self, sentence_of: fn(&str) -> Option<&'static str>) -> Option<Flash> {
        sentence_of(&self.done).map(Flash::success)
    }
}

/// What every page has around its content.
#[derive(Debug, Clone)]
pub struct Shell {
    /// The heading of the page, without the product's name. It never holds a key.
    pub title: String,
    /// The navigation; empty for a visitor who is not signed in.
    pub nav: Vec<NavItem>,
    /// Who is signed in.
    pub signed_in: Option<SignedIn>,
    /// The colours.
    pub theme: Theme,
    /// What the last action did.
    pub flash: Option<Flash>,
    /// The path of the page without its query, where the theme form comes back to.
    pub path: String,
    /// Whether to say that the page came over an unprotected line from a public address.
    pub tls_warning: bool,
}

impl Shell {
    /// The shell of a page for a visitor who is not signed in.
    #[must_use]
    pub fn visitor(title: &str, path: &str, theme: Theme) -> Self {
        Self {
            title: title.to_owned(),
            nav: Vec::new(),
            signed_in: None,
            theme,
            flash: None,
            path: path.to_owned(),
            tls_warning: false,
        }
    }

    /// The shell of a page for a signed-in user: the navigation holds what their role may open.
    #[must_use]
    pub fn signed_in(title: &str, path: &str, theme: Theme, user: SignedIn) -> Self {
        let mut nav = vec![nav_item("Live", "/live", "live", path)];
        if matches!(user.role, Role::Owner | Role::Operator) {
            nav.push(nav_item("Relay", "/relay", "link", path));
            nav.push(nav_item("Jobs", "/jobs", "reconnecting", path));
            nav.push(nav_item("Nodes", "/nodes", "link", path));
        }
        if matches!(user.role, Role::Owner | Role::Operator) {
            nav.push(nav_item("Users", "/users", "users", path));
            nav.push(nav_item("Plans", "/plans", "plans", path));
        }
        nav.push(nav_item("Account", "/account", "account", path));
        Self {
            nav,
            signed_in: Some(user),
            ..Self::visitor(title, path, theme)
        }
    }

    /// With a message about the last action, when there is one.
    #[must_use]
    pub fn with_flash(mut self, flash: Option<Flash>) -> Self {
        self.flash = flash;
        self
    }

    /// With the banner that the line is not protected.
    #[must_use]
    pub const fn with_tls_warning(mut self, tls_warning: bool) -> Self {
        self.tls_warning = tls_warning;
        self
    }
}

fn nav_item(label: &'static str, href: &'static str, icon: &'static str, path: &str) -> NavItem {
    let is_current = path == href
        || path
            .strip_prefix(href)
            .is_some_and(|it| it.starts_with('/'));
    NavItem {
        label,
        href,
        icon,
        is_current,
    }
}

/// A path of ours that a form asked to come back to; anything else becomes `/live`.
///
/// A browser reads `//host` and `/\host` as another site, so they are refused, and so is what no header
/// may hold.
#[must_use]
pub fn local_path(wanted: &str) -> &str {
    let is_local = wanted.starts_with('/')
        && !wanted.starts_with("//")
        && !wanted.contains('\\')
        && wanted.bytes().all(|byte| byte.is_ascii_graphic());
    if is_local { wanted } else { "/live" }
}

/// A message as a person writes it: with a capital and a full stop.
#[must_use]
pub fn sentence(message: &str) -> String {
    let mut characters = message.chars();
    let Some(first) = characters.next() else {
        return String::new();
    };
    let stop = if message.ends_with(['.', '!', '?', ')']) {
        ""
    } else {
        "."
    };
    format!("{}{}{stop}", first.to_uppercase(), characters.as_str())
}

/// The answer that shows a page.
#[must_use]
pub fn render(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => {
            let fields = [
                (CONTENT_TYPE, "text/html; charset=utf-8"),
                (CACHE_CONTROL, "no-store"),
            ];
            (status, fields, html).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_theme_is_read_from_among_other_cookies() {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, "a=b; glb_theme=dark; c=d".parse().unwrap());
        assert_eq!(Theme::of_request(&headers), Theme::Dark);
    }

    #[test]
    fn a_theme_we_do_not_know_is_what_the_device_prefers() {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, "glb_theme=\"><script>".parse().unwrap());
        assert_eq!(Theme::of_request(&headers), Theme::Auto);
    }

    #[test]
    fn the_cookie_of_a_theme_reads_as_that_theme() {
        for theme in Theme::ALL {
            let set = theme.set_cookie();
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, set.split(';').next().unwrap().parse().unwrap());
            assert_eq!(Theme::of_request(&headers), theme);
        }
    }

    #[test]
    fn only_operators_find_the_users_page_in_the_navigation() {
        for role in Role::ALL {
            let user = SignedIn {
                display_name: "Ada".to_owned(),
                role,
            };
            let shell = Shell::signed_in("Live", "/live", Theme::Auto, user);
            let has_users = shell.nav.iter().any(|item| item.href == "/users");
            let is_operator = matches!(role, Role::Owner | Role::Operator);
            assert_eq!(has_users, is_operator, "{role}");
            assert!(shell.nav[0].is_current);
        }
    }

    #[test]
    fn a_form_comes_back_to_our_own_pages_only() {
        assert_eq!(local_path("/account"), "/account");
        assert_eq!(local_path("/live?reveal=slt_1"), "/live?reveal=slt_1");
        for foreign in [
            "",
            "https://a.example",
            "//a.example",
            "/\\a.example",
            "/\t/a.example",
        ] {
            assert_eq!(local_path(foreign), "/live", "{foreign:?}");
        }
    }

    proptest! {
        #[test]
        fn a_way_back_never_leaves_our_address(wanted in ".*") {
            let base = url::Url::parse("http://appliance.test/").unwrap();
            let target = base.join(local_path(&wanted)).unwrap();
            prop_assert_eq!(target.host_str(), Some("appliance.test"));
        }
    }
}
