//! How soon the page knows: live within a second, offline when the promised time is over.
//!
//! Invariant: times are measured from what our own publisher did, so they include everything.

use std::time::{Duration, Instant};

use super::stage::{PATIENCE, Stage};
use crate::harness::eventually::eventually_blocking;
use crate::net::srt_publisher::Publisher;

/// Media for longer than any test here takes, at 2 Mbit/s.
const COUNT: u64 = 10_000;
const PAUSE: Duration = Duration::from_micros(5_264);

/// A publisher that sends, and when its first media had arrived.
fn publishing(stage: &Stage) -> (Publisher, Instant) {
    let publisher = Publisher::start(stage.publisher());
    publisher.send(COUNT, PAUSE);
    eventually_blocking(PATIENCE, "the first media are acknowledged", || {
        publisher.counters().acknowledged > 0
    });
    (publisher, Instant::now())
}

#[test]
fn a_slot_is_live_within_a_second_and_offline_ten_seconds_after_a_broken_line() {
    let mut stage = Stage::set();
    assert_eq!(stage.state(1), "WAITING");
    let (publisher, began) = publishing(&stage);
    let after = stage.await_state("LIVE") - began;
    assert!(after < Duration::from_secs(1), "live after {after:?}");
    assert_eq!(stage.state(2), "WAITING");
    drop(publisher);
    let ended = Instant::now();
    let after = stage.await_state("OFFLINE") - ended;
    let promised = Duration::from_secs(7)..Duration::from_millis(10_200);
    assert!(promised.contains(&after), "offline after {after:?}");
    assert!(stage.links().is_empty(), "{:?}", stage.links());
}

#[test]
fn a_stream_that_says_goodbye_is_offline_after_three_seconds() {
    let mut stage = Stage::set();
    let (publisher, _) = publishing(&stage);
    stage.await_state("LIVE");
    publisher.close();
    let ended = Instant::now();
    let after = stage.await_state("OFFLINE") - ended;
    let promised = Duration::from_millis(2_900)..Duration::from_millis(4_200);
    assert!(promised.contains(&after), "offline after {after:?}");
}

#[test]
fn a_publisher_that_comes_back_in_time_goes_on_live() {
    let mut stage = Stage::set();
    let (publisher, _) = publishing(&stage);
    stage.await_state("LIVE");
    publisher.close();
    stage.await_state("RECONNECTING");
    let _publisher = publishing(&stage);
    stage.await_state("LIVE");
    assert_eq!(stage.active()["session"]["status"], "active");
}
