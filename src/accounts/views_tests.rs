//! Sample pages, and what must hold for them.

use super::*;
use crate::http::page::{Flash, Theme};
use crate::http::page_check::assert_sound_page;
use crate::live::views::tests::{moment, shell};

const PASSWORD: &str = "initial-5eC2e7-password";

fn user(display_name: &str, email: &str, role: Role, is_self: bool) -> UserRow {
    let (display_name, email) = (display_name.to_owned(), email.to_owned());
    UserRow {
        id: UserId::generate(),
        display_name,
        email,
        role,
        added: moment("09:30"),
        is_self,
    }
}

fn users(errors: &[FieldError], added: Option<AddedUser>) -> UsersPage {
    let rows = vec![
        user("Ada Lovelace", "ada@example.com", Role::Owner, true),
        user(
            "Grace Hopper",
            "grace.brewster.murray.hopper@mail.example.org",
            Role::Streamer,
            false,
        ),
        user("Moderator", "mod@example.com", Role::Viewer, false),
    ];
    let shell = shell("Users", "/users", Role::Owner);
    UsersPage::new(shell, rows, AddUserValues::default(), errors, added)
}

fn added() -> AddedUser {
    let initial_password = SecretString::from(PASSWORD);
    AddedUser {
        email: "grace@example.com".to_owned(),
        initial_password,
    }
}

fn browser(device: &str, is_current: bool) -> BrowserRow {
    BrowserRow {
        id: BrowserSessionId::generate(),
        device: device.to_owned(),
        address: "203.0.113.9".to_owned(),
        last_seen: moment("14:02"),
        is_current,
    }
}

fn account(errors: &[FieldError]) -> AccountPage {
    let flash = Flash::success("The browser was signed out.");
    let shell = shell("Account", "/account", Role::Owner).with_flash(Some(flash));
    let plugin = PluginRow {
        id: AuthSessionId::generate(),
        device: "OBS Desktop".to_owned(),
        platform: "windows".to_owned(),
        last_seen: moment("13:58"),
    };
    let browsers = vec![
        browser("Firefox on Linux", true),
        browser("Safari on iPhone", false),
    ];
    AccountPage::new(
        shell,
        "ada@example.com".to_owned(),
        browsers,
        vec![plugin],
        &FirstProof::Password,
        errors,
    )
}

fn sign_in(problem: Option<&str>) -> SignInPage {
    let shell = Shell::visitor("Sign in", "/login", Theme::Auto);
    SignInPage::new(
        shell,
        "ada@example.com",
        problem.map(str::to_owned),
        "/live",
    )
}

fn errors() -> [FieldError; 2] {
    [
        FieldError::new("email", "taken", "Someone has this address already."),
        FieldError::new("new_password", "too_short", "Use 8 characters or more."),
    ]
}

/// Every variant of the pages, by name.
pub(crate) fn pages() -> Vec<(&'static str, String)> {
    vec![
        ("sign-in", sign_in(None).render().unwrap()),
        (
            "sign-in-refused",
            sign_in(Some("The e-mail or the password is wrong."))
                .render()
                .unwrap(),
        ),
        ("users", users(&[], None).render().unwrap()),
        (
            "users-added",
            users(&errors(), Some(added())).render().unwrap(),
        ),
        ("account", account(&[]).render().unwrap()),
        ("account-wrong", account(&errors()).render().unwrap()),
    ]
}

#[test]
fn every_page_is_sound() {
    for (_, html) in pages() {
        assert_sound_page(&html);
    }
}

#[test]
fn the_first_password_is_shown_where_a_user_was_added_and_never_in_debug_output() {
    assert!(
        users(&[], Some(added()))
            .render()
            .unwrap()
            .contains(PASSWORD)
    );
    assert!(!format!("{:?}{:?}", added(), users(&[], Some(added()))).contains(PASSWORD));
}

#[test]
fn a_new_user_is_a_streamer_unless_chosen_otherwise() {
    let html = users(&[], None).render().unwrap();
    assert!(html.contains("value=\"streamer\" required checked>"));
    assert_eq!(html.matches(" checked>").count(), 1);
}

#[test]
fn a_message_stands_at_its_field_and_is_tied_to_it() {
    let html = account(&errors()).render().unwrap();
    assert!(html.contains("aria-describedby=\"new_password-hint new_password-error\""));
    assert!(html.contains("Use 8 characters or more."));
    assert!(!html.contains("Someone has this address already."));
}

#[test]
fn the_way_back_after_sign_in_stays_text() {
    let shell = Shell::visitor("Sign in", "/login", Theme::Auto);
    let page = SignInPage::new(shell, "\"><script>", None, "/\"><script>alert(1)</script>");
    let html = page.render().unwrap();
    assert_sound_page(&html);
    assert!(!html.contains("<script>"));
}

#[test]
fn every_device_can_be_signed_out() {
    let page = account(&[]);
    let html = page.render().unwrap();
    for row in &page.browsers {
        assert!(html.contains(&format!("action=\"/account/sessions/{}/revoke\"", row.id)));
    }
    for row in &page.plugins {
        assert!(html.contains(&format!("action=\"/account/plugins/{}/revoke\"", row.id)));
    }
}
