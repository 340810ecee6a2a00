//! The fields in which a person proves once more who they are, as every form shows them.

use crate::accounts::oauth::Provider;
use crate::accounts::service::{FirstProof, ProofsDue};
use crate::accounts::views::ProviderLink;
use crate::http::form::Field;
use crate::kernel::FieldError;

/// The names of these fields in one form: unique on its page.
#[derive(Debug, Clone, Copy)]
pub struct ProofNames<'a> {
    /// Of the password.
    pub password: &'static str,
    /// What a person reads above it.
    pub password_label: &'static str,
    /// Of the second factor's code.
    pub code: &'static str,
    /// The page of the form, to which a fresh sign-in comes back.
    pub page: &'a str,
}

/// What a form asks for; the macro `ui::proofs` shows it.
#[derive(Debug, Clone)]
pub struct ProofFields {
    /// The password, for who has one.
    pub password: Option<Field>,
    /// The ways to sign in again, for who has no password and signed in long ago.
    pub sign_in_again: Option<Vec<ProviderLink>>,
    /// The second factor's code, for who has one.
    pub code: Option<Field>,
}

impl ProofFields {
    /// The fields of what is due, with the messages about `current_password` and `code`.
    #[must_use]
    pub fn new(due: &ProofsDue, names: ProofNames<'_>, errors: &[FieldError]) -> Self {
        let code = || {
            Field::text(names.code, "Code of your second factor")
                .with_autocomplete("one-time-code")
                .with_max_length(20)
                .with_hint("6 digits from your authenticator app, or a recovery code.")
                .with_error(message_about("code", errors))
        };
        Self {
            code: due.code.then(code),
            ..Self::of_first(&due.first, names, errors)
        }
    }

    /// The same without a second factor.
    #[must_use]
    pub fn of_first(due: &FirstProof, names: ProofNames<'_>, errors: &[FieldError]) -> Self {
        let password = || {
            Field::current_password(names.password, names.password_label)
                .with_error(message_about("current_password", errors))
        };
        let (password, sign_in_again) = match due {
            FirstProof::Password => (Some(password()), None),
            FirstProof::FreshSignIn => (None, None),
            FirstProof::SignInAgain(through) => (None, Some(links_back_to(names.page, through))),
        };
        Self {
            password,
            sign_in_again,
            code: None,
        }
    }
}

fn message_about(field: &str, errors: &[FieldError]) -> Option<String> {
    let own = errors.iter().find(|error| error.field == field);
    own.map(|error| error.message.to_string())
}

fn links_back_to(page: &str, through: &[Provider]) -> Vec<ProviderLink> {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("next", page)
        .finish();
    let link = |provider: &Provider| ProviderLink {
        label: provider.label(),
        href: format!("/api/v1/auth/{provider}/authorize?{query}"),
    };
    through.iter().map(link).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: ProofNames<'static> = ProofNames {
        password: "delete_password",
        password_label: "Your password",
        code: "delete_code",
        page: "/account/data",
    };

    #[test]
    fn each_proof_is_asked_of_who_can_give_it_and_complaints_stand_at_it() {
        let errors = [
            FieldError::new("current_password", "wrong_password", "No."),
            FieldError::new("code", "wrong_code", "Wait."),
        ];
        let due = ProofsDue {
            first: FirstProof::Password,
            code: true,
        };
        let all = ProofFields::new(&due, NAMES, &errors);
        let password = all.password.unwrap();
        assert_eq!(password.name, "delete_password");
        assert_eq!(password.error.as_deref(), Some("No."));
        let code = all.code.unwrap();
        assert_eq!(
            (code.name, code.error.as_deref()),
            ("delete_code", Some("Wait."))
        );
        assert!(all.sign_in_again.is_none());

        let due = ProofsDue {
            first: FirstProof::FreshSignIn,
            code: false,
        };
        let none = ProofFields::new(&due, NAMES, &[]);
        assert!(none.password.is_none() && none.code.is_none() && none.sign_in_again.is_none());

        let again = FirstProof::SignInAgain(vec![Provider::Twitch]);
        let again = ProofFields::of_first(&again, NAMES, &[]);
        let links = again.sign_in_again.unwrap();
        assert_eq!(
            links[0].href,
            "/api/v1/auth/twitch/authorize?next=%2Faccount%2Fdata"
        );
    }
}
