//! No secret where it does not belong: not in the log, the pages, the databases or the arguments.
//!
//! Invariant: the secrets are the real ones of a server that did everything, at the most
//! talkative level of its log.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::stage::{CONNECTION, PATIENCE, Stage, rejection};
use crate::api::routes_source;
use crate::harness::client::{Answer, Browser, Http, Plugin};
use crate::harness::eventually::eventually_blocking;
use crate::harness::server::Server;
use crate::net::srt_player::Player;
use crate::net::srt_publisher::Publisher;

const SHARED_KEY: &str = "planted-shared-key-of-the-relay-nodes";
const COMPLETE_KEY: &str = "planted-key-that-completes-plugin-logins";
const METRICS_TOKEN: &str = "planted-token-that-reads-the-metrics-page";
/// Typed on the page, and refused there: it has a space.
const BAD_PASSPHRASE: &str = "planted passphrase with spaces";
const OWN_PASSPHRASE: &str = "planted-passphrase-of-the-first-slot";
const WRONG_PASSWORD: &str = "planted wrong password of somebody";

/// A secret and what to call it when it is found.
type Secret = (&'static str, String);

/// Uses the server until every secret has passed through it, and collects them.
fn use_everything(stage: &mut Stage) -> Vec<Secret> {
    let mut secrets: Vec<Secret> = vec![
        ("shared key", SHARED_KEY.to_owned()),
        ("login completion key", COMPLETE_KEY.to_owned()),
        ("metrics token", METRICS_TOKEN.to_owned()),
        ("wrong password", WRONG_PASSWORD.to_owned()),
        ("refused passphrase", BAD_PASSPHRASE.to_owned()),
        ("typed passphrase", OWN_PASSPHRASE.to_owned()),
        ("owner's password", stage.owner.password.clone()),
        ("first access token", stage.plugin.access_token.clone()),
        ("first refresh token", stage.plugin.refresh_token.clone()),
    ];
    let keep = |name, value: &str| (name, value.to_owned());
    let session = stage.session.clone();
    secrets.push(keep("publish key", &session.publish_key));
    secrets.push(keep("play key", &session.play_key));
    secrets.push(keep("bare play token", &session.play_key["play_".len()..]));

    stream(stage);
    stage.plugin.refresh().expect(200);
    secrets.push(keep("access token", &stage.plugin.access_token));
    secrets.push(keep("refresh token", &stage.plugin.refresh_token));
    stage.plugin.health(&session.id).expect(200);
    let beat = json!({"session_id": session.id, "instance_id": ""});
    let by_key = stage
        .plugin
        .http_without_token()
        .request(reqwest::Method::POST, "/api/v1/relay/health");
    let by_key = by_key.header("x-relay-auth", SHARED_KEY).json(&beat);
    stage.plugin.send(by_key).expect(200);
    for key in ["publish", "play", "stats"] {
        secrets.push(("rotated key", stage.rotate(key)));
    }
    secrets.push(("drawn passphrase", use_passphrases(stage)));
    let attempt = Plugin::at(stage.addresses().http).begin_sign_in();
    secrets.push(("poll token", attempt.poll_token));
    let mut stranger = Browser::at(stage.addresses().http);
    assert_eq!(
        stranger.sign_in(&stage.owner.email, WRONG_PASSWORD).status,
        401
    );
    stranger.get(&format!("/setup?token={WRONG_PASSWORD}"));
    stage
        .plugin
        .get(&format!("/stats/{}?legacy=1", session.play_key));
    secrets.extend(
        stage
            .browser
            .cookie_values()
            .map(|value| keep("session cookie", value)),
    );
    for file in ["jwt.key", "sealing.key"] {
        let text = fs::read_to_string(stage.server.data_dir().join(file)).unwrap();
        secrets.push(("key file", text.trim().to_owned()));
    }
    secrets
}

/// Types two passphrases on the page, one of them bad, and answers one that the server drew.
fn use_passphrases(stage: &mut Stage) -> String {
    let path = format!("/slots/{}/passphrase", stage.slot_id());
    for (passphrase, status) in [(BAD_PASSPHRASE, 422), (OWN_PASSPHRASE, 303)] {
        let form = [("action", "set"), ("passphrase", passphrase)];
        let answer = stage.browser.post(&path, &form).expect(status);
        if status == 422 {
            assert!(answer.text().contains(passphrase), "what was typed is kept");
            assert!(answer.header("cache-control").contains("no-store"));
        }
    }
    let bad = json!({"passphrase": BAD_PASSPHRASE});
    put_passphrase(stage, &bad).expect(400);
    let drawn = put_passphrase(stage, &json!({"generate": true})).expect(200);
    // A caller without it, whose refusal is logged.
    let addresses = stage.addresses();
    rejection(addresses.srt_publish, &stage.session.publish_key);
    let text = drawn.json()["passphrase"].as_str().map(str::to_owned);
    text.expect("it is text")
}

fn put_passphrase(stage: &Stage, body: &serde_json::Value) -> Answer {
    let path = "/api/v1/user/stream-slots/1/passphrase";
    let request = stage.plugin.authorised(reqwest::Method::PUT, path);
    stage.plugin.send(request.json(body))
}

fn stream(stage: &Stage) {
    let player = Player::start(stage.player());
    let publisher = Publisher::start(stage.publisher());
    publisher.send(200, Duration::from_millis(2));
    eventually_blocking(PATIENCE, "media flow", || player.counters().received > 100);
    // A publisher that shows the key of the other direction, and a mistyped one.
    let addresses = stage.addresses();
    rejection(addresses.srt_publish, &stage.session.play_key);
    rejection(addresses.srt_play, &stage.session.publish_key);
}

#[track_caller]
fn assert_absent(secrets: &[Secret], place: &str, bytes: &[u8]) {
    for (name, secret) in secrets {
        assert!(
            secret.len() >= 8,
            "{name} is too short to be looked for: {secret}"
        );
        let is_there = bytes
            .windows(secret.len())
            .any(|part| part == secret.as_bytes());
        assert!(!is_there, "the {name} stands in {place}");
    }
}

fn files_of(data_dir: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = fs::read_dir(data_dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    files.retain(|path| path.extension().is_none_or(|extension| extension != "key"));
    files
}

/// G-57: no token, nor the begin of one, at the most talkative level.
#[test]
fn g_57_no_secret_is_in_the_log_the_pages_the_databases_or_the_arguments() {
    let mut stage = Stage::set_with(|config| {
        config
            .with("GLB_LOG_LEVEL", "trace")
            .with("GLB_RELAY_SHARED_KEY", SHARED_KEY)
            .with("GLB_PLUGIN_LOGIN_COMPLETE_KEY", COMPLETE_KEY)
            .with("GLB_METRICS_TOKEN", METRICS_TOKEN)
    });
    let secrets = use_everything(&mut stage);
    stage.plugin.active(CONNECTION).expect(200);

    for path in [
        "/live", "/account", "/users", "/login", "/metrics", "/healthz", "/readyz",
    ] {
        let page = stage.browser.get(path);
        assert_absent(&secrets, path, &page.body);
    }
    let process = format!("/proc/{}/cmdline", stage.server.process_id());
    assert_absent(&secrets, &process, &fs::read(&process).unwrap());
    let files = files_of(stage.server.data_dir());
    for name in ["glb.db", "glb.db-wal", "telemetry.db"] {
        let is_seen = files.iter().any(|path| path.ends_with(name));
        assert!(is_seen, "{name} is looked into: {files:?}");
    }
    for file in files {
        assert_absent(
            &secrets,
            &file.display().to_string(),
            &fs::read(&file).unwrap(),
        );
    }
    // Libraries that write whole paths are kept quiet at any level.
    let log = stage.server.log();
    assert!(log.contains("DEBUG"), "the log is talkative");
    assert_absent(&secrets, "the log", log.as_bytes());
}

/// Whatever stands in a request that may be a secret, each in a place of its own.
const PLANTED: [(&str, &str); 9] = [
    ("path", "planted-part-of-a-path"),
    ("query", "planted-value-of-a-query"),
    ("bearer", "planted.bearer.token"),
    ("cookie", "planted-value-of-a-cookie"),
    ("relay key", "planted-key-of-a-relay-node"),
    ("completion key", "planted-key-that-completes"),
    ("signature", "planted-signature-of-a-webhook"),
    ("body", "planted-value-in-a-body"),
    ("referrer", "planted-part-of-a-referrer"),
];

/// Fields of forms and bodies that hold something secret, or might.
const FIELDS: [&str; 17] = [
    "password",
    "new_password",
    "current_password",
    "email",
    "token",
    "code",
    "passphrase",
    "key",
    "refresh_token",
    "poll_token",
    "login_attempt_id",
    "stream_token",
    "label",
    "secret",
    "name",
    "display_name",
    "url",
];

fn planted(name: &str) -> &'static str {
    let found = PLANTED.iter().find(|(place, _)| *place == name);
    found.expect("it is one of them").1
}

/// A request for a route with something secret in every place; `credentials` is a header that proves somebody.
fn laden_request(
    http: &Http,
    method: &str,
    route: &str,
    credentials: Option<(&str, &str)>,
) -> reqwest::RequestBuilder {
    let path = route.split('/').map(|part| {
        if part.starts_with('{') {
            planted("path")
        } else {
            part
        }
    });
    let path = path.collect::<Vec<_>>().join("/");
    let names = [
        "token", "code", "state", "attempt", "reveal", "next", "key", "q",
    ];
    let query: Vec<_> = names.map(|it| format!("{it}={}", planted("query"))).into();
    let method = method.parse().expect("the table names methods");
    let request = http
        .request(method, &format!("{path}?{}", query.join("&")))
        .header("origin", http.origin())
        .header(
            "referer",
            format!("{}/{}", http.origin(), planted("referrer")),
        )
        .header("x-relay-auth", planted("relay key"))
        .header("x-plugin-login-auth", planted("completion key"))
        .header("x-signature", planted("signature"))
        .header("stripe-signature", planted("signature"));
    let request = match credentials {
        Some((name, value)) => request.header(name, value),
        None => request
            .header("authorization", format!("Bearer {}", planted("bearer")))
            .header("cookie", format!("glb={}", planted("cookie"))),
    };
    if route.starts_with("/api/") {
        let body: serde_json::Map<_, _> = FIELDS
            .iter()
            .map(|name| ((*name).to_owned(), planted("body").into()))
            .collect();
        request.json(&body)
    } else {
        let fields = FIELDS.map(|name| format!("{name}={}", planted("body")));
        request
            .header("content-type", "application/x-www-form-urlencoded")
            .body(fields.join("&"))
    }
}

#[test]
fn no_route_logs_what_stands_in_a_request_and_every_line_of_one_has_its_id() {
    let mut stage = Stage::set_with(|config| {
        config
            .with("GLB_LOG_LEVEL", "trace")
            .with("GLB_LOG_FORMAT", "json")
    });
    stage.server.expect_errors();
    let http = Http::to(stage.addresses().http);
    let bearer = format!("Bearer {}", stage.plugin.access_token);
    let cookie = stage.browser.cookies().collect::<Vec<_>>().join("; ");
    let callers = [
        None,
        Some(("authorization", bearer.as_str())),
        Some(("cookie", cookie.as_str())),
    ];
    let (mut sent, mut broken) = (0, Vec::new());
    for credentials in callers {
        for (method, route) in routes_source::routes() {
            // What ends the sign-in that the others use.
            if credentials.is_some() && route.ends_with("/logout") {
                continue;
            }
            let request = laden_request(&http, &method, &route, credentials);
            // Some answers have no end.
            let answer = http.send_for_head(request);
            if answer.status >= 500 && answer.status != 503 {
                broken.push(format!("{method} {route}: {}", answer.status));
            }
            sent += 1;
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    eventually_blocking(PATIENCE, "all requests are logged", || {
        stage.server.log().matches("request answered").count() >= sent
    });
    let log = stage.server.log();
    let secrets = PLANTED.map(|(name, value)| (name, value.to_owned()));
    assert_absent(&secrets, "the log", log.as_bytes());
    let own = [("access token", stage.plugin.access_token.clone())];
    assert_absent(&own, "the log", log.as_bytes());
    let lines = log.lines().filter(|line| line.starts_with('{'));
    let lines: Vec<serde_json::Value> = lines
        .map(|line| serde_json::from_str(line).expect("a line of the log is JSON"))
        .collect();
    let answered = lines
        .iter()
        .filter(|line| line["message"] == "request answered");
    for line in answered {
        assert!(line["request_id"].is_string(), "{line}");
        assert!(
            line["route"].is_string() && line["duration_us"].is_number(),
            "{line}"
        );
    }
}

#[test]
fn one_time_addresses_are_not_in_the_log_of_requests() {
    let server = Server::start_with(|config| config.with("GLB_LOG_LEVEL", "trace"));
    let url = fs::read_to_string(server.data_dir().join("setup-token")).unwrap();
    let (_, setup_token) = url.trim().split_once("token=").unwrap();
    let mut browser = Browser::at(server.addresses().http);
    browser
        .get(&format!("/setup?token={setup_token}"))
        .expect(200);
    let mut stage = Stage::on(server);
    let attempt = stage.plugin.begin_sign_in();
    let page = format!("/login/plugin?attempt={}", attempt.id);
    stage.browser.get(&page).expect(200);
    eventually_blocking(PATIENCE, "the requests are logged", || {
        let log = stage.server.log();
        log.contains("/setup") && log.contains("/login/plugin")
    });
    let log = stage.server.log();
    assert_eq!(log.matches(&attempt.id).count(), 0);
    assert_eq!(
        log.matches(setup_token).count(),
        1,
        "it stands in the notice alone"
    );
}

#[test]
fn a_key_is_on_the_page_only_when_it_was_asked_for() {
    let mut stage = Stage::set();
    let publish_key = stage.session.publish_key.clone();
    let masked = stage.browser.get("/live").expect(200).text();
    assert!(!masked.contains(&publish_key));
    let path = format!("/live?reveal={}", stage.slot_id());
    let revealed = stage.browser.get(&path).expect(200);
    assert!(
        revealed.text().contains(&publish_key),
        "{}",
        revealed.text()
    );
    assert!(
        revealed.header("cache-control").contains("no-store"),
        "{revealed:?}"
    );
    let viewer = stage.server.admin_create("viewer@example.org", "viewer");
    let mut browser = Browser::signed_in(&stage.server, &viewer);
    assert!(
        !browser.get(&path).text().contains(&publish_key),
        "a viewer never sees a key"
    );
}
