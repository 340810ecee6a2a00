//! Sample cards, and what must hold for every card.

use super::super::addresses::tests::{LATENCY, address, keys, keys_with_passphrase};
use super::super::{addresses, figures};
use super::*;
use crate::http::page::{SignedIn, Theme};
use crate::http::page_check::{assert_sound_page, assert_sound_part};
use crate::kernel::Role;

/// A part of every key of the samples.
const SECRET: &str = "5eC2e7";

pub(crate) fn moment(text: &str) -> Moment {
    Moment {
        rfc3339: format!("2026-11-21T{text}:09Z"),
        text: format!("{text} UTC"),
    }
}

pub(crate) fn shell(title: &str, path: &str, role: Role) -> Shell {
    let user = SignedIn {
        display_name: "Ada Lovelace".to_owned(),
        role,
    };
    Shell::signed_in(title, path, Theme::Auto, user)
}

fn samples() -> Vec<Option<u32>> {
    let wave = |second: u32| 5900 + (second * 37 % 900) - (second * 91 % 700);
    (0..300_u32)
        .map(|second| match second {
            90..108 => None,
            108..130 => Some(wave(second) - 2400),
            _ => Some(wave(second)),
        })
        .collect()
}

fn link(name: &str, address: &str, share: u8, rate: u32, age_ms: u64) -> LinkRow {
    LinkRow {
        name: name.to_owned(),
        address: Some(address.to_owned()),
        share_percent: share,
        bitrate: figures::bitrate(rate),
        last_packet: figures::ago(std::time::Duration::from_millis(age_ms)),
        is_silent: age_ms > 3000,
        sender: None,
    }
}

fn stream() -> StreamFigures {
    let (bitrate_number, bitrate_unit) = figures::bitrate_parts(5931);
    StreamFigures {
        bitrate_number,
        bitrate_unit,
        sparkline: Sparkline::draw(&samples(), "5 min"),
        items: vec![
            FigureItem::new("Round trip", figures::milliseconds(48)),
            FigureItem::new("Lost", figures::percent_of_ppm(31_200)).with_warning(Some("high")),
            FigureItem::new("Dropped", "0".to_owned()),
            FigureItem::new("Buffer", figures::milliseconds(2000)),
            FigureItem::new("Live for", "3 h 12 min".to_owned()),
            FigureItem::new("Players", "1".to_owned()),
        ],
        links: vec![
            link("T-Mobile", "203.0.113.9:51034", 62, 3670, 40),
            link("Link 2", "[2001:db8:4:2::77]:40111", 38, 2261, 120),
            link("Link 3", "198.51.100.4:38822", 0, 0, 8200),
        ],
    }
}

fn slot_figures(slot_id: SlotId, state: SlotState) -> SlotFigures {
    let is_streaming = matches!(state, SlotState::Live | SlotState::Reconnecting);
    let note = match state {
        SlotState::Reconnecting => Some("No packet for 4 s. The broadcast goes on if they return."),
        SlotState::Offline => Some("Last live for 2 h 4 min."),
        SlotState::Live | SlotState::Waiting => None,
    };
    SlotFigures {
        slot_id,
        state,
        since: (state != SlotState::Waiting).then(|| moment("14:02")),
        note: note.map(str::to_owned),
        stream: is_streaming.then(stream),
        guide: (state == SlotState::Waiting).then_some(FirstPacketGuide {
            srtla_port: 5000,
            publish_port: 4001,
            has_steps: true,
        }),
    }
}

fn card(label: &str, state: SlotState, is_revealed: bool) -> SlotCard {
    let slot_id = SlotId::generate();
    let keys = keys();
    let shown = if is_revealed {
        addresses::Shown::Revealed(&keys)
    } else {
        addresses::Shown::Masked {
            has_passphrase: false,
        }
    };
    SlotCard {
        slot_id,
        label: label.to_owned(),
        owner: None,
        figures: slot_figures(slot_id, state),
        addresses: Some(SlotAddresses {
            slot_id,
            clients: addresses::clients(slot_id, &address(), shown, LATENCY),
            is_revealed,
            has_passphrase: false,
            is_open: state == SlotState::Waiting,
        }),
        can_control: true,
        uncovered: None,
        refused: None,
        passphrase: PassphraseForms {
            can_encrypt: true,
            ..PassphraseForms::default()
        },
    }
}

/// A card of a slot with a passphrase.
fn encrypted_card(is_revealed: bool) -> SlotCard {
    let mut card = card("Backpack", SlotState::Offline, is_revealed);
    let keys = keys_with_passphrase();
    let shown = if is_revealed {
        addresses::Shown::Revealed(&keys)
    } else {
        addresses::Shown::Masked {
            has_passphrase: true,
        }
    };
    let part = card.addresses.as_mut().unwrap();
    part.clients = addresses::clients(card.slot_id, &address(), shown, LATENCY);
    part.has_passphrase = true;
    card.passphrase.is_set = true;
    card
}

