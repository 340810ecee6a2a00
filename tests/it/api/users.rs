//! Finding a user among many.

use crate::harness::client::Browser;
use crate::harness::server::Server;

#[test]
fn users_are_found_by_the_beginning_of_name_address_and_id_and_the_address_keeps_the_search() {
    let server = Server::start();
    let owner = server.admin_create("owner@example.org", "owner");
    let mut browser = Browser::signed_in(&server, &owner);
    let add = |browser: &mut Browser, name: &str, email: &str| {
        let form = [
            ("email", email),
            ("display_name", name),
            ("role", "streamer"),
        ];
        browser.post("/users", &form).expect(200);
    };
    add(&mut browser, "Ada Lovelace", "first@example.org");
    add(&mut browser, "Grace Hopper", "adamant@example.org");
    add(&mut browser, "Zoë", "second@example.org");
    let find = |browser: &mut Browser, text: &str| {
        let query: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        browser.get(&format!("/users?q={query}")).expect(200).text()
    };
    for (text, found) in [
        ("ada", ["first@", "adamant@"].as_slice()),
        (" ADA ", &["first@", "adamant@"]),
        ("Grace h", &["adamant@"]),
        ("second@", &["second@"]),
        ("zoë", &["second@"]),
        ("usr_", &["first@", "adamant@", "second@", "owner@"]),
        ("Lovelace", &[]),
        ("%", &[]),
        ("<b>", &[]),
    ] {
        let page = find(&mut browser, text);
        for person in ["first@", "adamant@", "second@", "owner@"] {
            let is_found = page.contains(&format!("data-label=\"E-mail\">{person}"));
            assert_eq!(
                is_found,
                found.contains(&person),
                "{text}: {person} in {page}"
            );
        }
        assert_eq!(
            page.contains("begins with that"),
            found.is_empty(),
            "{page}"
        );
        assert!(!page.contains("<b>"), "{page}");
    }
    let id = find(&mut browser, "first@");
    let id = &id[id.find("/users/usr_").unwrap() + 7..][..36];
    assert!(find(&mut browser, id).contains("first@example.org"));
}

#[test]
fn a_long_list_goes_on_with_the_same_search() {
    let server = Server::start();
    let owner = server.admin_create("owner@example.org", "owner");
    for number in 0..55 {
        server.admin_create(&format!("crowd{number}@example.org"), "streamer");
    }
    let mut browser = Browser::signed_in(&server, &owner);
    let page = browser.get("/users?q=crowd").expect(200).text();
    let begin = page
        .find("/users?q=crowd&#38;after=")
        .expect("there are more");
    let next = page[begin..]
        .split('"')
        .next()
        .unwrap()
        .replace("&#38;", "&");
    let rest = browser.get(&next).expect(200).text();
    let count = |page: &str| page.matches("data-label=\"E-mail\">crowd").count();
    assert_eq!(count(&page) + count(&rest), 55);
    assert!(count(&rest) > 0 && !rest.contains("owner@example.org</td>"));
}
