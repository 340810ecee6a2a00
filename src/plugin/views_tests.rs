//! Sample pages, and what must hold for them.

use super::*;
use crate::http::page_check::assert_sound_page;
use crate::kernel::Role;
use crate::live::views::tests::{moment, shell};

const OUTCOMES: [Outcome; 4] = [
    Outcome::Approved,
    Outcome::Denied,
    Outcome::Expired,
    Outcome::AlreadyUsed,
];

fn approval(device: &str) -> ApprovalPage {
    ApprovalPage {
        shell: shell("Let OBS in?", "/login/plugin", Role::Owner),
        attempt: LoginAttemptId::generate(),
        device: device.to_owned(),
        platform: "windows".to_owned(),
        short_code: "K7QF-2M".to_owned(),
        asked: moment("14:02"),
        email: "ada@example.com".to_owned(),
    }
}

fn outcome(outcome: Outcome) -> OutcomePage {
    OutcomePage {
        shell: shell(outcome.heading(), "/login/plugin", Role::Owner),
        outcome,
    }
}

/// Every variant of the pages, by name.
pub(crate) fn pages() -> Vec<(&'static str, String)> {
    vec![
        ("approval", approval("OBS Desktop").render().unwrap()),
        (
            "outcome-approved",
            outcome(Outcome::Approved).render().unwrap(),
        ),
        (
            "outcome-expired",
            outcome(Outcome::Expired).render().unwrap(),
        ),
    ]
}

#[test]
fn every_page_is_sound() {
    assert_sound_page(&approval("OBS Desktop").render().unwrap());
    for it in OUTCOMES {
        let html = outcome(it).render().unwrap();
        assert_sound_page(&html);
        assert!(html.contains(&format!("<h1>{}</h1>", it.heading())));
    }
}

#[test]
fn both_answers_are_buttons_of_one_form() {
    let page = approval("OBS Desktop");
    let html = page.render().unwrap();
    assert!(html.contains(&format!("name=\"attempt\" value=\"{}\"", page.attempt)));
    assert!(html.contains("name=\"decision\" value=\"approve\""));
    assert!(html.contains("name=\"decision\" value=\"deny\""));
}

#[test]
fn a_hostile_device_name_stays_text() {
    let html = approval("<script>alert(1)</script>").render().unwrap();
    assert_sound_page(&html);
    assert!(!html.contains("<script>"));
}
