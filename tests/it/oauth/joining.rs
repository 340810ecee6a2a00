//! Joining through a provider, and what who has no password can do.

use super::{FakeProvider, House, Person, configured};
use crate::harness::client::Browser;
use crate::harness::glb;
use crate::harness::server::Server;

const TAKEN: &str = "owner@example.org";

fn house(mode: &str) -> House {
    let provider = FakeProvider::named("google");
    let server =
        Server::start_with(|config| configured(config, &provider).with("GLB_AUTH_SIGN_UP", mode));
    let owner = server.admin_create(TAKEN, "owner");
    House {
        provider,
        owner,
        server,
    }
}

/// The token of a new invitation.
#[track_caller]
fn invitation(house: &House, more: &[&str]) -> String {
    let command = [&["admin", "invite", "--role", "viewer"], more].concat();
    let made = glb::run(house.server.data_dir(), &command).json_line();
    let link = made["link"].as_str().expect("a link");
    link.split_once("invite=").expect("a token").1.to_owned()
}

#[track_caller]
fn join(house: &House, browser: &mut Browser, person: &Person, query: &str) -> String {
    let path = format!("{}?{query}", house.authorize());
    let way_out = browser.get(&path).expect(303);
    let way_back = house.provider.approve(way_out.header("location"), person);
    let answer = browser.open(&way_back);
    match answer.status {
        303 => answer.header("location").to_owned(),
        403 | 410 => answer.text(),
        other => panic!("{other}: {}", answer.text()),
    }
}

#[test]
fn whoever_comes_first_through_a_provider_joins_when_sign_up_is_open() {
    let house = house("open");
    let person = Person::with_id("1");
    let mut browser = house.visitor();
    let page = browser.get("/sign-up").expect(200).text();
    assert!(
        page.contains("/api/v1/auth/google/authorize?next="),
        "{page}"
    );
    let next = join(&house, &mut browser, &person, "next=%2Flive%3Fwelcome%3D1");
    assert_eq!(next, "/live?welcome=1");
    let live = browser.get("/live").expect(200).text();
    assert!(live.contains("data-slot=\""), "{live}");
    let page = browser.get("/account").expect(200).text();
    assert!(
        page.contains(&person.email) && page.contains("Set a password"),
        "{page}"
    );
    let page = browser.get("/account/address").expect(200).text();
    assert!(page.contains("You have confirmed"), "{page}");

    // The second time it is a sign-in.
    let mut again = house.visitor();
    assert_eq!(join(&house, &mut again, &person, ""), "/live");
    assert_eq!(house.count("user"), 2);
    let mut owner = Browser::signed_in(&house.server, &house.owner);
    let log = owner.get("/audit?action=user.joined").expect(200).text();
    assert_eq!(log.matches("user.joined</td>").count(), 1, "{log}");
}

#[test]
fn an_address_that_is_taken_or_not_checked_makes_no_account() {
    let house = house("open");
    let mut taken = Person::with_id("1");
    TAKEN.clone_into(&mut taken.email);
    let told = join(&house, &mut house.visitor(), &taken, "");
    assert!(told.contains("link it under Account"), "{told}");
    let mut unchecked = Person::with_id("2");
    unchecked.is_verified = false;
    let told = join(&house, &mut house.visitor(), &unchecked, "");
    assert!(told.contains("not confirmed there"), "{told}");
    assert_eq!((house.count("user"), house.count("linked_account")), (1, 0));
}

#[test]
fn while_nobody_may_sign_up_nobody_joins() {
    let house = house("off");
    let told = join(
        &house,
        &mut house.visitor(),
        &Person::with_id("1"),
        "invite=x",
    );
    assert!(told.contains("asks whoever runs this"), "{told}");
    assert_eq!(house.count("user"), 1);
}

