//! The second factor through the pages, the plugin's sign-in and the command line.

use ::glb::kernel::Clock;
use totp_rs::{Builder, Secret, Totp};

use super::{House, Person};
use crate::harness::client::{Browser, Plugin};
use crate::harness::glb;
use crate::harness::server::{Account, Server};

const PAGE: &str = "/account/second-factor";

/// An authenticator app with one entry.
pub(super) struct App {
    totp: Totp,
    step: u64,
}

impl App {
    /// With the key that the page shows.
    fn scanning(page: &str) -> Self {
        let (_, rest) = page
            .split_once("aria-labelledby=\"secret-label\">")
            .expect("a key");
        let (key, _) = rest.split_once('<').expect("it ends");
        let secret = Secret::try_from_base32(key.replace(' ', "")).expect("base 32");
        let totp = Builder::new()
            .with_secret(secret)
            .build()
            .expect("a good key");
        let now = u64::try_from(Clock::system().now().seconds()).expect("it is after 1970");
        Self {
            totp,
            step: now / 30,
        }
    }

    /// The code of so many half minutes after the scan.
    fn code(&self, later: u64) -> String {
        self.totp.generate((self.step + later) * 30).to_string()
    }
}

/// Enrols with the code of the present half minute; answers the recovery codes too.
#[track_caller]
pub(super) fn enrol(browser: &mut Browser) -> (App, Vec<String>) {
    browser.post(&format!("{PAGE}/begin"), &[]).expect(303);
    let page = browser.get(PAGE).expect(200).text();
    assert!(page.contains("<svg class=\"qr\""), "{page}");
    let app = App::scanning(&page);
    let wrong = browser
        .post(&format!("{PAGE}/confirm"), &[("code", "12345")])
        .expect(422);
    assert!(
        wrong.text().contains("this code is wrong"),
        "{}",
        wrong.text()
    );
    let code = app.code(0);
    let shown = browser
        .post(&format!("{PAGE}/confirm"), &[("code", &code)])
        .expect(200)
        .text();
    let lines = shown.split("<li><code>").skip(1);
    let codes: Vec<_> = lines
        .map(|line| line.split('<').next().unwrap().to_owned())
        .collect();
    assert_eq!(codes.len(), 10, "{shown}");
    (app, codes)
}

#[track_caller]
fn first_step(server: &Server, account: &Account) -> Browser {
    let mut browser = Browser::at(server.addresses().http);
    let answer = browser.sign_in(&account.email, &account.password);
    assert!(
        answer.header("location").starts_with("/login/code?next="),
        "{}",
        answer.text()
    );
    assert_eq!(
        browser.get("/live").expect(303).header("location"),
        "/login?next=%2Flive"
    );
    browser
}

#[test]
fn a_sign_in_takes_the_code_too_and_each_code_once() {
    let server = Server::start();
    let owner = server.admin_create("owner@example.org", "owner");
    let mut browser = Browser::signed_in(&server, &owner);
    let (app, recovery) = enrol(&mut browser);

    let mut second = first_step(&server, &owner);
    second.get("/login/code?next=%2Faccount").expect(200);
    let fields = |code: &str| {
        [
            ("code".to_owned(), code.to_owned()),
            ("next".to_owned(), "/account".to_owned()),
        ]
    };
    let send = |browser: &mut Browser, code: &str| {
        let fields = fields(code);
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        browser.post("/login/code", &fields)
    };
    let replayed = send(&mut second, &app.code(0)).expect(422);
    assert!(
        replayed.text().contains("used before"),
        "{}",
        replayed.text()
    );
    let entered = send(&mut second, &app.code(1)).expect(303);
    assert_eq!(entered.header("location"), "/account");
    second.get("/account").expect(200);

    let mut third = first_step(&server, &owner);
    send(&mut third, &app.code(1)).expect(422);
    send(&mut third, &recovery[0]).expect(303);
    third.get("/live").expect(200);
    let mut fourth = first_step(&server, &owner);
    send(&mut fourth, &recovery[0]).expect(422);
    // The other browser's cookie is used up with its sign-in.
    assert_eq!(
        send(&mut third, &recovery[1])
            .expect(303)
            .header("location"),
        "/login"
    );
}

#[test]
fn a_plugin_is_let_in_only_behind_the_second_factor() {
    let server = Server::start();
    let owner = server.admin_create("owner@example.org", "owner");
    let (_, recovery) = enrol(&mut Browser::signed_in(&server, &owner));
    let plugin = Plugin::at(server.addresses().http);
    let attempt = plugin.begin_sign_in();
    let mut browser = first_step(&server, &owner);
    let approve = [("attempt", attempt.id.as_str()), ("decision", "approve")];
    browser.post("/login/plugin", &approve).expect(401);
    plugin.poll(&attempt).expect(202);
    browser
        .post("/login/code", &[("code", &recovery[0])])
        .expect(303);
    browser.post("/login/plugin", &approve).expect(200);
    plugin.poll(&attempt).expect(200);
}

#[test]
fn a_provider_is_the_first_factor_and_no_more() {
    let house = House::with("twitch");
    let person = Person::with_id("1");
    let mut browser = Browser::signed_in(&house.server, &house.owner);
    house
        .link(&mut browser, &house.owner.user_id, &person)
        .expect(303);
    let (app, _) = enrol(&mut browser);
    let mut visitor = house.visitor();
    let halfway = house.sign_in(&mut visitor, &person).expect(303);
    assert_eq!(halfway.header("location"), "/login/code?next=%2Flive");
    visitor.get("/live").expect(303);
    visitor
        .post("/login/code", &[("code", &app.code(1))])
        .expect(303);
    visitor.get("/live").expect(200);
}

