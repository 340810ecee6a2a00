//! The passphrase on the page.

use super::*;

const OWN: &str = "correct-horse-battery";

fn path(id: SlotId) -> String {
    format!("/slots/{id}/passphrase")
}

async fn passphrase(world: &World, browser: &Browser) -> Option<String> {
    let slot = world.first_slot(browser).await;
    let secret = slot.keys.passphrase.as_ref();
    secret.map(|it| it.expose_secret().to_owned())
}

#[tokio::test]
async fn a_passphrase_is_drawn_shown_when_asked_for_and_removed() {
    let world = World::new().await;
    let ada = world.browser("ada@example.com", Role::Streamer).await;
    let id = world.first_slot(&ada).await.id;
    let done = world.post(&ada, &path(id), "action=generate").await;
    assert_eq!(done.status, StatusCode::SEE_OTHER);
    assert_eq!(
        done.location,
        format!("/live?done=passphrase&slot={id}#slot-{id}")
    );
    let drawn = passphrase(&world, &ada).await.unwrap();
    assert_eq!(world.engine.passphrase(id).unwrap(), drawn);
    let page = world.get(&ada, "/live?done=passphrase").await.body;
    assert_sound_page(&page);
    assert!(page.contains("The slot has a new passphrase.") && !page.contains(&drawn));
    assert!(page.contains("This slot has a passphrase."));
    let page = world.get(&ada, &format!("/live?reveal={id}")).await.body;
    assert!(page.contains(&format!("passphrase={drawn}")));
    assert!(page.contains(&format!(">{drawn}<")), "a field of its own");
    let done = world.post(&ada, &path(id), "action=remove").await;
    assert_eq!(
        done.location,
        format!("/live?done=no-passphrase&slot={id}#slot-{id}")
    );
    assert_eq!(passphrase(&world, &ada).await, None);
    assert_eq!(world.engine.passphrase(id), None);
}

#[tokio::test]
async fn a_passphrase_of_ones_own_is_taken_as_it_was_typed() {
    let world = World::new().await;
    let ada = world.browser("ada@example.com", Role::Streamer).await;
    let id = world.first_slot(&ada).await.id;
    let form = format!("action=set&passphrase=+{OWN}+");
    let done = world.post(&ada, &path(id), &form).await;
    assert_eq!(
        done.location,
        format!("/live?done=passphrase&slot={id}#slot-{id}")
    );
    assert_eq!(passphrase(&world, &ada).await.as_deref(), Some(OWN));
}

#[tokio::test]
async fn a_bad_passphrase_comes_back_with_the_reason_and_what_was_typed() {
    let world = World::new().await;
    let ada = world.browser("ada@example.com", Role::Streamer).await;
    let id = world.first_slot(&ada).await.id;
    let long = "x".repeat(80);
    for (typed, problem) in [
        ("", "Use at least 10 characters."),
        ("too-short", "Use at least 10 characters."),
        (long.as_str(), "Use at most 79 characters."),
        ("p%25ercent-sign", "Use only letters from A to Z"),
        ("%3Cscript%3Ealert(1)%3C/script%3E", "Use only letters"),
    ] {
        let form = format!("action=set&passphrase={typed}");
        let answer = world.post(&ada, &path(id), &form).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_sound_page(&answer.body);
        assert!(answer.body.contains(problem), "{typed}");
        assert!(!answer.body.contains("http-equiv=\"refresh\""), "{typed}");
        if !typed.contains('%') {
            assert!(answer.body.contains(&format!("value=\"{typed}\"")));
        }
    }
    assert_eq!(passphrase(&world, &ada).await, None);
}

#[tokio::test]
async fn what_no_form_asks_for_changes_nothing() {
    let world = World::new().await;
    let ada = world.browser("ada@example.com", Role::Streamer).await;
    let id = world.first_slot(&ada).await.id;
    world.post(&ada, &path(id), "action=generate").await;
    let drawn = passphrase(&world, &ada).await;
    for (form, expected) in [
        ("action=nonsense", StatusCode::BAD_REQUEST),
        ("", StatusCode::BAD_REQUEST),
        ("action=set", StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let answer = world.post(&ada, &path(id), form).await;
        assert_eq!(answer.status, expected, "{form}");
    }
    assert_eq!(passphrase(&world, &ada).await, drawn);
}

#[tokio::test]
async fn a_relay_that_cannot_encrypt_offers_nothing_and_takes_nothing() {
    let world = World::new().await;
    let ada = world.browser("ada@example.com", Role::Streamer).await;
    let id = world.first_slot(&ada).await.id;
    world.engine.set_can_encrypt(false);
    let page = world.get(&ada, "/live").await.body;
    assert!(!page.contains(&path(id)));
    let answer = world.post(&ada, &path(id), "action=generate").await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(answer.body.contains("cannot encrypt"), "{}", answer.body);
    assert_eq!(passphrase(&world, &ada).await, None);
}

#[tokio::test]
async fn nobody_but_who_controls_the_slot_learns_that_there_is_a_passphrase() {
    let world = World::new().await;
    let ada = world.browser("ada@example.com", Role::Streamer).await;
    let eve = world.browser("eve@example.com", Role::Viewer).await;
    let id = world.first_slot(&ada).await.id;
    let form = format!("action=set&passphrase={OWN}");
    world.post(&ada, &path(id), &form).await;
    let page = world.get(&eve, &format!("/live?reveal={id}")).await.body;
    assert!(page.contains(&format!("figures-{id}")));
    assert!(!page.contains(OWN) && !page.contains("assphrase"));
}
