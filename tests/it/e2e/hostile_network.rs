//! Strangers at every port while a stream runs.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use super::stage::{PATIENCE, Stage};
use crate::harness::eventually::eventually_blocking;
use crate::net::hostile::{self, Attack, Kind};
use crate::net::random::Random;
use crate::net::srt_player::Player;
use crate::net::srt_publisher::Publisher;

/// Six seconds at 2 Mbit/s.
const COUNT: u64 = 1_140;
const PAUSE: Duration = Duration::from_micros(5_264);

#[test]
fn truncated_and_random_packets_do_not_touch_a_stream() {
    let stage = Stage::set();
    let addresses = stage.addresses();
    let player = Player::start(stage.player());
    let publisher = Publisher::start(stage.publisher());
    publisher.send(COUNT, PAUSE);
    for target in [addresses.srt_publish, addresses.srt_play, addresses.srtla] {
        for kind in Kind::ALL {
            let attack = Attack {
                count: 500,
                rate: 5_000,
                ..Attack::new(kind, target)
            };
            assert_eq!(hostile::run(&attack).datagrams, 500);
        }
    }
    for listener in [addresses.http, addresses.stats] {
        let mut stranger = TcpStream::connect(listener).unwrap();
        // The server may hang up in the middle of it.
        drop(stranger.write_all(&Random::seeded(7).bytes(100_000)));
    }
    eventually_blocking(PATIENCE, "the last packet arrives", || {
        player.counters().last_number == Some(COUNT - 1) && player.counters().awaited == 0
    });
    let counters = player.counters();
    assert!(counters.is_whole(), "{counters:?}");
    assert_eq!((counters.first_number, counters.received), (Some(0), COUNT));
    assert_eq!(stage.active()["session"]["status"], "active");
}