#[test]
fn who_must_have_one_is_nobody_to_every_page_and_figure_until_then() {
    let server = Server::start_with(|config| config.with("GLB_AUTH_SECOND_FACTOR", "required"));
    let owner = server.admin_create("owner@example.org", "owner");
    let mut browser = Browser::signed_in(&server, &owner);
    for path in [
        "/metrics",
        "/live/events",
        "/live/card/slt_0123456789abcdef0123456789abcdef",
    ] {
        browser.get_from_afar(path).expect(401);
    }
    let ready = browser.get_from_afar("/readyz").expect(200).json();
    assert!(ready.get("notices").is_none(), "{ready}");
    // Signing in leads to no circle.
    let link = format!(
        "/login?next=/api/v1/auth/twitch/authorize?link_user={}",
        owner.user_id
    );
    assert_eq!(browser.get(&link).expect(303).header("location"), PAGE);
    let page = browser.get(PAGE).expect(200).text();
    assert!(page.contains("The configuration says so"), "{page}");
    enrol(&mut browser);
    browser.get_from_afar("/metrics").expect(200);
    browser.get("/live").expect(200);
    // What the configuration says is changed there alone.
    let policy = format!("{PAGE}/policy");
    browser.post(&policy, &[("required", "no")]).expect(409);
}

#[test]
fn who_must_have_one_is_led_to_it_and_cannot_switch_it_off() {
    let server = Server::start();
    let owner = server.admin_create("owner@example.org", "owner");
    let operator = server.admin_create("operator@example.org", "operator");
    let streamer = server.admin_create("streamer@example.org", "streamer");
    let mut browser = Browser::signed_in(&server, &owner);
    let policy = format!("{PAGE}/policy");
    let early = browser.post(&policy, &[("required", "yes")]).expect(409);
    assert!(
        early.text().contains("your own second factor on first"),
        "{}",
        early.text()
    );
    let (app, _) = enrol(&mut browser);
    browser.post(&policy, &[("required", "yes")]).expect(303);

    let mut other = Browser::signed_in(&server, &operator);
    for path in ["/live", "/account", "/relay"] {
        assert_eq!(other.get(path).expect(303).header("location"), PAGE);
    }
    let refused = other.post("/account/password", &[]).expect(403);
    assert_eq!(
        refused.json()["error"]["reason_code"],
        "second_factor_required"
    );
    other.get(PAGE).expect(200);
    let (_, recovery) = enrol(&mut other);
    other.get("/live").expect(200);
    let change = format!("{PAGE}/change");
    let off = [
        ("action", "disable"),
        ("code", recovery[0].as_str()),
        ("current_password", operator.password.as_str()),
    ];
    other.post(&change, &off).expect(409);
    Browser::signed_in(&server, &streamer)
        .get("/live")
        .expect(200);

    // It outlives a restart, and the owner can take it back.
    let server = server.restart();
    let mut other = first_step(&server, &operator);
    other
        .post("/login/code", &[("code", &recovery[0])])
        .expect(303);
    let mut browser = first_step(&server, &owner);
    browser
        .post("/login/code", &[("code", &app.code(1))])
        .expect(303);
    browser.post(&policy, &[("required", "no")]).expect(303);
    let off = [
        ("action", "disable"),
        ("code", recovery[1].as_str()),
        ("current_password", operator.password.as_str()),
    ];
    other.post(&change, &off).expect(303);
    Browser::signed_in(&server, &operator)
        .get("/live")
        .expect(200);
}

#[test]
fn switching_it_off_takes_the_password_and_a_code() {
    let server = Server::start();
    let owner = server.admin_create("owner@example.org", "owner");
    let mut browser = Browser::signed_in(&server, &owner);
    let (_, recovery) = enrol(&mut browser);
    let change = format!("{PAGE}/change");
    let send = |browser: &mut Browser, code: &str, password: &str| {
        let fields = [
            ("action", "disable"),
            ("code", code),
            ("current_password", password),
        ];
        browser.post(&change, &fields)
    };
    let wrong = send(&mut browser, &recovery[0], "a wrong password").expect(422);
    assert!(
        wrong.text().contains("not your current password"),
        "{}",
        wrong.text()
    );
    send(&mut browser, "000000", &owner.password).expect(422);
    first_step(&server, &owner);
    let renewed = browser
        .post(&change, &[("action", "renew"), ("code", &recovery[0])])
        .expect(200)
        .text();
    assert!(!renewed.contains(&recovery[1]), "new ones are shown");
    send(&mut browser, &recovery[1], &owner.password).expect(422);
    let (_, rest) = renewed.split_once("<li><code>").unwrap();
    let (fresh, _) = rest.split_once('<').unwrap();
    send(&mut browser, fresh, &owner.password).expect(303);
    Browser::signed_in(&server, &owner).get("/live").expect(200);
}

#[test]
fn the_command_line_helps_who_lost_it_with_the_server_running_or_not() {
    let mut server = Server::start();
    let owner = server.admin_create("owner@example.org", "owner");
    enrol(&mut Browser::signed_in(&server, &owner));
    let reset = [
        "admin",
        "reset-second-factor",
        "--email",
        "owner@example.org",
    ];
    let answer = glb::run(server.data_dir(), &reset).json_line();
    assert_eq!(answer["user_id"], owner.user_id);
    let mut browser = Browser::signed_in(&server, &owner);
    enrol(&mut browser);
    server.terminate();
    glb::run(server.data_dir(), &reset).json_line();
    let none = glb::run(server.data_dir(), &reset);
    assert!(
        none.complaint().contains("second factor not found"),
        "{none:?}"
    );
}
