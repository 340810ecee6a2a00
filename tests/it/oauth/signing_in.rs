//! Linking, signing in and unlinking as people do it, and what is refused.

use super::{House, Person};
use crate::harness::client::{Browser, Plugin};
use crate::harness::server::Server;

#[test]
fn a_linked_account_signs_in_and_the_plugin_is_told_of_it() {
    for name in ["twitch", "google", "discord"] {
        let house = House::with(name);
        let person = Person::with_id("141981764");
        let mut browser = Browser::signed_in(&house.server, &house.owner);
        let linked = house
            .link(&mut browser, &house.owner.user_id, &person)
            .expect(303);
        assert_eq!(linked.header("location"), "/account/links?done=linked");
        let page = browser.get("/account/links?done=linked").expect(200).text();
        assert!(page.contains(&person.name), "{page}");

        let mut other = house.visitor();
        let entered = house.sign_in(&mut other, &person).expect(303);
        assert_eq!(entered.header("location"), "/live");
        other.get("/live").expect(200);
        let plugin = Plugin::signed_in(&house.server, &mut other);
        let account = plugin.get("/api/v1/auth/session").expect(200).json();
        assert_eq!(account["user"]["id"], house.owner.user_id);
        let told = &account["linked_accounts"];
        let expected = serde_json::json!({
            "linked": true, "display_name": person.name, "provider_id": person.id,
        });
        for provider in ["twitch", "google", "discord"] {
            if provider == name {
                assert_eq!(told[provider], expected);
            } else {
                assert_eq!(told[provider], serde_json::json!({"linked": false}));
            }
        }
        assert_eq!(plugin.snapshot["linked_accounts"], *told);

        let path = format!("/account/links/{name}/unlink");
        let gone = browser.post(&path, &[]).expect(303);
        assert_eq!(gone.header("location"), "/account/links?done=unlinked");
        house.sign_in(&mut house.visitor(), &person).expect(403);
        browser.post(&path, &[]).expect(404);
        let account = plugin.get("/api/v1/auth/session").expect(200).json();
        assert_eq!(account["linked_accounts"][name]["linked"], false);
    }
}

#[test]
fn the_sign_in_page_offers_what_is_configured_and_nothing_else() {
    let house = House::with("google");
    let page = house
        .visitor()
        .get("/login?next=%2Faccount")
        .expect(200)
        .text();
    assert!(
        page.contains("/api/v1/auth/google/authorize?next=%2Faccount"),
        "{page}"
    );
    assert!(
        !page.contains("twitch") && !page.contains("discord"),
        "{page}"
    );
    for name in ["twitch", "discord"] {
        for end in ["authorize", "callback?state=x&code=y"] {
            let path = format!("/api/v1/auth/{name}/{end}");
            let refused = house.visitor().get(&path).expect(404);
            assert_eq!(
                refused.json()["error"]["reason_code"],
                "provider_not_configured"
            );
        }
    }
    house
        .visitor()
        .get("/api/v1/auth/facebook/authorize")
        .expect(404);

    let plain = Server::start();
    plain.admin_create("owner@example.org", "owner");
    let page = Browser::at(plain.addresses().http)
        .get("/login")
        .expect(200)
        .text();
    assert!(!page.contains("/api/v1/auth/"), "{page}");
}

#[test]
fn a_way_back_is_good_once_in_its_own_browser_and_for_ten_minutes() {
    let house = House::with("twitch");
    let person = Person::with_id("1");
    let mut browser = Browser::signed_in(&house.server, &house.owner);
    house
        .link(&mut browser, &house.owner.user_id, &person)
        .expect(303);

    let mut visitor = house.visitor();
    let way_out = visitor.get(&house.authorize()).expect(303);
    let way_back = house.provider.approve(way_out.header("location"), &person);
    let foreign = house.visitor().get(&way_back).expect(400);
    assert_eq!(
        foreign.json()["error"]["reason_code"],
        "oauth_state_unknown"
    );
    let google = way_back.replace("/twitch/", "/google/");
    visitor.get(&google).expect(404);
    visitor.get(&way_back).expect(303);
    let page = visitor.open(&way_back).expect(400).text();
    assert!(
        page.contains("used before") && page.contains("Begin again"),
        "{page}"
    );

    let mut late = house.visitor();
    let way_out = late.get(&house.authorize()).expect(303);
    let way_back = house.provider.approve(way_out.header("location"), &person);
    assert_eq!(house.change("UPDATE oauth_state SET expires_at_ms = 1"), 1);
    late.get(&way_back).expect(400);
    for nonsense in [
        "",
        "?state=",
        "?state=x&code=y",
        "?state=%F0&error=access_denied",
    ] {
        let path = format!("/api/v1/auth/twitch/callback{nonsense}");
        assert_eq!(late.get(&path).expect(400).error_code(), "invalid_request");
    }
    assert_eq!(house.count("oauth_state"), 0);
}

