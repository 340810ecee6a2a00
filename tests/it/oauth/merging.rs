//! Merging two accounts of one person as people do it, and what is refused.

use std::time::Duration;

use super::second_factor::enrol;
use super::{House, Person};
use crate::harness::client::{Answer, Browser, Plugin};
use crate::harness::eventually::eventually_blocking;
use crate::harness::server::Account;
use crate::net::srt_probe::{self, Call, Connection};
use crate::net::srt_publisher::Publisher;

const PAGE: &str = "/account/merge";
const PATIENCE: Duration = Duration::from_secs(20);
/// Two minutes of 6 Mbit/s.
const PAUSE: Duration = Duration::from_micros(1755);
const PAYLOADS: u64 = 68_000;

/// Two accounts, the second of which is linked with `person`.
struct Pair {
    house: House,
    person: Person,
    first: Account,
    second: Account,
    /// Signed in to the first.
    browser: Browser,
    /// Signed in to the second.
    other: Browser,
}

impl Pair {
    fn open() -> Self {
        let house = House::with("twitch");
        let person = Person::with_id("1");
        let first = house.server.admin_create("first@example.org", "streamer");
        let second = house.server.admin_create("second@example.org", "streamer");
        let mut other = Browser::signed_in(&house.server, &second);
        house.link(&mut other, &second.user_id, &person).expect(303);
        let browser = Browser::signed_in(&house.server, &first);
        Self {
            house,
            person,
            first,
            second,
            browser,
            other,
        }
    }

    /// The first account's browser proves to be the second, too; answers the page that offers to merge.
    #[track_caller]
    fn offer(&mut self) -> String {
        let offered = self
            .house
            .link(&mut self.browser, &self.first.user_id, &self.person)
            .expect(303);
        assert_eq!(offered.header("location"), PAGE);
        self.browser.get(PAGE).expect(200).text()
    }

    /// Confirms on `page` that the `kept` account stays, with the first account's password.
    #[track_caller]
    fn confirm(&mut self, page: &str, kept: &str) -> Answer {
        let password = self.first.password.clone();
        self.send(page, kept, &[("current_password", &password)])
    }

    #[track_caller]
    fn send(&mut self, page: &str, kept: &str, more: &[(&str, &str)]) -> Answer {
        let request = request_of(page);
        let fields = [&[("request", request), ("kept", kept)], more].concat();
        self.browser.post(PAGE, &fields)
    }

    #[track_caller]
    fn refuses_and_changes_nothing(&mut self, kept: &str, why: &str) {
        let page = self.offer();
        assert!(page.contains(why), "{page}");
        let refused = self.confirm(&page, kept).expect(409).text();
        assert!(refused.contains("cannot"), "{refused}");
        assert_eq!(self.house.count("user"), 3);
        self.other.get("/account").expect(200);
        self.browser.get("/account").expect(200);
    }
}

fn request_of(page: &str) -> &str {
    let (_, rest) = page
        .split_once("name=\"request\" value=\"")
        .expect("a request");
    rest.split_once('"').expect("a quote ends").0
}

/// The address of whoever is signed in there.
#[track_caller]
fn signed_in_as(browser: &mut Browser) -> String {
    let page = browser.get("/account").expect(200).text();
    let (_, rest) = page
        .split_once("autocomplete=\"username\" value=\"")
        .expect("an address");
    rest.split_once('"').expect("a quote ends").0.to_owned()
}

