//! A power cut while everything is going on, and the start after it.
//!
//! Invariant: the server gets no chance to save anything: it is killed by SIGKILL.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::programs::ffmpeg_publisher;
use super::stage::{CONNECTION, PATIENCE, Stage};
use crate::harness::client::Plugin;
use crate::harness::eventually::eventually_blocking;
use crate::net::srt_player::Player;
use crate::net::srt_publisher::Publisher;

const PAUSE: Duration = Duration::from_micros(5_264);

fn broadcasts(data_dir: &Path) -> u32 {
    let file = data_dir.join("telemetry.db");
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let count = "SELECT count(*) FROM broadcast";
    connection.query_row(count, [], |row| row.get(0)).unwrap()
}

#[test]
fn after_kill_minus_nine_keys_sign_ins_session_and_broadcast_are_there() {
    let mut stage = Stage::set();
    let before = stage.session.clone();
    let publisher = ffmpeg_publisher(stage.addresses().srt_publish, &before.publish_key);
    stage.await_state("LIVE");
    let mut stage = stage.after_a_crash();
    drop(publisher);
    // The encoder calls again, as phones do.
    let _publisher = ffmpeg_publisher(stage.addresses().srt_publish, &before.publish_key);
    stage.await_state("LIVE");
    let active = stage.active();
    assert_eq!(active["session"]["session_id"], before.id);
    assert_eq!(active["session"]["status"], "active");
    assert_eq!(active["session"]["sender_url"], before.sender_url);
    assert_eq!(
        active["session"]["media_source_url"],
        before.media_source_url
    );
    assert_eq!(stage.plugin.session(CONNECTION), before);
    stage.plugin.refresh().expect(200);
    stage.plugin.health(&before.id).expect(200);
    assert_eq!(
        broadcasts(stage.server.data_dir()),
        1,
        "it is the same broadcast"
    );
}

#[test]
fn after_kill_minus_nine_a_publisher_and_a_waiting_player_find_each_other_again() {
    let stage = Stage::set();
    let publisher = Publisher::start(stage.publisher());
    publisher.send(10_000, PAUSE);
    let player = Player::start(stage.player());
    eventually_blocking(PATIENCE, "media flow", || player.counters().received > 50);
    let stage = stage.after_a_crash();
    drop((publisher, player));
    let player = Player::start(stage.player());
    let publisher = Publisher::start(stage.publisher());
    publisher.send(10_000, PAUSE);
    eventually_blocking(PATIENCE, "media flow again", || {
        player.counters().received > 50
    });
    assert!(player.counters().is_whole(), "{:?}", player.counters());
}

/// Renames one slot again and again until the server is gone; answers the last number that
/// was acknowledged. The one after it may have been stored or not.
fn rename_until_gone(plugin: &Plugin, slot_number: u32, acknowledged: &AtomicU32) -> u32 {
    for number in 1.. {
        let Some(answer) = plugin.rename(slot_number, &number.to_string()) else {
            return number - 1;
        };
        answer.expect(204);
        acknowledged.fetch_add(1, Ordering::SeqCst);
    }
    unreachable!("the server is killed long before");
}

#[test]
fn every_acknowledged_write_survives_kill_minus_nine() {
    const ENOUGH: u32 = 300;
    let mut stage = Stage::set();
    let total = AtomicU32::new(0);
    let plugins: Vec<_> = (1..=4)
        .map(|number| (number, stage.plugin.another()))
        .collect();
    let last: Vec<u32> = std::thread::scope(|scope| {
        let writers: Vec<_> = plugins
            .iter()
            .map(|(number, plugin)| scope.spawn(|| rename_until_gone(plugin, *number, &total)))
            .collect();
        eventually_blocking(PATIENCE, "enough writes are acknowledged", || {
            total.load(Ordering::SeqCst) >= ENOUGH
        });
        stage.server.kill_hard();
        writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .collect()
    });
    let stage = Stage {
        server: stage.server.restart(),
        ..stage
    };
    let slots = stage
        .plugin
        .get("/api/v1/user/stream-slots")
        .expect(200)
        .json();
    for (slot, last) in slots["stream_slots"].as_array().unwrap().iter().zip(last) {
        let stored: u32 = slot["label"].as_str().unwrap().parse().unwrap();
        assert!(
            (last..=last + 1).contains(&stored),
            "{slot}, {last} was acknowledged"
        );
    }
}

#[test]
fn sessions_survive_an_orderly_restart_too() {
    let mut stage = Stage::set();
    stage.server.terminate();
    let stage = Stage {
        server: stage.server.restart(),
        ..stage
    };
    assert_eq!(stage.active()["session"]["session_id"], stage.session.id);
}