fn encrypted() -> LivePage {
    let mut stuck = encrypted_card(false);
    stuck.passphrase.can_encrypt = false;
    page(vec![encrypted_card(true), encrypted_card(false), stuck])
}

fn refused_passphrase() -> LivePage {
    let mut card = encrypted_card(false);
    card.passphrase.refused = Some(RefusedPassphrase {
        typed: SecretString::from("sp ace <\""),
        problem: "Use at least 10 characters.".to_owned(),
    });
    page(vec![card])
}

fn page(cards: Vec<SlotCard>) -> LivePage {
    LivePage {
        shell: shell("Live", "/live", Role::Owner),
        notices: Vec::new(),
        cards,
        is_all: true,
        focus: None,
        is_welcome: false,
        is_still: false,
    }
}

fn several() -> LivePage {
    let mut sibling = card("Spare", SlotState::Waiting, false);
    sibling.figures.guide.as_mut().unwrap().has_steps = false;
    sibling.addresses.as_mut().unwrap().is_open = false;
    page(vec![
        card("Main camera", SlotState::Live, false),
        card("Second phone", SlotState::Reconnecting, false),
        card("Studio", SlotState::Offline, false),
        sibling,
    ])
}

fn as_viewer() -> LivePage {
    let mut live = card("Main camera", SlotState::Live, false);
    live.addresses = None;
    live.can_control = false;
    live.owner = Some("Grace Hopper".to_owned());
    LivePage {
        shell: shell("Live", "/live", Role::Viewer),
        ..page(vec![live])
    }
}

fn welcome() -> LivePage {
    let first = card("Slot 1", SlotState::Waiting, true);
    let mut page = LivePage {
        is_welcome: true,
        ..page(vec![first])
    };
    page.shell.tls_warning = true;
    page
}

fn refused() -> LivePage {
    let mut card = card("Main camera", SlotState::Offline, false);
    card.refused = Some(RefusedLabel {
        typed: "Main\tcamera".to_owned(),
        problem: "Leave out line breaks and control characters.".to_owned(),
    });
    page(vec![card])
}

/// Every variant of the page, by name.
pub(crate) fn pages() -> Vec<(&'static str, String)> {
    let named = [
        ("live", several()),
        (
            "live-one",
            page(vec![card("Main camera", SlotState::Live, true)]),
        ),
        ("live-viewer", as_viewer()),
        ("live-welcome", welcome()),
        ("live-empty", page(Vec::new())),
        ("live-refused", refused()),
        ("live-encrypted", encrypted()),
        ("live-refused-passphrase", refused_passphrase()),
    ];
    named
        .map(|(name, page)| (name, page.render().unwrap()))
        .into()
}

#[test]
fn every_variant_of_the_page_is_sound() {
    for (_, html) in pages() {
        assert_sound_page(&html);
    }
}

#[test]
fn a_card_alone_is_sound() {
    for state in [
        SlotState::Live,
        SlotState::Reconnecting,
        SlotState::Offline,
        SlotState::Waiting,
    ] {
        assert_sound_part(&card("Main", state, false).render().unwrap());
        assert_sound_part(&slot_figures(SlotId::generate(), state).render().unwrap());
    }
}

#[test]
fn no_key_is_in_a_card_before_it_is_revealed() {
    let html = several().render().unwrap();
    assert!(!html.contains(SECRET));
    assert!(html.contains("srtla://relay.example.com:5000?streamid=live_••••"));
    let html = card("Main", SlotState::Live, true).render().unwrap();
    assert!(html.contains("srtla://relay.example.com:5000?streamid=live_5eC2e7"));
}

#[test]
fn a_viewer_gets_neither_addresses_nor_actions() {
    let html = as_viewer().render().unwrap();
    assert!(!html.contains("streamid="));
    assert!(!html.contains("/slots/"));
    assert!(!html.contains("data-reveal"));
}

#[test]
fn pushed_figures_are_one_element_that_the_page_has() {
    let card = card("Main", SlotState::Live, false);
    let figures = card.figures.render().unwrap();
    assert!(figures.trim().starts_with("<section") && figures.trim().ends_with("</section>"));
    assert!(card.render().unwrap().contains(figures.trim()));
}

#[test]
fn an_event_is_one_line_that_names_its_slot() {
    let figures = slot_figures(SlotId::generate(), SlotState::Live);
    let data = figures.event_data().unwrap();
    assert!(!data.contains('\n'), "a line break would end the event");
    let event: serde_json::Value = serde_json::from_str(&data).unwrap();
    assert_eq!(event["slot"], figures.slot_id.to_string());
    assert_eq!(event["html"], figures.render().unwrap());
}

