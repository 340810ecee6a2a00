//! The pages of sign-in, users and the own account.
//!
//! Invariant: the one password that a page ever shows is the initial one of a user just added.

use std::fmt;

use askama::Template;

use crate::accounts::oauth::Provider;
use crate::accounts::proof_fields::{ProofFields, ProofNames};
use crate::accounts::service::FirstProof;
use crate::http::form::{Choice, Field};
use crate::http::moment::Moment;
use crate::http::page::Shell;
use crate::kernel::ids::{AuthSessionId, BrowserSessionId, UserId};
use crate::kernel::secret::{ExposeSecret, SecretString};
use crate::kernel::{FieldError, Role};

/// `GET /login`
#[derive(Debug, Template)]
#[template(path = "pages/accounts/sign_in.html")]
pub struct SignInPage {
    /// What is around the content.
    pub shell: Shell,
    /// `email`
    pub email: Field,
    /// `password`
    pub password: Field,
    /// Why the sign-in was refused; the same for a wrong address and a wrong password.
    pub problem: Option<String>,
    /// The path of ours to go to afterwards, sent as `next`.
    pub next: String,
    /// What else a visitor may do.
    pub ways: VisitorWays,
    /// Other ways to sign in.
    pub providers: Vec<ProviderLink>,
}

/// What a visitor may do who cannot sign in.
#[derive(Debug, Clone, Copy, Default)]
pub struct VisitorWays {
    /// Have a link to a new password sent.
    pub can_reset: bool,
    /// Make an account.
    pub can_join: bool,
}

/// A way to sign in through a provider.
#[derive(Debug, Clone)]
pub struct ProviderLink {
    /// The provider as a person reads it.
    pub label: &'static str,
    /// Where it begins.
    pub href: String,
}

impl SignInPage {
    /// With these other ways to sign in.
    #[must_use]
    pub fn with_providers(mut self, providers: &[Provider]) -> Self {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("next", &self.next)
            .finish();
        let link = |provider: &Provider| ProviderLink {
            label: provider.label(),
            href: format!("/api/v1/auth/{provider}/authorize?{query}"),
        };
        self.providers = providers.iter().map(link).collect();
        self
    }

    /// The form, with the address typed before.
    #[must_use]
    pub fn new(shell: Shell, email: &str, problem: Option<String>, next: &str) -> Self {
        Self {
            shell,
            email: Field::email("email", "E-mail").with_value(email),
            password: Field::current_password("password", "Password"),
            problem,
            next: next.to_owned(),
            ways: VisitorWays::default(),
            providers: Vec::new(),
        }
    }

    /// With these other ways on.
    #[must_use]
    pub fn with_ways(mut self, ways: VisitorWays) -> Self {
        self.ways = ways;
        self
    }
}

/// `GET /users`
#[derive(Template)]
#[template(path = "pages/accounts/users.html")]
pub struct UsersPage {
    /// What is around the content.
    pub shell: Shell,
    /// Users, as many as a page holds.
    pub users: Vec<UserRow>,
    /// `q`: what those are looked for by.
    pub search: Field,
    /// `email` of the form that adds one.
    pub email: Field,
    /// `display_name` of that form.
    pub display_name: Field,
    /// `role` of that form.
    pub roles: Vec<Choice>,
    /// The user just added; shown once.
    pub added: Option<AddedUser>,
    /// The page after this one.
    pub next: Option<String>,
}

impl fmt::Debug for UsersPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsersPage")
            .field("users", &self.users)
            .finish_non_exhaustive()
    }
}

/// What stands in the form that adds a user.
#[derive(Debug, Clone, Copy)]
pub struct AddUserValues<'a> {
    /// Their e-mail address.
    pub email: &'a str,
    /// Their display name.
    pub display_name: &'a str,
    /// Their role.
    pub role: Role,
}

impl Default for AddUserValues<'_> {
    fn default() -> Self {
        Self {
            email: "",
            display_name: "",
            role: Role::Streamer,
        }
    }
}

impl UsersPage {
    /// The page with these values in its form and the messages that belong to the fields.
    #[must_use]
    pub fn new(
        shell: Shell,
        users: Vec<UserRow>,
        values: AddUserValues<'_>,
        errors: &[FieldError],
        added: Option<AddedUser>,
    ) -> Self {
        Self {
            users,
            search: Field::text("q", "Find")
                .with_max_length(100)
                .with_hint("What a name, an address or an id begins with.")
                .optional(),
            email: Field::email("email", "E-mail")
                .with_autocomplete("off")
                .with_value(values.email)
                .with_error_among(errors),
            display_name: Field::text("display_name", "Display name")
                .with_max_length(100)
                .with_value(values.display_name)
                .with_error_among(errors),
            roles: role_choices(values.role, role_of(&shell)),
            shell,
            added,
            next: None,
        }
    }

    /// With what users are looked for by.
    #[must_use]
    pub fn with_search(mut self, text: &str) -> Self {
        self.search = self.search.with_value(text);
        self
    }

