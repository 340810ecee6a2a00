//! Who is let in at the media ports, who is not, and who is thrown out.

use std::time::{Duration, Instant};

use super::stage::{PATIENCE, Stage, connect, rejection};
use crate::harness::eventually::eventually_blocking;
use crate::net::srt_player::Player;
use crate::net::srt_probe::{self, Call, Outcome};
use crate::net::srt_publisher::Publisher;

/// Not authorised. Source: libsrt, `access-control.md`.
const UNAUTHORISED: u32 = 2_401;
/// The other direction than the port has.
const BAD_MODE: u32 = 2_405;
/// Somebody publishes already.
const CONFLICT: u32 = 2_409;
/// What is promised for a disconnection.
const AT_ONCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_micros(5_264);

fn publishing(stage: &Stage) -> Publisher {
    let publisher = Publisher::start(stage.publisher());
    publisher.send(10_000, PAUSE);
    eventually_blocking(PATIENCE, "the first media are acknowledged", || {
        publisher.counters().acknowledged > 0
    });
    publisher
}

fn playing(stage: &Stage) -> Player {
    let player = Player::start(stage.player());
    eventually_blocking(PATIENCE, "the first media are played", || {
        player.counters().received > 0
    });
    player
}

fn goes_on(player: &Player) {
    let before = player.counters().received;
    eventually_blocking(PATIENCE, "the player plays on", || {
        player.counters().received > before + 50
    });
    assert!(!player.counters().is_closed);
}

#[test]
fn a_wrong_key_is_refused_by_code_at_every_port() {
    let stage = Stage::set();
    let addresses = stage.addresses();
    let session = &stage.session;
    let publish = addresses.srt_publish;
    assert_eq!(rejection(publish, "live_nobody"), Some(UNAUTHORISED));
    assert_eq!(
        rejection(addresses.srt_play, "play_nobody"),
        Some(UNAUTHORISED)
    );
    // The key of the other direction opens nothing.
    assert_eq!(rejection(publish, &session.play_key), Some(BAD_MODE));
    assert_eq!(
        rejection(addresses.srt_play, &session.publish_key),
        Some(BAD_MODE)
    );
}

#[test]
fn a_second_publisher_is_refused_while_media_flow_and_takes_over_after_three_seconds() {
    let stage = Stage::set();
    let publish = stage.addresses().srt_publish;
    let player = Player::start(stage.player());
    let first = Publisher::start(stage.publisher());
    first.send(200, PAUSE);
    eventually_blocking(PATIENCE, "all media are acknowledged", || {
        first.counters().acknowledged == 200
    });
    let silent_since = Instant::now();
    assert_eq!(
        rejection(publish, &stage.session.publish_key),
        Some(CONFLICT)
    );
    // The wrong key learns nothing of the publisher.
    assert_eq!(rejection(publish, "live_nobody"), Some(UNAUTHORISED));
    let mut second = None;
    eventually_blocking(PATIENCE, "the second publisher takes over", || {
        let call = Call::new(publish, &stage.session.publish_key);
        match srt_probe::call(&call) {
            Outcome::Accepted(connection) => second = Some(connection),
            Outcome::Rejected(code) => assert_eq!(code, CONFLICT),
            Outcome::Unanswered => {}
        }
        second.is_some()
    });
    let after = silent_since.elapsed();
    let promised = Duration::from_millis(2_500)..Duration::from_millis(4_500);
    assert!(promised.contains(&after), "taken over after {after:?}");
    eventually_blocking(AT_ONCE, "the first one is told", || {
        first.counters().is_closed
    });
    let second = Publisher::start(second.expect("it was accepted"));
    second.send(10_000, PAUSE);
    goes_on(&player);
}

#[test]
fn a_player_may_wait_for_its_publisher() {
    let stage = Stage::set();
    let player = Player::start(stage.player());
    stage.await_players(1);
    let _publisher = publishing(&stage);
    eventually_blocking(PATIENCE, "the stream arrives", || {
        player.counters().received > 100
    });
    let counters = player.counters();
    assert_eq!(counters.first_number, Some(0), "{counters:?}");
    assert!(counters.is_whole(), "{counters:?}");
}

#[test]
fn a_new_publish_key_throws_the_publisher_out_and_nobody_else() {
    let stage = Stage::set();
    let publisher = publishing(&stage);
    let player = playing(&stage);
    let new_key = stage.rotate("publish");
    eventually_blocking(AT_ONCE, "the publisher is out", || {
        publisher.counters().is_closed
    });
    assert!(!player.counters().is_closed);
    let publish = stage.addresses().srt_publish;
    assert_eq!(
        rejection(publish, &stage.session.publish_key),
        Some(UNAUTHORISED)
    );
    let publisher = Publisher::start(connect(publish, &new_key));
    publisher.send(10_000, PAUSE);
    goes_on(&player);
    let sender_url = stage.active()["session"]["sender_url"].to_string();
    assert!(
        sender_url.contains(&new_key),
        "the plugin is told of the new key"
    );
}

#[test]
fn a_new_play_key_throws_the_players_out_and_nobody_else() {
    let stage = Stage::set();
    let publisher = publishing(&stage);
    let player = playing(&stage);
    let new_key = stage.rotate("play");
    eventually_blocking(AT_ONCE, "the player is out", || player.counters().is_closed);
    assert!(!publisher.counters().is_closed);
    let play = stage.addresses().srt_play;
    assert_eq!(rejection(play, &stage.session.play_key), Some(UNAUTHORISED));
    let player = Player::start(connect(play, &new_key));
    eventually_blocking(PATIENCE, "the new key plays", || {
        player.counters().received > 50
    });
    // The plugin learns the new key only at its next refresh: the old one selects the slot.
    let old_token = stage.plugin.stream_token(1);
    let answer = stage
        .plugin
        .start("conn_1774300000123_1", &old_token)
        .expect(200);
    assert_eq!(answer.json()["session"]["session_id"], stage.session.id);
}

#[test]
fn a_new_stats_token_throws_nobody_out() {
    let stage = Stage::set();
    let publisher = publishing(&stage);
    let player = playing(&stage);
    let token = stage.rotate("stats");
    goes_on(&player);
    assert!(!publisher.counters().is_closed);
    // Figures are read once a second.
    eventually_blocking(PATIENCE, "the new token shows the figures", || {
        let path = format!("/stats/{token}?legacy=1");
        let figures = stage.plugin.get(&path).expect(200).json();
        figures["publishers"]["live"].is_object()
    });
}

#[test]
fn the_disconnect_button_acts_at_once_and_the_encoder_may_come_back() {
    let mut stage = Stage::set();
    let publisher = publishing(&stage);
    let player = playing(&stage);
    let path = format!("/slots/{}/disconnect", stage.slot_id());
    stage.browser.post(&path, &[]).expect(303);
    eventually_blocking(AT_ONCE, "the publisher is out", || {
        publisher.counters().is_closed
    });
    assert!(!player.counters().is_closed);
    let _publisher = publishing(&stage);
    goes_on(&player);
}

#[test]
fn stopping_the_session_cuts_nobody_off_and_keeps_the_keys_good() {
    let stage = Stage::set();
    let publisher = publishing(&stage);
    let player = playing(&stage);
    stage.plugin.stop(&stage.session.id).expect(200);
    goes_on(&player);
    assert!(!publisher.counters().is_closed);
    drop(publisher);
    let _later = connect(stage.addresses().srt_play, &stage.session.play_key);
}
