//! People who join, forget their password, give keys to their programs, and leave.

use reqwest::Method;
use serde_json::{Value, json};

use super::stage::{Stage, rejection};
use crate::harness::client::{Answer, Browser, Http};
use crate::harness::eventually::eventually_blocking;
use crate::harness::glb;
use crate::harness::server::{Account, Server, ServerConfig};
use crate::net::mail_server::MailServer;
use crate::net::srt_publisher::Publisher;

const PASSWORD: &str = "a long walk in the rain";
const OTHER_PASSWORD: &str = "another walk in the sun";
/// Not authorised. Source: libsrt, `access-control.md`.
const UNAUTHORISED: u32 = 2_401;

fn with_mail(config: ServerConfig, mail: &MailServer) -> ServerConfig {
    config
        .with("GLB_MAIL_HOST", "127.0.0.1")
        .with("GLB_MAIL_PORT", mail.port())
        .with("GLB_MAIL_SECURITY", "none")
        .with("GLB_MAIL_FROM", "GoLiveBro <relay@example.org>")
}

fn browser_at(server: &Server) -> Browser {
    Browser::at(server.addresses().http)
}

/// The value of a hidden input, or the text of an element with this id.
#[track_caller]
fn after(page: &str, mark: &str, end: char) -> String {
    let (_, rest) = page
        .split_once(mark)
        .unwrap_or_else(|| panic!("no {mark} in {page}"));
    rest.chars().take_while(|c| *c != end).collect()
}

/// The secret that a page shows once, under this id.
#[track_caller]
fn shown_once(page: &str, id: &str) -> String {
    after(
        page,
        &format!("id=\"{id}\" aria-labelledby=\"{id}-label\">"),
        '<',
    )
}

/// The path and query of a link to the server.
#[track_caller]
fn local(server: &Server, link: &str) -> String {
    let base = format!("http://{}", server.addresses().http);
    let path = link.strip_prefix(&base);
    path.unwrap_or_else(|| panic!("{link} is not on {base}"))
        .to_owned()
}

/// Opens a link of ours and sends the form behind it.
#[track_caller]
fn follow(browser: &mut Browser, link: &str, fields: &[(&str, &str)]) -> Answer {
    let page = browser.get(link).expect(200).text();
    let token = after(&page, "name=\"token\" value=\"", '"');
    let (path, _) = link.split_once('?').unwrap();
    browser.post(path, &[&[("token", token.as_str())], fields].concat())
}

#[test]
fn somebody_signs_up_proves_the_address_and_later_replaces_a_forgotten_password() {
    let mail = MailServer::start();
    let server =
        Server::start_with(|config| with_mail(config, &mail).with("GLB_AUTH_SIGN_UP", "open"));
    server.admin_create("owner@example.org", "owner");
    let mut browser = browser_at(&server);
    let page = browser.get("/login").expect(200).text();
    assert!(page.contains("href=\"/sign-up\"") && page.contains("href=\"/forgot\""));
    let bad = browser.post(
        "/sign-up",
        &[("email", "no address"), ("password", "short")],
    );
    let page = bad.expect(422).text();
    assert!(
        page.contains("value=\"no address\""),
        "nothing typed is lost"
    );

    let who = "ada@example.org";
    let told = browser.post("/sign-up", &[("email", who), ("password", PASSWORD)]);
    let told = told.expect(200).text();
    let again = browser.post("/sign-up", &[("email", who), ("password", OTHER_PASSWORD)]);
    assert_eq!(again.expect(200).text(), told, "a stranger learns nothing");
    let refused = browser.sign_in(who, PASSWORD).expect(401).text();
    assert!(refused.contains("confirm your address"), "{refused}");
    let link = mail
        .await_mail(who, "Confirm your address")
        .link_to("/verify");
    follow(&mut browser, &link, &[]).expect(200);
    browser.get(&link).expect(410);
    assert_eq!(browser.sign_in(who, PASSWORD).status, 303);
    browser.get("/live").expect(200);
    mail.await_mail(who, "You have an account already");

    let mut elsewhere = browser_at(&server);
    let told = elsewhere
        .post("/forgot", &[("email", who)])
        .expect(200)
        .text();
    let nobody = elsewhere.post("/forgot", &[("email", "nobody@example.org")]);
    assert_eq!(nobody.expect(200).text(), told, "the answer is the same");
    let link = mail
        .await_mail(who, "Choose a new password")
        .link_to("/reset");
    follow(&mut elsewhere, &link, &[("new_password", "short")]).expect(422);
    follow(&mut elsewhere, &link, &[("new_password", OTHER_PASSWORD)]).expect(200);
    elsewhere.get(&link).expect(410);
    browser.get("/live").expect(303);
    assert_eq!(browser.sign_in(who, PASSWORD).status, 401);
    assert_eq!(browser.sign_in(who, OTHER_PASSWORD).status, 303);
    mail.await_mail(who, "Your password was changed");
    assert!(mail.mails_to("nobody@example.org").is_empty());
    let log = server.log();
    let token = link.split_once('=').unwrap().1;
    assert!(!log.contains(who) && !log.contains(token), "{log}");
}