#[test]
fn the_state_is_a_word_and_a_picture() {
    for state in [
        SlotState::Live,
        SlotState::Reconnecting,
        SlotState::Offline,
        SlotState::Waiting,
    ] {
        let html = slot_figures(SlotId::generate(), state).render().unwrap();
        let badge = html
            .split("class=\"badge")
            .nth(1)
            .unwrap()
            .split("</p>")
            .next()
            .unwrap();
        assert!(
            badge.contains(state.word()) && badge.contains("<svg"),
            "{badge}"
        );
        assert!(
            !badge.contains("icon-solid") || state == SlotState::Live,
            "a picture of its own"
        );
    }
}

#[test]
fn a_hostile_label_stays_text() {
    let hostile = "\"><script>alert(1)</script><img src=x onerror=alert(1)>";
    let mut card = card(hostile, SlotState::Live, false);
    card.owner = Some(hostile.to_owned());
    card.figures.note = Some(hostile.to_owned());
    card.figures.stream.as_mut().unwrap().links[0].name = hostile.to_owned();
    let html = page(vec![card]).render().unwrap();
    assert_sound_page(&html);
    assert!(!html.contains("<script>") && !html.contains("<img"));
}

#[test]
fn a_refused_name_is_kept_in_an_open_form() {
    let html = refused().render().unwrap();
    assert!(html.contains("value=\"Main\tcamera\""));
    assert!(html.contains("aria-invalid=\"true\""));
    let fold = html.split("class=\"fold slot-actions\"").nth(1).unwrap();
    assert!(fold.split('>').next().unwrap().contains(" open"));
}

#[test]
fn a_passphrase_is_masked_like_a_key() {
    let masked = encrypted_card(false).render().unwrap();
    assert!(!masked.contains(SECRET), "{masked}");
    assert!(
        masked.contains("&#38;passphrase=••••••••") && masked.contains("Both your phone and OBS")
    );
    let revealed = encrypted_card(true).render().unwrap();
    assert!(revealed.contains("&#38;passphrase=a-5eC2e7") && revealed.contains(">a-5eC2e7"));
    let plain = card("Main", SlotState::Live, true).render().unwrap();
    assert!(!plain.contains("passphrase=") && !plain.contains("This slot has a passphrase"));
}

#[test]
fn only_what_can_be_done_about_a_passphrase_is_offered() {
    let offers = |card: &SlotCard| {
        let html = card.render().unwrap();
        ["generate", "set", "remove"]
            .map(|word| html.contains(&format!("name=\"action\" value=\"{word}\"")))
    };
    let mut card = card("Main", SlotState::Live, false);
    assert_eq!(offers(&card), [true, true, false]);
    card.passphrase.is_set = true;
    assert_eq!(offers(&card), [true, true, true]);
    card.passphrase.can_encrypt = false;
    assert_eq!(
        offers(&card),
        [false, false, true],
        "so that it can be used again"
    );
    card.passphrase.is_set = false;
    assert_eq!(offers(&card), [false; 3]);
}

#[test]
fn a_refused_passphrase_is_kept_in_an_open_form_and_out_of_the_debug_output() {
    let page = refused_passphrase();
    assert!(!format!("{page:?}").contains("sp ace"));
    let html = page.render().unwrap();
    assert!(html.contains("value=\"sp ace &#60;&#34;\""), "{html}");
    for fold in [
        "class=\"fold slot-actions\"",
        "class=\"confirm\" id=\"passphrase-",
    ] {
        let tag = html.split(fold).nth(1).unwrap().split('>').next().unwrap();
        assert!(tag.contains(" open"), "{fold}");
    }
}

#[test]
fn without_scripts_the_page_loads_itself_anew() {
    let masked = several().render().unwrap();
    assert!(
        masked.contains(
            "<noscript><meta http-equiv=\"refresh\" content=\"10;url=/live\"></noscript>"
        )
    );
    let still = LivePage {
        is_still: true,
        ..several()
    };
    assert!(
        !still.render().unwrap().contains("http-equiv=\"refresh\""),
        "time for a form"
    );
    let revealed = welcome().render().unwrap();
    assert!(
        revealed.contains("content=\"60;url=/live\""),
        "time to copy, then hidden"
    );
}

#[test]
fn figures_pushed_each_second_are_small() {
    let html = slot_figures(SlotId::generate(), SlotState::Live)
        .render()
        .unwrap();
    assert!(html.len() < 8 * 1024, "{} bytes", html.len());
}
