//! Many plain streams side by side, and one with a hundred players.

use std::time::{Duration, Instant};

use crate::harness::eventually::{eventually_blocking, rest_until};
use crate::load::publisher::PAUSE;
use crate::load::{Load, Stream};
use crate::relaying::Relaying;
use crate::table::Table;

const PATIENCE: Duration = Duration::from_secs(60);
const COSTED: Duration = Duration::from_secs(20);
const STREAMS: usize = 50;

/// Fifty with a player each. One relay after the other: for all at once two cores are too few.
pub(crate) fn many(table: &mut Table) {
    let what = format!("{STREAMS} streams, a player each");
    let goal = "<= 20 % or a quarter of srt-live-transmit, <= 60 MB";
    for relay in Relaying::servers_one_by_one(STREAMS) {
        measure(table, &what, goal, &relay, 1);
    }
    // What waits in memory is the latency's media.
    for latency in [Duration::from_millis(500), Duration::from_secs(1)] {
        let what = format!("{what}, latency {} ms", latency.as_millis());
        for relay in Relaying::servers_one_by_one(STREAMS) {
            measure(table, &what, goal, &relay.with_latency(latency), 1);
        }
    }
    measure(table, &what, goal, &Relaying::libsrt(STREAMS), 1);
}

/// How much one relay thread carries. More streams would need more sign-ins than are allowed in a minute, so
/// each carries more.
pub(crate) fn limit(table: &mut Table) {
    for times in 1..=3 {
        for relay in Relaying::servers_one_by_one(STREAMS) {
            let what = format!("{STREAMS} streams of {} Mbit/s, a player each", times * 6);
            measure_at(table, &what, "to know", &relay, 1, PAUSE / times);
        }
    }
}

/// One with a hundred players.
pub(crate) fn fanout(table: &mut Table) {
    for relay in Relaying::servers_one_by_one(1) {
        measure(table, "one stream, 100 players", "<= 30 %", &relay, 100);
    }
}

fn measure(table: &mut Table, what: &str, goal: &str, relay: &Relaying, players: usize) {
    measure_at(table, what, goal, relay, players, PAUSE);
}

fn measure_at(
    table: &mut Table,
    what: &str,
    goal: &str,
    relay: &Relaying,
    players: usize,
    pause: Duration,
) {
    let (load, mib_before) = (Load::start(), relay.resident_mib());
    for (place, way) in relay.ways.iter().enumerate() {
        let numbers = place * players..(place + 1) * players;
        load.add(Stream {
            // Players first: a relay of one stream may wait for both and throw away until then.
            players: numbers.map(|number| way.player(number)).collect(),
            publisher: way.publisher(place),
            pause,
        });
    }
    let connected = load.counters().sent;
    let flowing = u64::try_from(relay.ways.len() * 2_000).expect("it is small");
    eventually_blocking(PATIENCE, "media flow", || {
        load.counters().sent > connected + flowing
    });
    let (begun, before, meter) = (Instant::now(), load.counters(), relay.meter());
    rest_until(begun + COSTED);
    let (whole, thread) = (meter.used(), meter.relay_used());
    let (after, lasted) = (load.counters(), begun.elapsed().as_secs_f64());
    let mib = relay.resident_mib();
    let received = u32::try_from(after.received - before.received).expect("20 s are small");
    let out_mbps = f64::from(received) * 1_316.0 * 8.0 / lasted / 1e6;
    let counters = load.finish();
    let percent = |time: Duration| time.as_secs_f64() / lasted * 100.0;
    let thread = thread.map_or_else(String::new, |time| {
        format!("relay thread {:.2} %, ", percent(time))
    });
    table.row(
        &format!(
            "CPU of a core, {}, {what}, {out_mbps:.0} Mbit/s out",
            relay.name
        ),
        format!("{:.2} %", percent(whole)),
        &format!(
            "{goal} ({thread}{mib} MiB, {mib_before} before, {})",
            counters.verdict()
        ),
    );
}