#[test]
fn a_mail_that_was_promised_survives_a_power_cut() {
    let mail = MailServer::start();
    let mut server = Server::start_with(|config| with_mail(config, &mail));
    let owner = server.admin_create("owner@example.org", "owner");
    let form = [("email", owner.email.as_str())];
    browser_at(&server).post("/forgot", &form).expect(200);
    server.kill_hard();
    let server = server.restart();
    let link = mail
        .await_mail(&owner.email, "Choose a new password")
        .link_to("/reset");
    follow(
        &mut browser_at(&server),
        &link,
        &[("new_password", PASSWORD)],
    )
    .expect(200);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
fn without_mails_operators_and_the_command_line_hand_out_the_links() {
    let server = Server::start();
    let owner = server.admin_create("owner@example.org", "owner");
    let mut browser = Browser::signed_in(&server, &owner);
    let invite = ["admin", "invite", "--email", "ada@example.org"];
    let refused = glb::run(server.data_dir(), &invite);
    assert!(
        refused.complaint().contains("nobody may sign up"),
        "{refused:?}"
    );
    assert_eq!(
        browser
            .post("/invites/sign-up", &[("mode", "invite")])
            .status,
        303
    );
    let said = glb::run(server.data_dir(), &invite).json_line();
    let link = local(&server, said["link"].as_str().unwrap());
    let mut ada = browser_at(&server);
    let page = ada.get(&link).expect(200).text();
    let token = after(&page, "name=\"invite\" value=\"", '"');
    assert!(
        page.contains("value=\"ada@example.org\""),
        "it knows whom it is for"
    );
    let form = [
        ("invite", token.as_str()),
        ("email", "ada@example.org"),
        ("password", PASSWORD),
    ];
    assert_eq!(ada.post("/sign-up", &form).status, 303);
    ada.get("/live").expect(200);
    ada.get(&link).expect(410);

    let page = browser.post("/invites", &[("role", "viewer"), ("days", "1")]);
    let link = shown_once(&page.expect(200).text(), "invite-link");
    browser_at(&server).get(&local(&server, &link)).expect(200);

    let users = browser.get("/users").expect(200).text();
    let id = users
        .rsplit("href=\"/users/")
        .next()
        .and_then(|rest| rest.split('"').next())
        .unwrap()
        .to_owned();
    let page = browser
        .post(&format!("/users/{id}/reset-link"), &[])
        .expect(200);
    let link = local(&server, &shown_once(&page.text(), "reset-link"));
    follow(
        &mut browser_at(&server),
        &link,
        &[("new_password", OTHER_PASSWORD)],
    )
    .expect(200);
    ada.get("/live").expect(303);
    assert_eq!(ada.sign_in("ada@example.org", OTHER_PASSWORD).status, 303);
    let said = glb::run(
        server.data_dir(),
        &["admin", "reset-link", "--email", "ada@example.org"],
    );
    let link = local(&server, said.json_line()["link"].as_str().unwrap());
    follow(
        &mut browser_at(&server),
        &link,
        &[("new_password", PASSWORD)],
    )
    .expect(200);
}

struct Program {
    http: Http,
    key: String,
}

impl Program {
    fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let request = self.http.request(method, path).bearer_auth(&self.key);
        self.http.send(match body {
            Some(body) => request.json(body),
            None => request,
        })
    }
}

