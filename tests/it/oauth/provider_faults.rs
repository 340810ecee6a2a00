//! A provider that fails: a page with reason and remedy, and nothing else is hurt.

use super::provider::Fault;
use super::{House, Person};
use crate::harness::client::Browser;

#[test]
fn every_fault_of_a_provider_is_a_page_with_reason_and_remedy() {
    let mut house = House::with("twitch");
    house.server.expect_errors();
    let person = Person::with_id("1");
    let mut browser = Browser::signed_in(&house.server, &house.owner);
    house
        .link(&mut browser, &house.owner.user_id, &person)
        .expect(303);
    let words = [
        (Fault::Broken, "an error of its own (status 500)"),
        (Fault::Nonsense, "makes no sense"),
        (Fault::Huge, "far more than it should"),
        (Fault::Silent, "took too long"),
    ];
    for (fault, why) in words {
        for is_token in [true, false] {
            let set = |fault| {
                if is_token {
                    house.provider.set_token_fault(fault);
                } else {
                    house.provider.set_user_fault(fault);
                }
            };
            set(fault);
            let mut visitor = house.visitor();
            let page = house.sign_in(&mut visitor, &person).expect(502).text();
            assert!(page.contains(why), "{fault:?}: {page}");
            assert!(page.contains("Begin again"), "{fault:?}: {page}");
            visitor.get("/live").expect(303);
            set(Fault::None);
        }
    }
    house.sign_in(&mut house.visitor(), &person).expect(303);
    let way_out = browser.get(&house.authorize()).expect(303);
    house.provider.set_token_fault(Fault::Broken);
    let way_back = house.provider.approve(way_out.header("location"), &person);
    let answer = browser.get(&way_back).expect(502);
    assert_eq!(answer.error_code(), "upstream_failed");
}

#[test]
fn a_code_that_the_provider_does_not_know_is_told_so() {
    let mut house = House::with("google");
    house.server.expect_errors();
    let mut visitor = house.visitor();
    let way_out = visitor.get(&house.authorize()).expect(303);
    let way_back = house
        .provider
        .approve(way_out.header("location"), &Person::with_id("1"));
    let (forged, _) = way_back.split_once("code=").unwrap();
    let (_, rest) = way_back.split_once("&state=").unwrap();
    let page = visitor
        .open(&format!("{forged}code=guess&state={rest}"))
        .expect(502)
        .text();
    assert!(page.contains("used or too old"), "{page}");
}