#[test]
fn g_50_a_bare_link_user_links_nothing_without_that_user_and_their_word() {
    let house = House::with("twitch");
    let other = house.server.admin_create("other@example.org", "streamer");
    let path = format!("{}?link_user={}", house.authorize(), house.owner.user_id);

    let nobody = house.visitor().get(&path).expect(303);
    assert!(
        nobody
            .header("location")
            .starts_with("/login?next=%2Fapi%2Fv1%2Fauth%2Ftwitch")
    );
    let mut stranger = Browser::signed_in(&house.server, &other);
    let refused = stranger.get(&path).expect(403);
    assert_eq!(refused.json()["error"]["reason_code"], "link_user_mismatch");
    let page = stranger.open(&path).expect(403).text();
    assert!(page.contains("another account"), "{page}");

    let mut browser = Browser::signed_in(&house.server, &house.owner);
    let confirmed = house.confirmed_link(&mut browser, &house.owner.user_id);
    for forged in ["", "9999999999999.00", "x", "1.2.3"] {
        let page = browser
            .get(&format!("{path}&confirm={forged}"))
            .expect(200)
            .text();
        assert!(page.contains("Go on to Twitch"), "{page}");
    }
    // The proof of one browser is nothing in another, even of the same user.
    let mut second = Browser::signed_in(&house.server, &house.owner);
    second.get(&confirmed).expect(200);
    assert_eq!(house.count("oauth_state"), 0);
    assert_eq!(house.count("linked_account"), 0);

    // Who signs out on the way links nothing.
    let way_out = browser.get(&confirmed).expect(303);
    let way_back = house
        .provider
        .approve(way_out.header("location"), &Person::with_id("1"));
    browser.post("/logout", &[]).expect(303);
    browser.get(&way_back).expect(401);
    assert_eq!(house.count("linked_account"), 0);
}

#[test]
fn an_address_alone_opens_no_account() {
    let house = House::with("google");
    let mut person = Person::with_id("1");
    person.email = house.owner.email.clone();
    let mut visitor = house.visitor();
    let refused = house.sign_in(&mut visitor, &person).expect(403).text();
    assert!(refused.contains("link it under Account"), "{refused}");
    assert_eq!(
        visitor.get("/live").expect(303).header("location"),
        "/login?next=%2Flive"
    );
}

#[test]
fn a_person_who_says_no_is_told_so() {
    let house = House::with("discord");
    let mut visitor = house.visitor();
    let way_out = visitor.get(&house.authorize()).expect(303);
    let way_back = house.provider.refuse(way_out.header("location"));
    let page = visitor.open(&way_back).expect(403).text();
    assert!(page.contains("You said no"), "{page}");
}

#[test]
fn the_way_on_is_ours_whatever_was_asked_for() {
    let house = House::with("twitch");
    let person = Person::with_id("1");
    let mut browser = Browser::signed_in(&house.server, &house.owner);
    house
        .link(&mut browser, &house.owner.user_id, &person)
        .expect(303);
    for (asked, given) in [
        ("next=%2Faccount", "/account"),
        ("next=https%3A%2F%2Fevil.example", "/live"),
        ("next=%2F%2Fevil.example", "/live"),
        ("next=%2F%5Cevil.example", "/live"),
        ("attempt=pla_1%26x", "/login/plugin?attempt=pla_1%26x"),
    ] {
        let mut visitor = house.visitor();
        let path = format!("{}?{asked}", house.authorize());
        let way_out = visitor.get(&path).expect(303);
        let way_back = house.provider.approve(way_out.header("location"), &person);
        assert_eq!(visitor.get(&way_back).expect(303).header("location"), given);
    }
}

#[test]
fn one_account_of_a_provider_and_never_the_last_way_in() {
    let house = House::with("twitch");
    let mut browser = Browser::signed_in(&house.server, &house.owner);
    let user = &house.owner.user_id;
    house
        .link(&mut browser, user, &Person::with_id("1"))
        .expect(303);
    house
        .link(&mut browser, user, &Person::with_id("1"))
        .expect(303);
    let page = house
        .link(&mut browser, user, &Person::with_id("2"))
        .expect(409)
        .text();
    assert!(page.contains("unlink that one first"), "{page}");
    assert_eq!(house.count("linked_account"), 1);

    assert_eq!(house.change("UPDATE user SET has_password = 0"), 1);
    let page = browser
        .post("/account/links/twitch/unlink", &[])
        .expect(409)
        .text();
    assert!(page.contains("only way to sign in"), "{page}");
    assert_eq!(house.count("linked_account"), 1);
}

#[test]
fn tokens_and_secrets_are_neither_stored_nor_logged_in_the_clear() {
    let house = House::with("twitch");
    let mut browser = Browser::signed_in(&house.server, &house.owner);
    house
        .link(&mut browser, &house.owner.user_id, &Person::with_id("1"))
        .expect(303);
    house
        .sign_in(&mut house.visitor(), &Person::with_id("1"))
        .expect(303);
    let mut kept = house.server.log().into_bytes();
    for file in ["glb.db", "glb.db-wal"] {
        kept.extend(std::fs::read(house.server.data_dir().join(file)).unwrap_or_default());
    }
    let holds = |text: &str| {
        kept.windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    assert!(holds("owner@example.org"), "the files were read");
    let tokens = house.provider.tokens();
    assert_eq!(tokens.len(), 2);
    for token in tokens {
        assert!(
            !holds(&token) && !holds(&token.replace("access", "refresh")),
            "{token}"
        );
    }
    assert!(!holds(super::provider::CLIENT_SECRET));
    assert!(!holds("code-1"), "not in the access log either");
}