fn make_key(server: &Server, browser: &mut Browser, scopes: &[&str]) -> Program {
    let mut form = vec![("name", "Deck")];
    form.extend(scopes.iter().map(|scope| (*scope, "yes")));
    let page = browser.post("/account/keys", &form).expect(200).text();
    Program {
        http: Http::to(server.addresses().http),
        key: shown_once(&page, "api-key"),
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
fn a_program_with_a_key_does_what_the_key_says_and_no_more() {
    let server = Server::start();
    let owner = server.admin_create("owner@example.org", "owner");
    let streamer = server.admin_create("ada@example.org", "streamer");
    let mut browser = Browser::signed_in(&server, &streamer);
    browser
        .post("/account/keys", &[("name", "Deck")])
        .expect(422);
    let reader = make_key(&server, &mut browser, &["relay:read"]);
    reader
        .call(Method::GET, "/api/v1/relay/active", None)
        .expect(204);
    let start = json!({ "connection_id": "deck" });
    let refused = reader.call(Method::POST, "/api/v1/relay/start", Some(&start));
    let refused = refused.expect(403).json();
    assert_eq!(refused["error"]["reason_code"], "insufficient_scope");
    let slots = reader.call(Method::GET, "/api/v1/user/stream-slots", None);
    assert_eq!(slots.expect(403).error_code(), "forbidden");
    for (method, path) in [
        (Method::GET, "/api/v1/auth/session"),
        (Method::GET, "/api/v1/user/api-keys"),
    ] {
        let closed = reader.call(method, path, None).expect(403).json();
        assert_eq!(
            closed["error"]["reason_code"], "api_key_not_allowed",
            "{path}"
        );
    }
    // It is no sign-in of a browser.
    reader.call(Method::GET, "/account", None).expect(303);

    let writer = make_key(&server, &mut browser, &["relay:write", "operate"]);
    let request = writer.http.request(Method::POST, "/api/v1/relay/start");
    let request = request
        .bearer_auth(&writer.key)
        .header("idempotency-key", "0197f3a2-b4c8-7d10-a1b2-c3d4e5f60718");
    writer.http.send(request.json(&start)).expect(201);
    // The scope opens the door; who stands behind it is still asked.
    let audit = writer.call(Method::GET, "/api/v1/audit", None);
    assert_eq!(audit.expect(403).error_code(), "forbidden");

    let page = browser.get("/account/keys").expect(200).text();
    assert!(!page.contains(&reader.key) && page.contains(&reader.key[..10]));
    let id = after(&page, "action=\"/account/keys/", '/');
    assert_eq!(
        browser
            .post(&format!("/account/keys/{id}/revoke"), &[])
            .status,
        303
    );
    let refused = writer.call(Method::GET, "/api/v1/relay/active", None);
    assert_eq!(
        refused.expect(401).error_code(),
        "unauthorized",
        "the newest is revoked"
    );
    reader
        .call(Method::GET, "/api/v1/relay/active", None)
        .expect(200);

    let mut owners = Browser::signed_in(&server, &owner);
    let auditor = make_key(&server, &mut owners, &["operate"]);
    let path = format!("/api/v1/audit?actor={}&limit=1", streamer.user_id);
    let first = auditor.call(Method::GET, &path, None).expect(200).json();
    assert_eq!(first["events"][0]["action"], "api_key.revoked");
    let cursor = first["next_cursor"].as_str().unwrap();
    let path = format!("{path}&cursor={cursor}");
    let second = auditor.call(Method::GET, &path, None).expect(200).json();
    assert_eq!(second["events"][0]["action"], "api_key.created");
    let bad = auditor.call(Method::GET, "/api/v1/audit?from=yesterday", None);
    assert_eq!(bad.expect(400).error_code(), "invalid_request");
    let page = owners
        .get("/audit?action=api_key.created")
        .expect(200)
        .text();
    assert_eq!(page.matches("api_key.created</td>").count(), 3, "{page}");
}

fn export(browser: &mut Browser, password: &str) -> Answer {
    browser.post("/account/data/export", &[("export_password", password)])
}

/// G-59: the privacy text promises export and deletion.
#[test]
fn g_59_a_user_takes_everything_along_and_leaves_nothing_behind() {
    let mut stage = Stage::set();
    let second = stage.server.admin_create("second@example.org", "owner");
    let Account {
        password, user_id, ..
    } = stage.owner.clone();
    let publish_key = stage.session.publish_key.clone();
    export(&mut stage.browser, "a wrong password").expect(422);
    let file = export(&mut stage.browser, &password).expect(200);
    assert!(file.header("content-disposition").contains("attachment"));
    let text = file.text();
    let data: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(data["rows"]["user"][0]["id"], user_id);
    assert_eq!(data["rows"]["relay_session"][0]["id"], stage.session.id);
    assert_eq!(data["rows"]["plan"].as_array().unwrap().len(), 1);
    let keys = &data["stream_keys"][0]["keys"];
    assert!(
        publish_key.ends_with(keys["publish"].as_str().unwrap()),
        "{keys}"
    );
    for secret in [
        &stage.plugin.access_token,
        &stage.plugin.refresh_token,
        &password,
    ] {
        assert!(!text.contains(secret.as_str()));
    }
    assert!(!text.contains("$argon2") && !text.contains("password_hash"));

    let publisher = Publisher::start(stage.publisher());
    stage.await_publisher();
    let form = [("delete_password", password.as_str())];
    let left = stage.browser.post("/account/data/delete", &form);
    assert_eq!(left.status, 303, "{}", left.text());
    let listener = stage.addresses().srt_publish;
    eventually_blocking(super::stage::PATIENCE, "the key admits nobody", || {
        rejection(listener, &publish_key) == Some(UNAUTHORISED)
    });
    drop(publisher);
    stage.browser.get("/account").expect(303);
    assert_eq!(
        stage.browser.sign_in(&stage.owner.email, &password).status,
        401
    );
    stage.plugin.active(super::stage::CONNECTION).expect(401);

    let mut other = Browser::signed_in(&stage.server, &second);
    assert!(!other.get("/users").expect(200).text().contains(&user_id));
    let page = other
        .get(&format!("/audit?subject={user_id}"))
        .expect(200)
        .text();
    assert!(
        page.contains("user.deleted") && page.contains("user.deletion_begun"),
        "{page}"
    );
    // The last owner stays, whoever asks.
    let form = [("delete_password", second.password.as_str())];
    let refused = other.post("/account/data/delete", &form).expect(409).text();
    assert!(refused.contains("last owner"), "{refused}");
    let by_command = ["admin", "delete", "--email", "second@example.org"];
    let refused = glb::run(stage.server.data_dir(), &by_command);
    assert!(refused.complaint().contains("last owner"));
    // The address is free again, and so is nothing else of it.
    stage.server.admin_create(&stage.owner.email, "streamer");
}

#[test]
fn an_operator_deletes_a_streamer_and_no_owner() {
    let server = Server::start();
    let owner = server.admin_create("owner@example.org", "owner");
    let operator = server.admin_create("op@example.org", "operator");
    let streamer = server.admin_create("ada@example.org", "streamer");
    let mut browser = Browser::signed_in(&server, &operator);
    let form = [("current_password", operator.password.as_str())];
    let wrong = [("current_password", "a wrong password")];
    let path = |account: &Account| format!("/users/{}/delete", account.user_id);
    browser.post(&path(&owner), &form).expect(403);
    browser.post(&path(&streamer), &wrong).expect(422);
    assert_eq!(browser.post(&path(&streamer), &form).status, 303);
    browser
        .get(&format!("/users/{}", streamer.user_id))
        .expect(404);
    // While the server is stopped a deletion is begun, and the next start carries it through.
    let offline = server.admin_create("eve@example.org", "streamer");
    let mut server = server;
    server.terminate();
    let arguments = ["admin", "delete", "--email", "eve@example.org"];
    glb::run(server.data_dir(), &arguments).json_line();
    let server = server.restart();
    let mut browser = Browser::signed_in(&server, &owner);
    let subject = format!("/audit?subject={}", offline.user_id);
    eventually_blocking(super::stage::PATIENCE, "it is carried through", || {
        browser.get(&subject).text().contains("user.deleted")
    });
}

#[test]
fn signing_out_everywhere_and_a_new_password_end_what_they_say() {
    let mut stage = Stage::set();
    let mut elsewhere = Browser::signed_in(&stage.server, &stage.owner);
    let form = [
        ("current_password", stage.owner.password.as_str()),
        ("new_password", PASSWORD),
        ("sign_out_plugins", "yes"),
    ];
    assert_eq!(stage.browser.post("/account/password", &form).status, 303);
    elsewhere.get("/live").expect(303);
    stage.browser.get("/live").expect(200);
    stage.plugin.active(super::stage::CONNECTION).expect(401);
    assert_eq!(
        stage
            .browser
            .post("/account/sign-out-everywhere", &[])
            .status,
        303
    );
    stage.browser.get("/live").expect(303);
}
