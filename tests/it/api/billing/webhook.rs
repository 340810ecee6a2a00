//! `billing/webhook`: who is believed, and what follows.

use super::*;
use crate::harness::client::Session;
use crate::net::srt_probe::{self, Call};
use crate::net::srt_publisher::Publisher;

#[test]
fn a_subscription_comes_and_goes_by_webhooks() {
    for kind in Kind::ALL {
        let shop = Shop::open(kind);
        shop.await_access("subscription_required", "free");
        let bought = shop.event("active", -30);
        let answer = shop.deliver(&bought).expect(200).json();
        assert_eq!(answer, json!({"received": true, "duplicate": false}));
        shop.await_access("enabled", "standard");
        let again = shop.deliver(&bought).expect(200).json();
        assert_eq!(again["duplicate"], true);
        shop.deliver(&shop.event("expired", -10)).expect(200);
        shop.await_access("subscription_required", "free");
        // What is older comes too late.
        shop.deliver(&shop.event("active", -20)).expect(200);
        let operator = shop.operator();
        eventually_blocking(PATIENCE, "all is acted on", || {
            let events = operator.get("/api/v1/billing/events").expect(200).json();
            let events = events["events"].as_array().unwrap().clone();
            events.len() == 3 && events.iter().all(|event| event["state"] == "done")
        });
        shop.await_access("subscription_required", "free");
        let status = shop.plugin.get("/api/v1/billing/status").expect(200).json();
        assert_eq!(status["plan_status"], "canceled", "{status}");
    }
}

#[test]
fn what_is_not_proved_to_be_the_providers_is_401_and_what_is_too_large_413() {
    for kind in Kind::ALL {
        let shop = Shop::open(kind);
        let body = shop.event("active", 0).to_string().into_bytes();
        let refused = shop
            .deliver_signed(&body, "another secret", now())
            .expect(401);
        assert_eq!(refused.error_code(), "unauthorized");
        let unsigned = shop.http.request(Method::POST, WEBHOOK).body(body.clone());
        shop.http.send(unsigned).expect(401);
        let (name, value) = signature(kind, &body, SECRET, now());
        let cut = shop.http.request(Method::POST, WEBHOOK);
        let cut = cut
            .header(name, value)
            .body(body[..body.len() - 1].to_vec());
        shop.http.send(cut).expect(401);
        let old = shop.deliver_signed(&body, SECRET, now() - 400);
        let is_dated = kind == Kind::Stripe;
        assert_eq!(old.status, if is_dated { 401 } else { 200 });
        shop.deliver_signed(&body, NEXT_SECRET, now()).expect(200);
        let large = vec![b' '; (256 << 10) + 1];
        let refused = shop.deliver_signed(&large, SECRET, now()).expect(413);
        assert_eq!(refused.error_code(), "invalid_request");
        shop.deliver_signed(&large[1..], SECRET, now()).expect(200);
        let page = shop.http.request(Method::POST, WEBHOOK);
        let page = page.header("origin", "https://evil.example").body(body);
        shop.http.send(page).expect(403);
    }
}

#[test]
fn a_downgrade_cuts_off_whoever_is_live() {
    let shop = Shop::open(Kind::LemonSqueezy);
    shop.deliver(&shop.event("active", -30)).expect(200);
    shop.await_access("enabled", "standard");
    let mut plugin = shop.plugin.another();
    plugin.refresh().expect(200);
    let session: Session = plugin.session("conn_1");
    let address = shop.server.addresses().srt_publish;
    let publish = || srt_probe::call(&Call::new(address, &session.publish_key));
    let publisher = Publisher::start(publish().accepted());
    publisher.send(5, Duration::from_millis(5));
    shop.deliver(&shop.event("expired", -10)).expect(200);
    eventually_blocking(PATIENCE, "the session ends", || {
        plugin.active("conn_1").status == 204
    });
    eventually_blocking(PATIENCE, "nobody is admitted any more", || {
        publish().rejection().is_some()
    });
    publisher.close();
    let refused = plugin.start("conn_1", &plugin.stream_token(1)).expect(403);
    assert_eq!(refused.error_code(), "entitlement_denied");
}

#[test]
fn what_was_answered_200_is_acted_on_after_a_crash() {
    let mut shop = Shop::open(Kind::LemonSqueezy);
    for number in 0..20 {
        shop.deliver(&shop.event("active", -100 + number))
            .expect(200);
    }
    shop.deliver(&shop.event("active", -1)).expect(200);
    shop.server.kill_hard();
    shop.server = shop.server.restart();
    shop.await_access("enabled", "standard");
    let operator = shop.operator();
    eventually_blocking(PATIENCE, "all is acted on", || {
        let events = operator.get("/api/v1/billing/events").expect(200).json();
        let events = events["events"].as_array().unwrap().clone();
        events.len() == 21 && events.iter().all(|event| event["state"] == "done")
    });
}

#[test]
fn a_hundred_deliveries_at_once_are_one_event() {
    let shop = Shop::open(Kind::Stripe);
    let body = shop.event("active", 0).to_string().into_bytes();
    let callers: Vec<_> = (0..10).map(|_| shop.http.another()).collect();
    let news: usize = std::thread::scope(|scope| {
        let callers = callers.iter().map(|http| {
            let body = &body;
            scope.spawn(move || {
                let mut news = 0;
                for _ in 0..10 {
                    let (name, value) = signature(Kind::Stripe, body, SECRET, now());
                    let request = http.request(Method::POST, WEBHOOK).header(name, value);
                    let answer = http.send(request.body(body.clone())).expect(200).json();
                    news += usize::from(answer["duplicate"] == false);
                }
                news
            })
        });
        let callers: Vec<_> = callers.collect();
        callers
            .into_iter()
            .map(|caller| caller.join().unwrap())
            .sum()
    });
    assert_eq!(news, 1);
}
