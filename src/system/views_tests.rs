//! Sample pages, and what must hold for them.

use super::*;
use crate::http::page::Theme;
use crate::http::page_check::assert_sound_page;

fn shell(title: &str) -> Shell {
    Shell::visitor(title, "/setup", Theme::Auto).with_tls_warning(true)
}

fn setup(errors: &[FieldError]) -> SetupPage {
    let values = SetupValues {
        email: "ada@example.com",
        display_name: "Ada",
        public_host: "203.0.113.7",
        is_host_configured: false,
    };
    SetupPage {
        shell: shell("Set up your appliance"),
        token: "token-5eC2e7".to_owned(),
        problem: (!errors.is_empty()).then(|| "Two fields need another look.".to_owned()),
        form: SetupForm::new(values, errors),
    }
}

fn errors() -> [FieldError; 2] {
    [
        FieldError::new(
            "password",
            "too_common",
            "This is among the commonest passwords.",
        ),
        FieldError::new(
            "public_host",
            "invalid",
            "Use a name or an address, without http://.",
        ),
    ]
}

fn waiting(is_token_refused: bool) -> SetupWaitingPage {
    SetupWaitingPage {
        shell: shell("This appliance waits for its owner"),
        is_token_refused,
    }
}

/// Every variant of the pages, by name.
pub(crate) fn pages() -> Vec<(&'static str, String)> {
    let own = vec![
        ("setup", setup(&[]).render().unwrap()),
        ("setup-wrong", setup(&errors()).render().unwrap()),
        ("setup-waiting", waiting(true).render().unwrap()),
    ];
    [
        own,
        crate::system::jobs::views::tests::pages(),
        crate::system::export::views::tests::pages(),
    ]
    .concat()
}

#[test]
fn every_page_is_sound() {
    assert_sound_page(&waiting(false).render().unwrap());
    for (_, html) in pages() {
        assert_sound_page(&html);
    }
}

#[test]
fn a_refused_form_keeps_what_was_typed() {
    let html = setup(&errors()).render().unwrap();
    assert!(html.contains("value=\"ada@example.com\""));
    assert!(html.contains("value=\"203.0.113.7\""));
    assert_eq!(html.matches("aria-invalid=\"true\"").count(), 2);
}

#[test]
fn a_host_from_the_configuration_cannot_be_changed_here() {
    let values = SetupValues {
        public_host: "relay.example.com",
        ..SetupValues::default()
    };
    let configured = SetupValues {
        is_host_configured: true,
        ..values
    };
    assert!(SetupForm::new(configured, &[]).public_host.is_read_only);
    assert!(!SetupForm::new(values, &[]).public_host.is_read_only);
}

#[test]
fn the_waiting_page_tells_the_way_in_but_not_the_token() {
    let html = waiting(true).render().unwrap();
    assert!(html.contains("glb setup-token"));
    assert!(html.contains("no longer good"));
    assert!(!waiting(false).render().unwrap().contains("no longer good"));
}

#[test]
fn the_token_is_not_in_debug_output() {
    assert!(!format!("{:?}", setup(&[])).contains("5eC2e7"));
}