    /// With a link to the page after this one.
    #[must_use]
    pub fn with_next(mut self, next: Option<String>) -> Self {
        self.next = next;
        self
    }
}

fn role_of(shell: &Shell) -> Role {
    let user = shell.signed_in.as_ref();
    user.map_or(Role::Streamer, |user| user.role)
}

/// The roles that `by` may give away.
pub(super) fn role_choices(selected: Role, by: Role) -> Vec<Choice> {
    let choice = |role: Role| Choice {
        value: role.as_str(),
        label: role_label(role),
        hint: role_hint(role),
        is_selected: role == selected,
    };
    // The least mighty first: nobody becomes an owner by a slip of the thumb.
    [Role::Streamer, Role::Viewer, Role::Operator, Role::Owner]
        .into_iter()
        .filter(|role| by == Role::Owner || *role != Role::Owner)
        .map(choice)
        .collect()
}

/// A role as a person reads it.
#[must_use]
pub const fn role_label(role: Role) -> &'static str {
    match role {
        Role::Owner => "Owner",
        Role::Operator => "Operator",
        Role::Viewer => "Viewer",
        Role::Streamer => "Streamer",
    }
}

const fn role_hint(role: Role) -> &'static str {
    match role {
        Role::Owner => "Everything, users included",
        Role::Operator => "Sees and controls every slot",
        Role::Viewer => "Sees figures only, never a key",
        Role::Streamer => "Sees and controls their own slots",
    }
}

/// One user of the table.
#[derive(Debug, Clone)]
pub struct UserRow {
    /// Who.
    pub id: UserId,
    /// The name they gave themselves.
    pub display_name: String,
    /// What they sign in with.
    pub email: String,
    /// What they may do.
    pub role: Role,
    /// When they were added.
    pub added: Moment,
    /// Whether it is the reader.
    pub is_self: bool,
}

impl UserRow {
    /// The role as a person reads it.
    #[must_use]
    pub const fn role_label(&self) -> &'static str {
        role_label(self.role)
    }
}

/// A user just added, with the password to hand over.
#[derive(Debug)]
pub struct AddedUser {
    /// What they sign in with.
    pub email: String,
    /// Their first password. It is shown on this page and never again.
    pub initial_password: SecretString,
}

impl AddedUser {
    fn password(&self) -> &str {
        self.initial_password.expose_secret()
    }
}

/// `GET /account`
#[derive(Debug, Template)]
#[template(path = "pages/accounts/account.html")]
pub struct AccountPage {
    /// What is around the content.
    pub shell: Shell,
    /// What the reader signs in with.
    pub email: String,
    /// Their browsers, the present one first.
    pub browsers: Vec<BrowserRow>,
    /// Their signed-in plugins, the latest first.
    pub plugins: Vec<PluginRow>,
    /// Whether they have a password to change.
    pub has_password: bool,
    /// What the form of the password asks for first.
    pub proof: ProofFields,
    /// `new_password`
    pub new_password: Field,
    /// Whether plans are paid for here, so that there is a page of the own one.
    pub has_billing: bool,
}

impl AccountPage {
    /// The page with the messages that belong to the password form.
    #[must_use]
    pub fn new(
        shell: Shell,
        email: String,
        browsers: Vec<BrowserRow>,
        plugins: Vec<PluginRow>,
        due: &FirstProof,
        errors: &[FieldError],
    ) -> Self {
        let names = ProofNames {
            password: "current_password",
            password_label: "Current password",
            code: "code",
            page: "/account",
        };
        Self {
            has_password: *due == FirstProof::Password,
            proof: ProofFields::of_first(due, names, errors),
            shell,
            email,
            browsers,
            plugins,
            has_billing: false,
            new_password: Field::new_password("new_password", "New password")
                .with_hint("At least 8 characters of any kind; 15 or more are better.")
                .with_error_among(errors),
        }
    }

    fn role_label(&self) -> &'static str {
        self.shell
            .signed_in
            .as_ref()
            .map_or("", |user| role_label(user.role))
    }
}

/// One signed-in browser.
#[derive(Debug, Clone)]
pub struct BrowserRow {
    /// The session.
    pub id: BrowserSessionId,
    /// Browser and system, such as `Firefox on Linux`.
    pub device: String,
    /// The address it last came from.
    pub address: String,
    /// When it was last seen.
    pub last_seen: Moment,
    /// Whether it is the one that reads this page.
    pub is_current: bool,
}

/// One signed-in plugin.
#[derive(Debug, Clone)]
pub struct PluginRow {
    /// The session.
    pub id: AuthSessionId,
    /// What the plugin calls its device, such as `OBS Desktop`.
    pub device: String,
    /// The platform, such as `windows`.
    pub platform: String,
    /// When it was last seen.
    pub last_seen: Moment,
}

#[cfg(test)]
#[path = "views_tests.rs"]
pub(crate) mod tests;
