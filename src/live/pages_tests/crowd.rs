//! More slots than a page holds, and slots that no plan covers.

use super::*;
use crate::kernel::Role;
use crate::kernel::ids::SlotId;
use crate::slots::LISTED_TOGETHER;

/// Streamers with so many slots together that no page shows them all.
async fn crowded() -> (World, Vec<SlotId>) {
    let world = World::new().await;
    let mut slots = Vec::new();
    // Each has four.
    for number in 0..=LISTED_TOGETHER / 4 {
        let email = format!("user{number}@example.com");
        let browser = world.browser(&email, Role::Streamer).await;
        slots.extend(world.slots(&browser).await.iter().map(|slot| slot.id));
    }
    (world, slots)
}

fn shown(page: &str, slots: &[SlotId]) -> usize {
    let is_shown = |slot: &&SlotId| page.contains(&format!("id=\"slot-{slot}\""));
    slots.iter().filter(is_shown).count()
}

#[tokio::test]
async fn of_too_many_slots_an_operator_sees_their_own_those_on_air_and_those_asked_for() {
    let (world, slots) = crowded().await;
    let ada = world.browser("ada@example.com", Role::Operator).await;
    let own = world.first_slot(&ada).await.id;
    let (live, other) = (slots[7], slots[60]);
    world.go_live(live).await;
    let page = world.get(&ada, "/live").await.body;
    assert_eq!((shown(&page, &slots), shown(&page, &[own, live])), (1, 2));
    assert!(page.contains("too many slots for one page"), "{page}");
    let page = world.get(&ada, &format!("/live?slot={other}")).await.body;
    assert_eq!(shown(&page, &[own, live, other]), 3);
    let card = world.get(&ada, &format!("/live/card/{other}")).await;
    assert_eq!(card.status, StatusCode::OK);
    // What a form says of a slot stands on the page with that slot.
    let renamed = world
        .post(&ada, &format!("/slots/{other}/label"), "label=Found")
        .await;
    let page = world.get(&ada, &renamed.location).await.body;
    assert!(page.contains("Found"), "{page}");
}

#[tokio::test]
async fn one_users_slots_are_a_page_for_operators_and_for_nobody_else() {
    let (world, slots) = crowded().await;
    let ada = world.browser("ada@example.com", Role::Operator).await;
    let eve = world.browser("eve@example.com", Role::Streamer).await;
    let bob = world.browser("bob@example.com", Role::Streamer).await;
    let of_bob: Vec<_> = world.slots(&bob).await.iter().map(|it| it.id).collect();
    let path = format!("/live?user={}", bob.user.id);
    let page = world.get(&ada, &path).await.body;
    assert_eq!((shown(&page, &of_bob), shown(&page, &slots)), (4, 0));
    assert!(page.contains(&format!("/live/events?user={}", bob.user.id)));
    let page = world.get(&eve, &path).await.body;
    assert_eq!(shown(&page, &of_bob), 0, "{page}");
    assert_eq!(shown(&page, &[world.first_slot(&eve).await.id]), 1);
}

#[tokio::test]
async fn a_slot_that_the_plan_does_not_cover_says_so_and_why() {
    let world = World::with_billing().await;
    let ada = world.browser("ada@example.com", Role::Streamer).await;
    let page = world.get(&ada, "/live").await.body;
    assert!(page.contains("the plan includes no relay"), "{page}");
    world.set_tier(ada.user.id, "standard").await;
    let page = world.get(&ada, "/live").await.body;
    assert_eq!(page.matches("NOT IN THE PLAN").count(), 2, "{page}");
    assert!(page.contains("the plan covers 2 slots, and this is number 3"));
    world.set_tier(ada.user.id, "internal").await;
    let page = world.get(&ada, "/live").await.body;
    assert!(!page.contains("NOT IN THE PLAN"), "{page}");
}