#[test]
fn the_account_that_is_signed_in_stays_and_gets_the_links() {
    let mut pair = Pair::open();
    let page = pair.offer();
    for told in ["first@example.org", "second@example.org", "Is lost"] {
        assert!(page.contains(told), "{told}: {page}");
    }
    let wrong = pair
        .send(&page, "this", &[("current_password", "a wrong one")])
        .expect(422)
        .text();
    assert!(wrong.contains("not your current password"), "{wrong}");
    assert_eq!(pair.house.count("user"), 3);
    let plugin = Plugin::signed_in(&pair.house.server, &mut pair.other);

    let merged = pair.confirm(&page, "this").expect(303);
    assert_eq!(merged.header("location"), "/account/links?done=merged");
    let links = pair.browser.get("/account/links").expect(200).text();
    assert!(links.contains(&pair.person.name), "{links}");
    assert_eq!(signed_in_as(&mut pair.browser), pair.first.email);

    // The other account lets nobody in any more, and its address is free.
    pair.other.get("/account").expect(303);
    plugin.get("/api/v1/auth/session").expect(401);
    let gone = pair
        .other
        .sign_in(&pair.second.email, &pair.second.password);
    assert_eq!(gone.status, 401);
    eventually_blocking(PATIENCE, "the account is gone", || {
        pair.house.count("user") == 2
    });
    let mut visitor = pair.house.visitor();
    pair.house.sign_in(&mut visitor, &pair.person).expect(303);
    assert_eq!(signed_in_as(&mut visitor), pair.first.email);

    // Who did it to whom stands in the log of both.
    let mut owner = Browser::signed_in(&pair.house.server, &pair.house.owner);
    for (user, action) in [
        (&pair.first.user_id, "account.merged<"),
        (&pair.second.user_id, "account.merged_away<"),
    ] {
        let path = format!("/audit?subject={user}");
        let log = owner.get(&path).expect(200).text();
        assert!(log.contains(action), "{log}");
    }
    // The offer is used up.
    pair.browser.get(PAGE).expect(410);
    pair.confirm(&page, "this").expect(410);
}

#[test]
fn the_other_account_stays_and_the_browser_is_signed_in_to_it() {
    let mut pair = Pair::open();
    let page = pair.offer();
    let merged = pair.confirm(&page, "other").expect(303);
    assert_eq!(merged.header("location"), "/account/links?done=merged");
    assert_eq!(signed_in_as(&mut pair.browser), pair.second.email);
    pair.other.get("/account").expect(200);
    let first = pair.first.clone();
    let gone = pair.house.visitor().sign_in(&first.email, &first.password);
    assert_eq!(gone.status, 401);
    let mut visitor = pair.house.visitor();
    pair.house.sign_in(&mut visitor, &pair.person).expect(303);
    assert_eq!(signed_in_as(&mut visitor), pair.second.email);
}

#[test]
fn an_offer_is_for_one_browser_once_and_for_ten_minutes() {
    let mut pair = Pair::open();
    let old = pair.offer();
    let page = pair.offer();
    let over = pair.confirm(&old, "this").expect(410).text();
    assert!(over.contains("nothing to merge"), "{over}");

    // Another browser of the same user has no part in it.
    let mut second = Browser::signed_in(&pair.house.server, &pair.first);
    second.get(PAGE).expect(410);
    let password = pair.first.password.clone();
    let fields = [
        ("request", request_of(&page)),
        ("kept", "this"),
        ("current_password", password.as_str()),
    ];
    second.post(PAGE, &fields).expect(410);

    pair.browser.post("/account/merge/decline", &[]).expect(303);
    pair.confirm(&page, "this").expect(410);

    let page = pair.offer();
    assert_eq!(
        pair.house
            .change("UPDATE merge_request SET expires_at_ms = 1"),
        1
    );
    pair.confirm(&page, "this").expect(410);

    let page = pair.offer();
    assert_eq!(pair.house.count("merge_request"), 1);
    pair.browser.post("/logout", &[]).expect(303);
    assert_eq!(pair.house.count("merge_request"), 0);
    pair.browser = Browser::signed_in(&pair.house.server, &pair.first);
    pair.confirm(&page, "this").expect(410);

    // A way back that was used offers nothing.
    let confirmed = pair
        .house
        .confirmed_link(&mut pair.browser, &pair.first.user_id);
    let way_out = pair.browser.get(&confirmed).expect(303);
    let way_back = pair
        .house
        .provider
        .approve(way_out.header("location"), &pair.person);
    second.get(&way_back).expect(400);
    pair.browser.get(&way_back).expect(303);
    pair.browser.get(&way_back).expect(400);
    assert_eq!(pair.house.count("user"), 3);
}

