//! What mails say: plain text, one link, no picture, nothing to track.

use super::{MailKind, Message};
use crate::kernel::ids::MailId;
use crate::kernel::secret::{ExposeSecret, SecretString};

/// The mail of `kind` to `to`. `site` is the base of our links; `link` is that of the kinds that have one, else it
/// is not used.
pub(crate) fn write_message(
    id: MailId,
    kind: MailKind,
    to: &str,
    site: &str,
    link: &SecretString,
) -> Message {
    let link = link.expose_secret();
    let ignore = "If you did not ask for this, ignore this mail: nothing changes.";
    let (subject, text) = match kind {
        MailKind::VerifyAddress => (
            "Confirm your address",
            format!(
                "Open this page and confirm that this address is yours. It works for a day, once:\n\n\
                 {link}\n\n{ignore}"
            ),
        ),
        MailKind::ResetPassword => (
            "Choose a new password",
            format!(
                "Somebody, hopefully you, asked for a new password. This page works for an hour, \
                 once:\n\n{link}\n\n{ignore}"
            ),
        ),
        MailKind::Invitation => (
            "You are invited to GoLiveBro",
            format!("Open this page to choose a password and join. It works once:\n\n{link}"),
        ),
        MailKind::AccountExists => (
            "You have an account already",
            format!(
                "Somebody, hopefully you, wanted to use this address for an account. It has one \
                 already. Sign in:\n\n{site}/login\n\nForgotten your password? Ask for a new \
                 one:\n\n{site}/forgot\n\n{ignore}"
            ),
        ),
        MailKind::PasswordChanged => (
            "Your password was changed",
            format!(
                "The password of your account was changed just now.\n\nIf it was not you, choose a \
                 new one at once:\n\n{site}/forgot"
            ),
        ),
        MailKind::AddressChanged => (
            "Your account has another address",
            "Your account's address was changed, so mails go there from now on.\n\nIf it was not \
             you, tell whoever runs this server."
                .to_owned(),
        ),
    };
    let body = format!("{text}\n\n-- \nGoLiveBro, {site}\n");
    Message {
        id,
        to: to.to_owned(),
        subject,
        body: SecretString::from(body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_has_its_link_and_says_what_to_do_with_it() {
        let link = SecretString::from("https://relay.example.org/reset?token=planted");
        let site = "https://relay.example.org";
        for kind in MailKind::ALL {
            let mail = write_message(MailId::generate(), kind, "a@example.org", site, &link);
            let body = mail.body.expose_secret();
            let has_link = matches!(
                kind,
                MailKind::VerifyAddress | MailKind::ResetPassword | MailKind::Invitation
            );
            assert_eq!(body.contains("planted"), has_link, "{kind:?}");
            assert!(body.contains(site), "{kind:?} says from where it comes");
            assert!(!format!("{mail:?}").contains("planted"));
            assert!(body.lines().all(|line| line.len() < 200), "{kind:?}");
        }
    }
}
