//! The page of the own plan, and the operators' log.

use super::*;
use crate::api::callers::between;

#[test]
fn the_plan_page_offers_what_can_be_bought_and_tells_what_ends() {
    let mut shop = Shop::open(Kind::LemonSqueezy);
    let account = shop.browser.get("/account").expect(200).text();
    assert!(account.contains("href=\"/account/plan\""), "{account}");
    let plan = shop.browser.get("/account/plan").expect(200).text();
    assert!(plan.contains("Upgrade to Standard"), "{plan}");
    let way = shop
        .browser
        .post("/account/plan/upgrade", &[("product", "standard")]);
    let way = way.expect(200).text();
    let link = "href=\"https://shop.example.org/checkout/custom/1?signature=2\" rel=\"external noreferrer\"";
    assert!(way.contains(link), "{way}");

    shop.deliver(&shop.event("active", -30)).expect(200);
    shop.await_access("enabled", "standard");
    let refused = shop
        .browser
        .post("/account/plan/upgrade", &[("product", "standard")]);
    assert!(
        refused
            .expect(409)
            .text()
            .contains("You have this plan already")
    );

    shop.deliver(&shop.event("past_due", -20)).expect(200);
    let page = |shop: &mut Shop, wanted: &str| {
        eventually_blocking(PATIENCE, wanted, || {
            let page = shop.browser.get("/account/plan").expect(200).text();
            page.contains(wanted)
        });
    };
    page(&mut shop, "Your last payment failed");
    // G-66: also where a streamer looks.
    let live = shop.browser.get("/live").expect(200).text();
    assert!(live.contains("last payment failed"), "{live}");
    shop.await_access("enabled", "standard");
    shop.deliver(&shop.event("active", -10)).expect(200);
    shop.deliver(&shop.event("cancelled", -5)).expect(200);
    page(&mut shop, "It is cancelled and ends");
    let status = shop.plugin.get("/api/v1/billing/status").expect(200).json();
    assert!(status["ends_at"].is_string(), "{status}");
}

#[test]
fn operators_see_every_event_and_do_one_again() {
    let shop = Shop::open(Kind::Stripe);
    let unmapped = shop
        .event("active", 0)
        .to_string()
        .replace("\"501\"", "\"599\"");
    shop.deliver_signed(unmapped.as_bytes(), SECRET, now())
        .expect(200);
    let mut owner = Browser::signed_in(&shop.server, &shop.owner);
    eventually_blocking(PATIENCE, "the event is flagged", || {
        let page = owner.get("/billing?state=flagged").expect(200).text();
        page.contains("the variant or price 599 is mapped to no product")
    });
    let page = owner.get("/billing").expect(200).text();
    let id = between(&page, "/billing/events/", "/redo");
    owner
        .post(&format!("/billing/events/{id}/redo"), &[])
        .expect(303);
    let operator = shop.operator();
    let acted_at = || {
        let events = operator
            .get("/api/v1/billing/events?state=flagged")
            .expect(200)
            .json();
        events["events"][0]["acted_at"].clone()
    };
    let before = acted_at();
    eventually_blocking(PATIENCE, "it is acted on again", || {
        let path = format!("/api/v1/billing/events/{id}/redo");
        operator
            .send(operator.authorised(Method::POST, &path))
            .expect(202);
        let now = acted_at();
        now.is_string() && now != before
    });
    let bad = operator.get("/api/v1/billing/events?state=x").expect(400);
    assert_eq!(bad.error_code(), "invalid_request");
    shop.plugin.get("/api/v1/billing/events").expect(403);
}