#[test]
fn an_invitation_lets_its_bearer_join_once_through_a_provider() {
    let house = house("invite");
    let person = Person::with_id("1");
    let told = join(&house, &mut house.visitor(), &person, "");
    assert!(told.contains("invitation"), "{told}");

    let foreign = invitation(&house, &["--email", "somebody@example.org"]);
    let query = format!("invite={foreign}");
    let told = join(&house, &mut house.visitor(), &person, &query);
    assert!(told.contains("for somebody else"), "{told}");

    let token = invitation(&house, &[]);
    let mut browser = house.visitor();
    let page = browser
        .get(&format!("/sign-up?invite={token}"))
        .expect(200)
        .text();
    assert!(page.contains(&format!("invite={token}\"")), "{page}");
    let query = format!("invite={token}");
    assert_eq!(join(&house, &mut browser, &person, &query), "/live");
    let page = browser.get("/account").expect(200).text();
    assert!(page.contains("Viewer"), "{page}");
    let told = join(&house, &mut house.visitor(), &Person::with_id("2"), &query);
    assert!(told.contains("That invitation is over"), "{told}");
    assert_eq!(house.count("user"), 2);

    // The token is not kept where a reader of the file finds it.
    let mut kept = house.server.log().into_bytes();
    for file in ["glb.db", "glb.db-wal"] {
        kept.extend(std::fs::read(house.server.data_dir().join(file)).unwrap_or_default());
    }
    assert!(
        !kept
            .windows(token.len())
            .any(|window| window == token.as_bytes())
    );
}

/// Makes every sign-in look old.
#[track_caller]
fn age(house: &House) {
    assert!(house.change("UPDATE browser_session SET created_at_ms = 1") > 0);
}

#[test]
fn who_has_no_password_acts_by_a_fresh_sign_in_and_can_set_one() {
    let house = house("open");
    let person = Person::with_id("1");
    let mut browser = house.visitor();
    join(&house, &mut browser, &person, "");
    age(&house);
    for (page, form) in [
        ("/account", "/account/password"),
        ("/account/data", "/account/data/export"),
        ("/account/data", "/account/data/delete"),
    ] {
        let shown = browser.get(page).expect(200).text();
        let again = format!(
            "/api/v1/auth/google/authorize?next={}",
            page.replace('/', "%2F")
        );
        assert!(shown.contains(&again), "{shown}");
        let new = [("new_password", "a sentence to remember")];
        let told = browser.post(form, &new).expect(422).text();
        assert!(told.contains("fresh sign-in"), "{told}");
    }
    assert_eq!(
        join(&house, &mut browser, &person, "next=%2Faccount"),
        "/account"
    );
    browser.post("/account/data/export", &[]).expect(200);
    let new = [("new_password", "a sentence to remember")];
    let set = browser.post("/account/password", &new).expect(303);
    assert_eq!(set.header("location"), "/account?done=password");
    let page = browser.get("/account").expect(200).text();
    assert!(page.contains("Change the password"), "{page}");
    let signed_in = house
        .visitor()
        .sign_in(&person.email, "a sentence to remember");
    assert_eq!(signed_in.status, 303);
    // From now on the password is due, however fresh the sign-in is.
    browser.post("/account/data/export", &[]).expect(422);
}

#[test]
fn who_has_no_password_can_leave() {
    let house = house("open");
    let mut browser = house.visitor();
    join(&house, &mut browser, &Person::with_id("1"), "");
    browser.post("/account/data/delete", &[]).expect(303);
    browser.get("/account").expect(303);
    // Who comes back begins anew.
    let mut again = house.visitor();
    crate::harness::eventually::eventually_blocking(
        std::time::Duration::from_secs(20),
        "the account is gone",
        || house.count("user") == 1,
    );
    assert_eq!(join(&house, &mut again, &Person::with_id("1"), ""), "/live");
    assert_eq!(house.count("user"), 2);
}

#[test]
fn export_and_deletion_take_the_second_factor_too() {
    let house = house("off");
    let account = house.server.admin_create("one@example.org", "streamer");
    let mut browser = Browser::signed_in(&house.server, &account);
    let (_, codes) = super::second_factor::enrol(&mut browser);
    let password = account.password.as_str();
    let export = |browser: &mut Browser, code: &str| {
        let form = [("export_password", password), ("export_code", code)];
        browser.post("/account/data/export", &form)
    };
    let told = export(&mut browser, "").expect(422).text();
    assert!(told.contains("id=\"export_code-error\""), "{told}");
    export(&mut browser, &codes[0]).expect(200);
    let delete = |browser: &mut Browser, code: &str| {
        let form = [("delete_password", password), ("delete_code", code)];
        browser.post("/account/data/delete", &form)
    };
    // Each code is good once.
    delete(&mut browser, &codes[0]).expect(422);
    delete(&mut browser, &codes[1]).expect(303);
    assert_eq!(
        house.visitor().sign_in(&account.email, password).status,
        401
    );
}
