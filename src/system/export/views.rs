//! The page on which a person merges two accounts.

use askama::Template;

use crate::accounts::oauth::model::{Kept, MergeOffer, MergeSide};
use crate::accounts::proof_fields::{ProofFields, ProofNames};
use crate::accounts::service::ProofsDue;
use crate::accounts::views::role_label;
use crate::http::form::Field;
use crate::http::page::Shell;
use crate::kernel::FieldError;
use crate::kernel::ids::MergeRequestId;
use crate::plans::model::Tier;
use crate::plans::views::tier_label;

/// Where it is.
pub(in crate::system) const PAGE: &str = "/account/merge";

/// `GET /account/merge`
#[derive(Debug, Template)]
#[template(path = "pages/system/merge.html")]
pub struct MergePage {
    shell: Shell,
    request: MergeRequestId,
    provider: &'static str,
    sides: [SideView; 2],
    proof: ProofFields,
    other_code: Option<Field>,
}

/// One of the two accounts.
#[derive(Debug)]
struct SideView {
    value: &'static str,
    email: String,
    facts: String,
    links: String,
    is_selected: bool,
    /// Why it cannot go, so that the other one cannot be chosen.
    cannot_go: Option<&'static str>,
}

/// What the page is about, and what was chosen on it before.
#[derive(Debug)]
pub(super) struct MergeForm<'a> {
    /// What may be merged.
    pub(super) offer: &'a MergeOffer,
    /// Which account stays.
    pub(super) kept: Kept,
    /// Which of the two are on air: the one that is signed in, and the other.
    pub(super) on_air: [bool; 2],
    /// What is due from the one that is signed in.
    pub(super) due: &'a ProofsDue,
    /// What is wrong with the fields.
    pub(super) errors: &'a [FieldError],
}

impl MergePage {
    pub(super) fn new(shell: Shell, form: &MergeForm<'_>) -> Self {
        let MergeForm { offer, errors, .. } = form;
        let names = ProofNames {
            password: "current_password",
            password_label: "Password of the account that is signed in",
            code: "code",
            page: "/account/links",
        };
        let other_code = || {
            Field::text("other_code", "Code of the other account's second factor")
                .with_autocomplete("one-time-code")
                .with_max_length(20)
                .with_error_among(errors)
        };
        let side = |side, kept, value, is_on_air| SideView {
            is_selected: form.kept == kept,
            ..SideView::new(side, value, is_on_air)
        };
        Self {
            shell,
            request: offer.id,
            provider: offer.provider.label(),
            sides: [
                side(&offer.this, Kept::This, "this", form.on_air[0]),
                side(&offer.other, Kept::Other, "other", form.on_air[1]),
            ],
            proof: ProofFields::new(form.due, names, errors),
            other_code: offer.other_code.then(other_code),
        }
    }
}

impl SideView {
    fn new(side: &MergeSide, value: &'static str, is_on_air: bool) -> Self {
        let plan = match side.tier {
            Tier::Free => String::new(),
            tier => format!(", plan {}", tier_label(tier)),
        };
        let links: Vec<_> = side
            .links
            .iter()
            .map(|link| link.provider.label())
            .collect();
        Self {
            value,
            email: side.user.email.clone(),
            facts: format!("{}{plan}", role_label(side.user.role)),
            links: links.join(", "),
            is_selected: false,
            cannot_go: side.cannot_go().or(is_on_air.then_some("it is on air")),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::accounts::model::User;
    use crate::accounts::oauth::Provider;
    use crate::accounts::oauth::model::LinkedAccount;
    use crate::accounts::service::FirstProof;
    use crate::http::page_check::assert_sound_page;
    use crate::kernel::ids::UserId;
    use crate::kernel::{Role, UnixMillis};
    use crate::live::views::tests::shell;

    fn side(email: &str, role: Role) -> MergeSide {
        MergeSide {
            user: User {
                id: UserId::generate(),
                email: email.to_owned(),
                display_name: "Ada".to_owned(),
                role,
                created_at: UnixMillis(0),
                email_verified_at: None,
                must_verify_email: false,
            },
            links: vec![LinkedAccount {
                provider: Provider::Twitch,
                provider_id: "1".to_owned(),
                display_name: "ada".to_owned(),
                linked_at: UnixMillis(0),
            }],
            tier: Tier::Standard,
            pays: false,
        }
    }

    fn page(on_air: [bool; 2], errors: &[FieldError]) -> String {
        let offer = MergeOffer {
            id: MergeRequestId::generate(),
            provider: Provider::Twitch,
            this: side("ada@example.com", Role::Streamer),
            other: side("old.ada@example.com", Role::Owner),
            other_code: true,
        };
        let due = ProofsDue {
            first: FirstProof::Password,
            code: true,
        };
        let form = MergeForm {
            offer: &offer,
            kept: Kept::Other,
            on_air,
            due: &due,
            errors,
        };
        let shell = shell("Merge two accounts", PAGE, Role::Streamer);
        MergePage::new(shell, &form).render().unwrap()
    }

    /// Every page by name.
    pub(crate) fn pages() -> Vec<(&'static str, String)> {
        vec![("merge", page([false, false], &[]))]
    }

    #[test]
    fn the_page_is_sound_and_says_what_cannot_go() {
        let html = page([false, false], &[]);
        assert_sound_page(&html);
        assert!(html.contains("it owns this appliance"), "{html}");
        assert!(!html.contains("it is on air"), "{html}");
        assert!(page([true, false], &[]).contains("it is on air"));
    }

    #[test]
    fn a_complaint_stands_at_its_own_field_and_the_choice_is_kept() {
        let wrong = [FieldError::new(
            "other_code",
            "wrong_code",
            "Wait for the next.",
        )];
        let html = page([false, false], &wrong);
        assert!(html.contains("id=\"other_code-error\"") && !html.contains("id=\"code-error\""));
        assert!(html.contains("value=\"other\" required checked"), "{html}");
    }
}
