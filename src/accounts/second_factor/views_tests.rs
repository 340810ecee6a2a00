//! Sample pages, and what must hold for them.

use super::*;
use crate::http::page_check::assert_sound_page;
use crate::kernel::Role;
use crate::kernel::secret::SecretString;
use crate::live::views::tests::{moment, shell};

const SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

fn visitor() -> Shell {
    Shell::visitor(
        "One more step",
        "/login/code",
        crate::http::page::Theme::Auto,
    )
}

fn wrong_code() -> Vec<FieldError> {
    vec![FieldError::new("code", "wrong_code", "this code is wrong")]
}

fn own(stage: Stage) -> SecondFactorPage {
    SecondFactorPage {
        shell: shell("Second factor", "/account/second-factor", Role::Owner),
        stage,
        code: code_field(),
        current_password: Some(
            Field::current_password("current_password", "Current password").optional(),
        ),
        is_required: true,
        concerns_reader: true,
        decision: Decision::OfReader,
    }
}

fn enrolling() -> Stage {
    Stage::Enrolling(EnrolmentView::new(&Enrolment {
        secret: SecretString::from(SECRET),
        url: SecretString::from(format!(
            "otpauth://totp/GoLiveBro:ada%40example.com?secret={SECRET}&issuer=GoLiveBro"
        )),
    }))
}

fn enrolled() -> Stage {
    Stage::Enrolled {
        since: moment("14:02"),
        recovery_codes_left: 9,
    }
}

fn recovery_codes() -> RecoveryCodesPage {
    let codes = (0..10).map(|n| SecretString::from(format!("k3f9a-xm2e{n}")));
    let shell = shell("Recovery codes", "/account/second-factor", Role::Streamer);
    RecoveryCodesPage::new(shell, RecoveryCodes(codes.collect()))
}

/// Every page by name.
pub(crate) fn pages() -> Vec<(&'static str, String)> {
    vec![
        (
            "code",
            CodePage::new(visitor(), "/live", &[], None)
                .render()
                .unwrap(),
        ),
        (
            "code-wrong",
            CodePage::new(visitor(), "/live", &wrong_code(), None)
                .render()
                .unwrap(),
        ),
        ("second-factor-off", own(Stage::None).render().unwrap()),
        (
            "second-factor-enrolling",
            own(enrolling())
                .with_errors(&wrong_code())
                .render()
                .unwrap(),
        ),
        ("second-factor-on", own(enrolled()).render().unwrap()),
        ("recovery-codes", recovery_codes().render().unwrap()),
    ]
}

#[test]
fn every_page_is_sound() {
    for (_, html) in pages() {
        assert_sound_page(&html);
    }
}

#[test]
fn the_secret_can_be_scanned_and_typed_and_does_not_print() {
    let page = own(enrolling());
    assert!(!format!("{page:?}").contains("JBSW"));
    let html = page.render().unwrap();
    assert!(html.contains("JBSW Y3DP EHPK 3PXP"), "{html}");
    assert!(html.contains("<svg class=\"qr\""), "{html}");
    assert!(!format!("{:?}", recovery_codes()).contains("k3f9a"));
}

#[test]
fn who_must_have_one_cannot_switch_it_off() {
    let required = own(enrolled()).render().unwrap();
    assert!(!required.contains("value=\"disable\""));
    let mut free = own(enrolled());
    free.is_required = false;
    assert!(free.render().unwrap().contains("value=\"disable\""));
}
