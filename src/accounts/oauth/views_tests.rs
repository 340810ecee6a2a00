//! Sample pages, and what must hold for them.

use super::*;
use crate::http::page_check::assert_sound_page;
use crate::kernel::Role;
use crate::live::views::tests::{moment, shell};

fn confirm() -> ConfirmLinkPage {
    ConfirmLinkPage {
        shell: shell("Link Twitch", "/account/links", Role::Streamer),
        provider: "Twitch",
        email: "ada@example.com".to_owned(),
        href: "/api/v1/auth/twitch/authorize?link_user=usr_1&confirm=1.2".to_owned(),
    }
}

fn links() -> LinksPage {
    let row = |provider, label, linked| LinkRow {
        provider,
        label,
        linked,
        href: format!("/api/v1/auth/{provider}/authorize?link_user=usr_1"),
    };
    let linked = LinkedRow {
        display_name: "Ada <3 Streams".to_owned(),
        since: moment("09:30"),
    };
    LinksPage {
        shell: shell("Linked accounts", "/account/links", Role::Streamer),
        rows: vec![
            row("twitch", "Twitch", Some(linked)),
            row("google", "Google", None),
        ],
    }
}

/// Every page by name.
pub(crate) fn pages() -> Vec<(&'static str, String)> {
    vec![
        ("confirm-link", confirm().render().unwrap()),
        ("links", links().render().unwrap()),
    ]
}

#[test]
fn every_page_is_sound() {
    for (_, html) in pages() {
        assert_sound_page(&html);
    }
}
