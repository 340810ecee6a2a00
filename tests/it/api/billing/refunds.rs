//! Refunds that no webhook told of, and the way to the provider's own page.

use super::provider::{Mood, PORTAL};
use super::*;

const MANAGE: &str = "/api/v1/billing/portal";

/// The subscription as the provider lists it, and a refund of its payment with where it is listed.
fn refunded(shop: &Shop, paid: &Value) -> (Value, &'static str, Value) {
    let at = now();
    match shop.kind {
        Kind::LemonSqueezy => {
            let moment = jiff::Timestamp::from_second(at).unwrap().to_string();
            let refund = json!({ "type": "orders", "id": "801", "attributes": {
                "store_id": 77, "customer_id": 301, "status": "refunded", "refunded": true,
                "refunded_at": moment, "total": 999, "created_at": moment, "updated_at": moment,
            } });
            (paid["data"].clone(), "/v1/orders", refund)
        }
        Kind::Stripe => {
            let charge = json!({ "id": "ch_1", "object": "charge", "customer": "cus_1",
                                 "refunded": true, "payment_intent": "pi_1" });
            let refund = json!({ "id": "re_1", "object": "refund", "created": at,
                                 "status": "succeeded", "charge": charge });
            (paid["data"]["object"].clone(), "/v1/refunds", refund)
        }
    }
}

#[test]
fn g_64_a_refund_that_no_webhook_told_of_ends_the_plan_within_the_hour() {
    for kind in Kind::ALL {
        let shop = Shop::open(kind);
        let paid = shop.event("active", -30);
        shop.deliver(&paid).expect(200);
        shop.await_access("enabled", "standard");
        let (subscription, path, refund) = refunded(&shop, &paid);
        shop.provider.list_subscription(subscription);
        shop.provider.refund(path, refund);
        let operator = shop.operator();
        let run = operator.authorised(Method::POST, "/api/v1/jobs/subscription_reconciliation/run");
        operator.send(run).expect(200);
        shop.await_access("subscription_required", "free");
    }
}

#[test]
fn who_pays_is_led_to_their_bills_at_the_provider() {
    for kind in Kind::ALL {
        let mut shop = Shop::open(kind);
        let ask = |shop: &Shop| {
            shop.plugin
                .send(shop.plugin.authorised(Method::POST, MANAGE))
        };
        let early = ask(&shop).expect(409).json();
        assert_eq!(early["error"]["reason_code"], "no_subscription");
        let page = shop.browser.get("/account/plan").expect(200).text();
        assert!(!page.contains("/account/plan/manage"), "{page}");

        shop.deliver(&shop.event("active", -30)).expect(200);
        shop.await_access("enabled", "standard");
        assert_eq!(ask(&shop).expect(200).json(), json!({ "url": PORTAL }));
        let way = shop
            .browser
            .post("/account/plan/manage", &[])
            .expect(200)
            .text();
        assert!(way.contains(&format!("href=\"{PORTAL}\"")), "{way}");

        shop.server.expect_errors();
        shop.provider.set_mood(Mood::Script);
        assert_eq!(ask(&shop).expect(502).error_code(), "upstream_failed");
        shop.provider.set_mood(Mood::Status(500));
        let told = shop
            .browser
            .post("/account/plan/manage", &[])
            .expect(502)
            .text();
        assert!(
            told.contains("the payment provider") || told.contains("The payment provider"),
            "{told}"
        );
        let log = shop.server.log();
        assert!(
            !log.contains("signature=3"),
            "the link opens without a password"
        );
    }
}
