//! The way of a streamer: sign OBS in, start a relay, stream with ffmpeg, see it, end it.

use super::programs::{ffmpeg_decoder, ffmpeg_publisher, ffmpeg_recorder, ffmpeg_url};
use super::stage::{CONNECTION, PATIENCE, Stage};
use crate::harness::client::{Browser, Http, Plugin};
use crate::harness::eventually::eventually_blocking;
use crate::harness::server::Server;
use crate::net::ts;

#[test]
fn obs_is_signed_in_by_the_person_at_the_browser() {
    let server = Server::start();
    let owner = server.admin_create("owner@example.org", "owner");
    let mut plugin = Plugin::at(server.addresses().http);
    let attempt = plugin.begin_sign_in();
    let address = server.addresses().http;
    let page = format!("/login/plugin?attempt={}", attempt.id);
    assert_eq!(attempt.authorize_url, format!("http://{address}{page}"));
    let pending = plugin.poll(&attempt).expect(202).json();
    assert_eq!(pending["status"], "pending");

    let mut browser = Browser::at(address);
    let to_login = browser.get(&page).expect(303);
    assert!(
        to_login.header("location").starts_with("/login?"),
        "{to_login:?}"
    );
    browser.sign_in(&owner.email, &owner.password).expect(303);
    let text = browser.get(&page).expect(200).text();
    assert!(
        text.contains("OBS Desktop") && text.contains("windows"),
        "{text}"
    );
    let decision = [("attempt", attempt.id.as_str()), ("decision", "approve")];
    browser.post("/login/plugin", &decision).expect(200);

    plugin.keep(&plugin.poll(&attempt).expect(200).json());
    let snapshot = &plugin.snapshot;
    assert_eq!(snapshot["user"]["id"], owner.user_id);
    assert_eq!(snapshot["entitlement"]["relay_access_status"], "enabled");
    assert_eq!(snapshot["stream_slots"].as_array().unwrap().len(), 4);
    assert!(snapshot["linked_accounts"].is_object(), "{snapshot}");
    let again = plugin.poll(&attempt).expect(200).json();
    assert_eq!(again["user"]["id"], owner.user_id);
}

#[test]
fn a_denied_attempt_tells_obs_so() {
    let server = Server::start();
    let owner = server.admin_create("owner@example.org", "owner");
    let mut browser = Browser::signed_in(&server, &owner);
    let plugin = Plugin::at(server.addresses().http);
    let attempt = plugin.begin_sign_in();
    let decision = [("attempt", attempt.id.as_str()), ("decision", "deny")];
    browser.post("/login/plugin", &decision).expect(200);
    assert_eq!(
        plugin.poll(&attempt).expect(403).error_code(),
        "login_denied"
    );
}

#[test]
fn a_started_relay_has_all_that_the_plugin_needs_in_one_answer() {
    let stage = Stage::set();
    let addresses = stage.addresses();
    let token = stage.plugin.stream_token(2);
    let answer = stage
        .plugin
        .start("conn_1774300000124_2", &token)
        .expect(201)
        .json();
    let session = &answer["session"];
    assert_eq!(session["status"], "active");
    assert_eq!(session["provision_step"], "ready");
    assert_eq!(session["relay"]["public_ip"], "127.0.0.1");
    assert_eq!(session["relay"]["srt_port"], addresses.srtla.port());
    assert_eq!(session["credentials"]["stream_token"], token);
    let sender = format!(
        "srtla://127.0.0.1:{}?streamid=live_",
        addresses.srtla.port()
    );
    assert!(
        session["sender_url"].as_str().unwrap().starts_with(&sender),
        "{session}"
    );
    let source = format!(
        "srt://127.0.0.1:{}?streamid=play_{token}",
        addresses.srt_play.port()
    );
    assert_eq!(session["media_source_url"], source);
    let again = stage
        .plugin
        .start("conn_1774300000124_2", &token)
        .expect(200)
        .json();
    assert_eq!(again["session"]["session_id"], session["session_id"]);
}

#[test]
fn ffmpeg_streams_through_it_and_everybody_sees_the_figures() {
    let mut stage = Stage::set();
    let addresses = stage.addresses();
    let session = stage.session.clone();
    assert!(stage.links().is_empty());
    // One that waited for the publisher sees the stream from its first packet on.
    let patient = ffmpeg_decoder(&ffmpeg_url(addresses.srt_play, &session.play_key));
    let _publisher = ffmpeg_publisher(addresses.srt_publish, &session.publish_key);
    stage.await_state("LIVE");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("played.ts");
    let mut late = ffmpeg_recorder(addresses.srt_play, &session.play_key, 3, &file);
    for listener in [addresses.http, addresses.stats] {
        eventually_blocking(PATIENCE, "the figures show a bitrate", || {
            let figures = stage.legacy_figures(listener);
            figures["publishers"]["live"]["bitrate"].as_u64() > Some(100)
        });
    }
    let links = stage.links();
    assert_eq!(links.len(), 1, "{links:?}");
    assert!(links[0]["last_ms_ago"].as_u64() < Some(5_000), "{links:?}");
    assert_eq!(
        stage.plugin.health(&session.id).expect(200).json()["ok"],
        true
    );

    let status = late
        .wait(PATIENCE)
        .expect("it ends after three seconds of stream");
    assert!(status.success(), "{}", late.stderr());
    let continuity = ts::continuity(&std::fs::read(&file).unwrap());
    assert!(continuity.is_clean(), "{continuity:?}");
    let mut decoder = ffmpeg_decoder(&file.display().to_string());
    let status = decoder
        .wait(PATIENCE)
        .expect("three seconds are decoded soon");
    assert!(status.success(), "{}", decoder.stderr());
    assert_eq!(decoder.stderr(), "");
    assert_eq!(patient.stderr(), "");

    let stopped = stage.plugin.stop(&session.id).expect(200).json();
    assert_eq!(stopped["status"], "stopped");
    assert_eq!(stage.plugin.active(CONNECTION).status, 204);
    // Stopping the session cuts nobody off.
    assert_eq!(stage.state(1), "LIVE");
}

#[test]
fn the_plain_listener_serves_figures_and_nothing_else() {
    let stage = Stage::set();
    let stats = Http::to(stage.addresses().stats);
    let offline = stage.legacy_figures(stage.addresses().stats);
    assert_eq!(offline["publishers"], serde_json::json!({}));
    for path in [
        "/",
        "/live",
        "/login",
        "/api/v1/relay/active",
        "/metrics",
        "/healthz",
    ] {
        assert_eq!(stats.get(path).status, 404, "{path}");
    }
    assert_eq!(stats.get("/stats/play_unknown?legacy=1").status, 404);
}

#[test]
fn an_expired_sign_in_is_renewed_and_the_old_token_still_answers_a_lost_answer() {
    let mut stage = Stage::set();
    let old = stage.plugin.refresh_token.clone();
    stage.plugin.refresh().expect(200);
    let renewed = stage.plugin.refresh_token.clone();
    assert_ne!(old, renewed);
    stage.plugin.refresh_token = old;
    stage.plugin.refresh().expect(200);
    assert_eq!(stage.plugin.refresh_token, renewed);
    stage.plugin.active(CONNECTION).expect(200);
}
