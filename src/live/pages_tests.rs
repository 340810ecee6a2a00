//! The page through its routes: who sees what, and what the forms do.

#[path = "pages_tests/crowd.rs"]
mod crowd;
#[path = "pages_tests/passphrase.rs"]
mod passphrase;
#[path = "pages_tests/world.rs"]
mod world;

use std::sync::Arc;
use std::time::Duration;

use http::Request;

pub(in crate::live) use self::world::{Browser, World};
use super::*;
use crate::http::page_check::{assert_sound_page, assert_sound_part};
use crate::kernel::Role;
use crate::kernel::secret::ExposeSecret;
use crate::slots::Slot;

/// Whether any key of these slots is in the text.
fn holds_a_key(text: &str, slots: &[Arc<Slot>]) -> bool {
    let is_in = |kind: KeyKind, slot: &Slot| {
        let key = slot.keys.get(kind).expose_secret();
        text.contains(key.strip_prefix(kind.prefix()).unwrap())
    };
    let mut slots = slots.iter();
    slots.any(|slot| KeyKind::ALL.into_iter().any(|kind| is_in(kind, slot)))
}

#[tokio::test]
async fn a_visitor_is_led_to_the_sign_in_and_a_script_is_refused() {
    let world = World::new().await;
    let slot_id = SlotId::generate();
    let page = world.ask(Request::get("/live"), "").await;
    assert_eq!(page.location, "/login?next=%2Flive");
    for path in ["/live/events".to_owned(), format!("/live/card/{slot_id}")] {
        let answer = world.ask(Request::get(&path), "").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    let path = format!("/slots/{slot_id}/disconnect");
    let answer = world.ask(Request::post(path), "").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_operator_is_told_what_can_be_mended_and_nobody_else() {
    let world = World::new().await;
    let owner = world.browser("owner@example.com", Role::Owner).await;
    let ada = world.browser("ada@example.com", Role::Streamer).await;
    assert!(!world.get(&owner, "/live").await.body.contains("Remedy"));
    let notices = ["Remedy: sysctl -w <x>".to_owned()];
    world.engine.set_notices(notices.to_vec());
    let page = world.get(&owner, "/live").await;
    assert_sound_page(&page.body);
    assert!(
        page.body.contains("Remedy: sysctl -w &#60;x&#62;"),
        "{}",
        page.body
    );
    assert!(!world.get(&ada, "/live").await.body.contains("Remedy"));
}

#[tokio::test]
async fn a_streamer_sees_their_own_slots_and_nobody_elses() {
    let world = World::new().await;
    let ada = world.browser("ada@example.com", Role::Streamer).await;
    let bob = world.browser("bob@example.com", Role::Streamer).await;
    let page = world.get(&ada, "/live").await;
    assert_sound_page(&page.body);
    for slot in world.slots(&ada).await.iter() {
        assert!(page.body.contains(&slot.id.to_string()));
    }
    let foreign = world.first_slot(&bob).await.id;
    assert!(!page.body.contains(&foreign.to_string()));
    let card = world.get(&ada, &format!("/live/card/{foreign}")).await;
    assert_eq!(card.status, StatusCode::NOT_FOUND);
    for (action, form) in [
        ("label", "label=x"),
        ("rotate", "key=publish"),
        ("passphrase", "action=generate"),
        ("passphrase", "action=set&passphrase=short"),
        ("disconnect", ""),
    ] {
        let answer = world
            .post(&ada, &format!("/slots/{foreign}/{action}"), form)
            .await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{action}");
    }
}

#[tokio::test]
async fn keys_are_shown_only_for_the_slot_that_was_asked_for() {
    let world = World::new().await;
    let ada = world.browser("ada@example.com", Role::Streamer).await;
    let slots = world.slots(&ada).await;
    let plain = world.get(&ada, "/live").await.body;
    assert!(!holds_a_key(&plain, &slots));
    let id = slots[0].id;
    let page = world.get(&ada, &format!("/live?reveal={id}")).await.body;
    assert!(holds_a_key(&page, &slots[..1]) && !holds_a_key(&page, &slots[1..]));
    let card = world.get(&ada, &format!("/live/card/{id}")).await.body;
    assert_sound_part(&card);
    assert!(!holds_a_key(&card, &slots));
    let card = world
        .get(&ada, &format!("/live/card/{id}?reveal=1"))
        .await
        .body;
    assert!(holds_a_key(&card, &slots[..1]));
    let nonsense = world.get(&ada, "/live?reveal=nonsense&done=nonsense").await;
    assert_eq!(nonsense.status, StatusCode::OK);
    assert!(!holds_a_key(&nonsense.body, &slots));
}

#[tokio::test]
async fn a_viewer_sees_everybodys_figures_but_no_key_and_no_action() {
    let world = World::new().await;
    let ada = world.browser("ada@example.com", Role::Streamer).await;
    let eve = world.browser("eve@example.com", Role::Viewer).await;
    let slots = world.slots(&ada).await;
    let id = slots[0].id;
    for path in [
        format!("/live?reveal={id}"),
        format!("/live/card/{id}?reveal=1"),
    ] {
        let answer = world.get(&eve, &path).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.body.contains(&format!("figures-{id}")));
        assert!(
            answer.body.contains(&ada.user.display_name),
            "whose slot it is"
        );
        assert!(!answer.body.contains("action=\"/slots/"));
        assert!(
            answer.body.contains("No media yet.") && !answer.body.contains("UDP"),
            "nowhere to send to"
        );
        assert!(!holds_a_key(&answer.body, &slots));
    }
    let own = world.first_slot(&eve).await.id;
    let page = world.get(&eve, "/live").await.body;
    assert!(
        !page.contains(&own.to_string()),
        "a viewer's own slots serve for nothing"
    );
    for (action, form) in [
        ("label", "label=x"),
        ("label", "label="),
        ("rotate", "key=play"),
        ("passphrase", "action=generate"),
        ("passphrase", "action=set&passphrase=short"),
        ("passphrase", "action=remove"),
        ("disconnect", ""),
    ] {
        let answer = world
            .post(&eve, &format!("/slots/{id}/{action}"), form)
            .await;
        assert!(
            [StatusCode::FORBIDDEN, StatusCode::NOT_FOUND].contains(&answer.status),
            "{action}: {}",
            answer.status
        );
    }
}

#[tokio::test]
async fn an_operator_controls_everybodys_slots_and_finds_their_own_first() {
    let world = World::new().await;
    let ada = world.browser("ada@example.com", Role::Streamer).await;
    let oda = world.browser("oda@example.com", Role::Operator).await;
    let (theirs, own) = (world.first_slot(&ada).await, world.first_slot(&oda).await);
    let page = world
        .get(&oda, &format!("/live?reveal={}", theirs.id))
        .await;
    assert!(holds_a_key(&page.body, std::slice::from_ref(&theirs)));
    let place = |id: SlotId| page.body.find(&format!("id=\"slot-{id}\"")).unwrap();
    assert!(place(own.id) < place(theirs.id));
}

#[tokio::test]
async fn the_steps_stand_with_the_first_slot_until_there_was_media() {
    let world = World::new().await;
    let ada = world.browser("ada@example.com", Role::Streamer).await;
    let page = world.get(&ada, "/live?welcome=1").await.body;
    assert!(page.contains("Your appliance is ready"));
    assert_eq!(page.matches("Waiting for your first packet").count(), 1);
    let second = world.slots(&ada).await[1].id;
    world.go_live(second).await;
    let page = world.get(&ada, "/live").await.body;
    assert!(page.contains("data-state=\"live\""));
    assert!(!page.contains("Waiting for your first packet"));
}

#[tokio::test]
async fn a_slot_gets_a_new_name_and_the_page_says_so() {
    let world = World::new().await;
    let ada = world.browser("ada@example.com", Role::Streamer).await;
    let id = world.first_slot(&ada).await.id;
    let answer = world
        .post(&ada, &format!("/slots/{id}/label"), "label=+Studio+%C3%A4+")
        .await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(
        answer.location,
        format!("/live?done=renamed&slot={id}#slot-{id}")
    );
    let page = world.get(&ada, "/live?done=renamed").await.body;
    assert!(page.contains("The slot has its new name.") && page.contains("Studio ä"));
}

#[tokio::test]
async fn a_bad_name_comes_back_with_the_reason() {
    let world = World::new().await;
    let ada = world.browser("ada@example.com", Role::Streamer).await;
    let id = world.first_slot(&ada).await.id;
    let path = format!("/slots/{id}/label");
    let long = "x".repeat(65);
    let answer = world.post(&ada, &path, &format!("label={long}")).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_sound_page(&answer.body);
    assert!(answer.body.contains(&long) && answer.body.contains("Use at most 64 characters."));
    assert!(!answer.body.contains("http-equiv=\"refresh\""));
    assert!(
        answer.body.contains("name=\"return_to\" value=\"/live\""),
        "the colours lead back to a page that can be read"
    );
    assert_eq!(world.first_slot(&ada).await.label, "Main");
}

#[tokio::test]
async fn a_replaced_key_is_new_at_the_relay_and_not_on_the_answer() {
    let world = World::new().await;
    let ada = world.browser("ada@example.com", Role::Streamer).await;
    let before = world.first_slot(&ada).await;
    let path = format!("/slots/{}/rotate", before.id);
    for (word, kind) in [
        ("publish", KeyKind::Publish),
        ("play", KeyKind::Play),
        ("stats", KeyKind::Stats),
    ] {
        let answer = world.post(&ada, &path, &format!("key={word}")).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        let after = world.first_slot(&ada).await;
        let key = |slot: &Slot| slot.keys.get(kind).expose_secret().to_owned();
        assert_ne!(key(&before), key(&after), "{word}");
        assert!(!holds_a_key(&answer.location, &[after]));
        let page = world
            .get(&ada, answer.location.split('#').next().unwrap())
            .await
            .body;
        assert!(
            page.contains("is replaced.") && !holds_a_key(&page, &world.slots(&ada).await),
            "{word}"
        );
    }
    let after = world.first_slot(&ada).await;
    let (publish, play) = world.engine.keys(before.id).unwrap();
    assert_eq!(publish, after.keys.publish.expose_secret());
    assert_eq!(play, after.keys.play.expose_secret());
    let answer = world.post(&ada, &path, "key=all").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn disconnecting_cuts_off_the_sender_and_says_whether_there_was_one() {
    let world = World::new().await;
    let ada = world.browser("ada@example.com", Role::Streamer).await;
    let id = world.first_slot(&ada).await.id;
    world.engine.connect_both(id);
    let path = format!("/slots/{id}/disconnect");
    let answer = world.post(&ada, &path, "").await;
    assert_eq!(
        answer.location,
        format!("/live?done=disconnected&slot={id}#slot-{id}")
    );
    assert_eq!(world.engine.connected(id), (false, true));
    let answer = world.post(&ada, &path, "").await;
    assert_eq!(
        answer.location,
        format!("/live?done=nobody-connected&slot={id}#slot-{id}")
    );
}

#[tokio::test]
async fn on_a_relay_that_cannot_cut_off_the_page_says_who_stays_and_how_long() {
    let world = World::new().await;
    let ada = world.browser("ada@example.com", Role::Streamer).await;
    let id = world.first_slot(&ada).await.id;
    world.engine.set_can_cut_off(false);
    world.engine.connect_both(id);
    for (path, form, words) in [
        ("disconnect", "", "who is sending stays until they stop"),
        ("rotate", "key=publish", "who is sending with the old key"),
        ("rotate", "key=play", "who is watching with the old key"),
        ("rotate", "key=stats", "statistics token is replaced"),
    ] {
        let path = format!("/slots/{id}/{path}");
        let answer = world.post(&ada, &path, form).await;
        let told = answer.location.split('#').next().unwrap();
        let page = world.get(&ada, told).await.body;
        assert!(page.contains(words), "{words}: {page}");
        assert_eq!(world.engine.connected(id), (true, true));
    }
}

#[test]
fn every_outcome_has_a_word_of_its_own() {
    for done in Done::ALL {
        assert_eq!(Done::parse(done.code()), Some(done));
    }
    assert_eq!(Done::parse(""), None);
}

#[tokio::test]
async fn the_recommended_latency_is_one_that_the_relay_takes() {
    let live = World::new().await.live();
    for (min_ms, max_ms, recommended_ms) in [
        (120, 15_000, 2_000),
        (120, 1_500, 1_500),
        (3_000, 15_000, 3_000),
    ] {
        let bounds = Duration::from_millis(min_ms)..=Duration::from_millis(max_ms);
        let latency = live
            .clone()
            .with_latency_bounds(bounds)
            .recommended_latency();
        assert_eq!(latency, Duration::from_millis(recommended_ms));
    }
}
