//! `billing/checkout`, and what is not there without a provider.

use super::provider::Mood;
use super::*;

const CHECKOUT: &str = "/api/v1/billing/checkout";
const PAGE: &str = "https://shop.example.org/checkout/custom/1?signature=2";

#[track_caller]
fn buy(shop: &Shop, body: &Value) -> Answer {
    let request = shop.plugin.authorised(Method::POST, CHECKOUT);
    shop.plugin.send(request.json(body))
}

#[test]
fn without_a_provider_billing_is_not_configured_and_nobody_is_limited() {
    let server = Server::start();
    let account = server.admin_create("owner@example.org", "owner");
    let mut browser = Browser::signed_in(&server, &account);
    let plugin = Plugin::signed_in(&server, &mut browser);
    let http = Http::to(server.addresses().http);
    let checkout = plugin.authorised(Method::POST, CHECKOUT);
    for answer in [
        plugin.send(checkout),
        http.post_json(WEBHOOK, &json!({})),
        plugin.get("/api/v1/billing/status"),
        plugin.get("/api/v1/billing/events"),
    ] {
        assert_eq!(answer.expect(503).error_code(), "billing_not_configured");
    }
    browser.get("/account/plan").expect(503);
    let page = browser.get("/account").expect(200).text();
    assert!(!page.contains("/account/plan"), "{page}");
    let session = plugin.get("/api/v1/auth/session").expect(200).json();
    assert_eq!(session["entitlement"]["plan_tier"], "internal");
}

#[test]
fn a_checkout_names_the_user_at_the_provider_and_answers_both_addresses() {
    for kind in Kind::ALL {
        let shop = Shop::open(kind);
        shop.await_access("subscription_required", "free");
        shop.provider.calls();
        for body in [json!({}), json!({"product": "standard", "unknown": 1})] {
            let answer = buy(&shop, &body).expect(200).json();
            assert_eq!(answer, json!({"checkout_url": PAGE, "url": PAGE}));
        }
        let calls = shop.provider.calls();
        assert_eq!(calls.len(), 2, "{calls:?}");
        let call = &calls[0];
        assert_eq!(call.authorization, format!("Bearer {API_KEY}"));
        let user = &shop.streamer.user_id;
        match kind {
            Kind::LemonSqueezy => {
                assert_eq!(call.path, "/v1/checkouts");
                let body: Value = serde_json::from_str(&call.body).unwrap();
                let attributes = &body["data"]["attributes"];
                assert_eq!(attributes["checkout_data"]["custom"]["user_id"], **user);
                let related = &body["data"]["relationships"];
                assert_eq!(related["variant"]["data"]["id"], "501");
                assert_eq!(related["store"]["data"]["id"], "77");
            }
            Kind::Stripe => {
                assert_eq!(call.path, "/v1/checkout/sessions");
                let pairs: Vec<_> = url::form_urlencoded::parse(call.body.as_bytes()).collect();
                let has = |name: &str, value: &str| {
                    let found = pairs.iter().find(|(key, _)| key == name);
                    assert_eq!(found.map(|(_, it)| it.as_ref()), Some(value), "{pairs:?}");
                };
                has("mode", "subscription");
                has("line_items[0][price]", "501");
                has("client_reference_id", user);
                has("subscription_data[metadata][user_id]", user);
            }
        }
    }
}

#[test]
fn a_provider_that_fails_is_told_of_and_the_key_goes_nowhere_else() {
    let mut shop = Shop::open(Kind::Stripe);
    shop.server.expect_errors();
    for mood in [
        Mood::Status(500),
        Mood::Status(401),
        Mood::Status(429),
        Mood::Nonsense,
        Mood::Stranger,
        Mood::Endless,
        Mood::Elsewhere,
        Mood::Script,
    ] {
        shop.provider.set_mood(mood);
        let answer = buy(&shop, &json!({}));
        assert_eq!(answer.status, 502, "{mood:?}: {}", answer.text());
        assert_eq!(answer.error_code(), "upstream_failed");
        // A person reads it on the page of the plan.
        let page = shop.browser.post("/account/plan/upgrade", &[]);
        assert_eq!(page.status, 502, "{mood:?}");
        assert!(
            page.text().contains("The payment provider"),
            "{}",
            page.text()
        );
    }
    assert_eq!(
        buy(&shop, &json!({"product": "x"}))
            .expect(400)
            .error_code(),
        "invalid_request"
    );
    shop.provider.set_mood(Mood::Well);
    buy(&shop, &json!({})).expect(200);
    let log = shop.server.log();
    for secret in [API_KEY, SECRET, NEXT_SECRET] {
        assert!(!log.contains(secret), "the log has {secret}");
    }
}
