//! The pushed figures: when a slot is told, and when the stream ends.

use axum::body::{Body, BodyDataStream};
use futures_util::StreamExt;
use http::{Request, StatusCode, header};
use tower::ServiceExt;

use super::*;
use crate::kernel::Role;
use crate::live::pages::tests::{Browser, World};

const DEADLINE: Duration = Duration::from_secs(10);

/// The events of one page, one after the other.
struct Page(BodyDataStream);

impl Page {
    async fn open(world: &World, browser: &Browser) -> Self {
        let request = Request::get("/live/events")
            .header(header::COOKIE, &browser.cookie)
            .body(Body::empty())
            .unwrap();
        let response = world.router().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
        Self(response.into_body().into_data_stream())
    }

    /// The next piece; `None` when the stream is over.
    async fn next(&mut self) -> Option<String> {
        let next = tokio::time::timeout(DEADLINE, self.0.next()).await;
        let bytes = next.expect("something comes in time")?.unwrap();
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }

    /// Slot and markup of the next figures.
    async fn card(&mut self) -> (String, String) {
        let text = self.next().await.expect("the stream goes on");
        let data = text.strip_prefix("event: card\ndata: ").expect("a card");
        let (data, id) = data
            .split_once("\nid: ")
            .expect("the moment of the figures");
        assert!(id.ends_with("\n\n") && id.trim_end().parse::<i64>().is_ok());
        let card: serde_json::Value = serde_json::from_str(data).unwrap();
        let field = |name: &str| card[name].as_str().unwrap().to_owned();
        (field("slot"), field("html"))
    }
}

#[tokio::test]
async fn a_page_begins_with_all_slots_and_hears_of_a_change_at_once() {
    let world = World::new().await;
    let ada = world.browser("ada@example.com", Role::Streamer).await;
    let slots = world.slots(&ada).await;
    let mut page = Page::open(&world, &ada).await;
    for slot in slots.iter() {
        let (id, html) = page.card().await;
        assert_eq!(id, slot.id.to_string());
        assert!(html.contains("data-state=\"waiting\""));
    }
    world.go_live(slots[1].id).await;
    let (id, html) = page.card().await;
    assert_eq!(id, slots[1].id.to_string());
    assert!(html.contains("data-state=\"live\""));
}

#[tokio::test]
async fn a_page_hears_nothing_of_slots_that_its_user_may_not_see() {
    let world = World::new().await;
    let ada = world.browser("ada@example.com", Role::Streamer).await;
    let bob = world.browser("bob@example.com", Role::Streamer).await;
    let (own, foreign) = (world.slots(&ada).await, world.slots(&bob).await);
    let mut page = Page::open(&world, &ada).await;
    for _ in own.iter() {
        page.card().await;
    }
    world.go_live(foreign[0].id).await;
    world.go_live(own[0].id).await;
    assert_eq!(page.card().await.0, own[0].id.to_string());
}

#[tokio::test]
async fn a_viewer_and_the_slots_own_user_hear_of_one_change_what_each_may_see() {
    let world = World::new().await;
    let ada = world.browser("ada@example.com", Role::Streamer).await;
    let eve = world.browser("eve@example.com", Role::Viewer).await;
    let slots = world.slots(&ada).await;
    let mut own = Page::open(&world, &ada).await;
    let mut viewed = Page::open(&world, &eve).await;
    let mut steps = 0;
    for _ in slots.iter() {
        let (own, viewed) = (own.card().await, viewed.card().await);
        assert_eq!(own.0, viewed.0);
        assert!(viewed.1.contains("No media yet."));
        assert!(!viewed.1.contains("Send to UDP"));
        steps += usize::from(own.1.contains("Send to UDP"));
    }
    assert!(steps > 0, "the slots' own user is told what to do");
}

#[tokio::test]
async fn a_page_ends_with_the_server() {
    let world = World::new().await;
    let ada = world.browser("ada@example.com", Role::Streamer).await;
    let mut page = Page::open(&world, &ada).await;
    for _ in world.slots(&ada).await.iter() {
        page.card().await;
    }
    world.stop.cancel();
    assert_eq!(page.next().await, None);
}

#[tokio::test]
async fn a_page_goes_on_while_its_browser_is_signed_in_and_ends_soon_after() {
    let world = World::new().await;
    let ada = world.browser("ada@example.com", Role::Streamer).await;
    let mut page = Page::open(&world, &ada).await;
    for _ in world.slots(&ada).await.iter() {
        page.card().await;
    }
    let heartbeat = async || {
        tokio::time::pause();
        tokio::time::advance(HEARTBEAT + Duration::from_secs(1)).await;
        // The check reads from the store's own threads.
        tokio::time::resume();
    };
    heartbeat().await;
    assert_eq!(page.next().await.as_deref(), Some(": alive\n\n"));
    let service = &world.accounts.accounts;
    service.sign_out(&ada.signed_in.actor).await.unwrap();
    heartbeat().await;
    assert_eq!(page.next().await, None);
}

#[tokio::test]
async fn a_page_whose_browser_was_signed_out_hears_nothing_any_more() {
    let world = World::new().await;
    let ada = world.browser("ada@example.com", Role::Streamer).await;
    let slots = world.slots(&ada).await;
    let mut page = Page::open(&world, &ada).await;
    for _ in slots.iter() {
        page.card().await;
    }
    let service = &world.accounts.accounts;
    service.sign_out(&ada.signed_in.actor).await.unwrap();
    world.go_live(slots[0].id).await;
    assert_eq!(page.next().await, None);
}

#[test]
fn a_slot_is_told_once_a_second_but_a_new_state_at_once() {
    let (slot, start) = (SlotId::generate(), Instant::now());
    let after = |millis| start + Duration::from_millis(millis);
    let mut pace = Pace::default();
    assert!(pace.is_due(slot, State::Live, start));
    pace.sent(slot, State::Live, start);
    assert!(!pace.is_due(slot, State::Live, after(500)));
    assert!(pace.is_due(slot, State::Reconnecting, after(500)));
    assert!(pace.is_due(slot, State::Live, after(1000)));
    assert!(pace.is_due(SlotId::generate(), State::Live, after(500)));
}
