//! Programs that stop, crash and lose their network, and everyone else who must not notice.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::programs::{ffmpeg_publisher, transmit_to_stdout};
use super::stage::{CONNECTION, PATIENCE, Stage, connect};
use crate::harness::eventually::eventually_blocking;
use crate::net::program::resident_kib;
use crate::net::srt_player::Player;
use crate::net::srt_publisher::Publisher;
use crate::net::srtla_sender::{SenderConfig, SrtlaSender};

/// 2 Mbit/s.
const PAUSE: Duration = Duration::from_micros(5_264);
/// What is promised for a disconnection.
const AT_ONCE: Duration = Duration::from_secs(2);

/// How many callers of a direction were admitted since the server's start.
fn admitted(stage: &Stage, direction: &str) -> usize {
    let log = stage.server.log();
    let admitted = log.lines().filter(|line| line.contains("admitted"));
    admitted.filter(|line| line.contains(direction)).count()
}

fn await_age(since: Instant, age: Duration) {
    eventually_blocking(age + PATIENCE, "so much time passes", || {
        since.elapsed() >= age
    });
}

#[test]
fn a_player_stopped_for_twelve_seconds_disturbs_nobody() {
    const PACKETS: u64 = 2_400;
    let stage = Stage::set();
    let latency = Duration::from_millis(500);
    let play = stage.addresses().srt_play;
    let (mut stopped, _written) = transmit_to_stdout(play, &stage.session.play_key, latency);
    stage.await_players(1);
    let player = Player::start(stage.player());
    let publisher = Publisher::start(stage.publisher());
    publisher.send(PACKETS, PAUSE);
    eventually_blocking(PATIENCE, "media flow", || player.counters().received > 100);
    let before_kib = resident_kib(stage.server.process_id());
    stopped.signal(Signal::STOP);
    let since = Instant::now();
    eventually_blocking(
        PATIENCE * 2,
        "all media have come to the other player",
        || player.counters().last_number == Some(PACKETS - 1) && player.counters().awaited == 0,
    );
    await_age(since, Duration::from_secs(12));
    let counters = player.counters();
    assert!(counters.is_whole(), "{counters:?}");
    assert_eq!(
        (counters.first_number, counters.received),
        (Some(0), PACKETS)
    );
    assert!(!publisher.counters().is_closed);
    let grown_kib = resident_kib(stage.server.process_id()).saturating_sub(before_kib);
    // A second of media is 250 kB.
    assert!(grown_kib < 6_000, "{before_kib} KiB and {grown_kib} more");
    stopped.signal(Signal::CONT);
}

#[test]
fn a_publisher_killed_and_back_after_four_seconds_takes_over_with_its_player_still_there() {
    let mut stage = Stage::set();
    let publish = stage.addresses().srt_publish;
    let player = Player::start(stage.player());
    let publisher = ffmpeg_publisher(publish, &stage.session.publish_key);
    eventually_blocking(PATIENCE, "media flow", || player.counters().received > 50);
    // Dropping a program kills it as `kill -9` does: it says goodbye to nobody.
    drop(publisher);
    let killed = Instant::now();
    await_age(killed, Duration::from_secs(4));
    let before = player.counters().received;
    let _publisher = ffmpeg_publisher(publish, &stage.session.publish_key);
    eventually_blocking(PATIENCE, "media flow again", || {
        player.counters().received > before + 50
    });
    assert!(!player.counters().is_closed);
    assert_eq!(
        admitted(&stage, "direction=Play"),
        1,
        "it is the same connection"
    );
    assert_eq!(admitted(&stage, "direction=Publish"), 2);
    stage.await_state("LIVE");
    assert_eq!(stage.active()["session"]["session_id"], stage.session.id);
}

#[test]
fn four_seconds_without_any_link_keep_the_connection_and_the_session() {
    let stage = Stage::set();
    let addresses = stage.addresses();
    let sender = SrtlaSender::start(&SenderConfig::over_links(addresses.srtla, 3));
    let await_links = || {
        eventually_blocking(PATIENCE, "all links have joined", || {
            sender.counters().registered_links() == 3
        });
    };
    await_links();
    let player = Player::start(stage.player());
    let publisher = Publisher::start(connect(sender.local_address(), &stage.session.publish_key));
    publisher.send(10_000, PAUSE);
    eventually_blocking(PATIENCE, "media flow", || player.counters().received > 100);
    (0..3).for_each(|link| sender.set_enabled(link, false));
    await_age(Instant::now(), Duration::from_secs(4));
    let before = player.counters().received;
    (0..3).for_each(|link| sender.set_enabled(link, true));
    eventually_blocking(PATIENCE, "media flow again", || {
        player.counters().received > before + 200
    });
    await_links();
    assert!(!publisher.counters().is_closed && !player.counters().is_closed);
    assert_eq!(
        admitted(&stage, "direction=Publish"),
        1,
        "it is the same connection"
    );
    assert_eq!(admitted(&stage, "direction=Play"), 1);
    let active = stage.plugin.active(CONNECTION).expect(200).json();
    assert_eq!(active["session"]["session_id"], stage.session.id);
    assert_eq!(sender.counters().refusals, 0);
}

#[test]
fn the_disconnect_button_reaches_a_bonded_publisher_at_once() {
    let mut stage = Stage::set();
    let sender = SrtlaSender::start(&SenderConfig::over_links(stage.addresses().srtla, 2));
    eventually_blocking(PATIENCE, "both links have joined", || {
        sender.counters().registered_links() == 2
    });
    let publisher = Publisher::start(connect(sender.local_address(), &stage.session.publish_key));
    publisher.send(10_000, PAUSE);
    eventually_blocking(PATIENCE, "the first media are acknowledged", || {
        publisher.counters().acknowledged > 0
    });
    let path = format!("/slots/{}/disconnect", stage.slot_id());
    stage.browser.post(&path, &[]).expect(303);
    eventually_blocking(AT_ONCE, "the publisher is out", || {
        publisher.counters().is_closed
    });
}