#[test]
fn both_second_factors_are_due() {
    let mut pair = Pair::open();
    let (_, first_codes) = enrol(&mut pair.browser);
    let (_, second_codes) = enrol(&mut pair.other);
    let page = pair.offer();
    let password = pair.first.password.clone();
    let none = pair.confirm(&page, "this").expect(422).text();
    assert!(none.contains("id=\"other_code-error\""), "{none}");
    // The code of one account is not one of the other.
    let swapped = [
        ("current_password", password.as_str()),
        ("other_code", &first_codes[0]),
        ("code", &second_codes[0]),
    ];
    pair.send(&page, "this", &swapped).expect(422);
    let half = [
        ("current_password", password.as_str()),
        ("other_code", &second_codes[0]),
    ];
    let half = pair.send(&page, "this", &half).expect(422).text();
    assert!(half.contains("id=\"code-error\""), "{half}");
    assert_eq!(pair.house.count("user"), 3);
    let both = [
        ("current_password", password.as_str()),
        ("other_code", &second_codes[1]),
        ("code", &first_codes[1]),
    ];
    pair.send(&page, "this", &both).expect(303);
    eventually_blocking(PATIENCE, "the account is gone", || {
        pair.house.count("user") == 2
    });
}

#[test]
fn an_owner_and_who_has_a_subscription_are_not_merged_away() {
    let mut pair = Pair::open();
    let email = pair.second.email.clone();
    let promote = format!("UPDATE user SET role = 'owner' WHERE email = '{email}'");
    assert_eq!(pair.house.change(&promote), 1);
    pair.refuses_and_changes_nothing("this", "it owns this appliance");

    let promote = format!("UPDATE user SET role = 'streamer' WHERE email = '{email}'");
    assert_eq!(pair.house.change(&promote), 1);
    let id = pair.second.user_id.clone();
    let subscribe = format!(
        "INSERT INTO billing_subscription (provider, subscription, user_id, status, is_over, updated_at_ms)
         VALUES ('stripe', 'sub_1', '{id}', 'active', 0, 1)"
    );
    assert_eq!(pair.house.change(&subscribe), 1);
    pair.refuses_and_changes_nothing("this", "it has a subscription");
    // The other way round nothing is lost.
    let page = pair.offer();
    pair.confirm(&page, "other").expect(303);
    assert_eq!(pair.house.count("billing_subscription"), 1);
}

#[test]
fn an_account_that_is_being_deleted_is_merged_with_nothing() {
    let mut pair = Pair::open();
    let page = pair.offer();
    let id = pair.second.user_id.clone();
    let mark = format!("UPDATE user SET deletion_started_at_ms = 1 WHERE id = '{id}'");
    assert_eq!(pair.house.change(&mark), 1);
    pair.confirm(&page, "other").expect(410);
    pair.browser.get("/account").expect(200);
}

fn publish(pair: &Pair, key: &str) -> Publisher {
    let listener = pair.house.server.addresses().srt_publish;
    let publisher = Publisher::start(connect(listener, key));
    publisher.send(PAYLOADS, PAUSE);
    publisher
}

#[track_caller]
fn connect(listener: std::net::SocketAddr, key: &str) -> Connection {
    let call = Call {
        timeout: PATIENCE,
        ..Call::new(listener, key)
    };
    srt_probe::call(&call).accepted()
}

#[test]
fn what_is_on_air_stays_on_air() {
    let mut pair = Pair::open();
    let mut keys = Vec::new();
    for browser in [&mut pair.browser, &mut pair.other] {
        let plugin = Plugin::signed_in(&pair.house.server, browser);
        keys.push(plugin.session("conn_1774300000123_1").publish_key);
    }
    let page = pair.offer();
    let second = publish(&pair, &keys[1]);
    eventually_blocking(PATIENCE, "the page tells of the stream", || {
        let page = pair.browser.get(PAGE).expect(200).text();
        page.contains("it is on air")
    });
    let refused = pair.confirm(&page, "this").expect(409).text();
    assert!(refused.contains("is on air"), "{refused}");

    // With two streams neither account can go.
    let first = publish(&pair, &keys[0]);
    eventually_blocking(PATIENCE, "both are on air", || {
        let page = pair.browser.get(PAGE).expect(200).text();
        page.matches("it is on air").count() == 2
    });
    for kept in ["this", "other"] {
        pair.confirm(&page, kept).expect(409);
    }
    assert!(!first.counters().is_closed && !second.counters().is_closed);

    // The one that is on air can stay, and goes on.
    first.close();
    eventually_blocking(PATIENCE, "one is on air", || {
        let page = pair.browser.get(PAGE).expect(200).text();
        page.matches("it is on air").count() == 1
    });
    pair.confirm(&page, "other").expect(303);
    let sent = second.counters().acknowledged;
    eventually_blocking(PATIENCE, "the stream goes on", || {
        second.counters().acknowledged > sent + 500
    });
    assert!(!second.counters().is_closed);
}
