//! Many plain streams side by side, and one with a hundred players.

use std::time::{Duration, Instant};

use crate::harness::eventually::{eventually_blocking, rest_until};
use crate::load::{Load, Stream};
use crate::relaying::Relaying;
use crate::table::Table;

const PATIENCE: Duration = Duration::from_secs(60);
const COSTED: Duration = Duration::from_secs(20);
const STREAMS: usize = 50;

/// Fifty with a player each.
pub(crate) fn many(table: &mut Table) {
    let mut relays = Relaying::servers(STREAMS);
    relays.push(Relaying::libsrt(STREAMS));
    measure(
        table,
        &format!("{STREAMS} streams, a player each"),
        "<= 20 % or a quarter of srt-live-transmit, <= 60 MB",
        &relays,
        1,
    );
}

/// How many streams one relay thread carries: more and more of them, alone.
pub(crate) fn limit(table: &mut Table) {
    for streams in [50, 100, 150, 200] {
        let relays = Relaying::servers(streams);
        let what = format!("{streams} streams, a player each");
        measure(table, &what, "to know", &relays, 1);
    }
}

/// One with a hundred players.
pub(crate) fn fanout(table: &mut Table) {
    let relays = Relaying::servers(1);
    measure(table, "one stream, 100 players", "<= 30 %", &relays, 100);
}

fn measure(table: &mut Table, what: &str, goal: &str, relays: &[Relaying], players: usize) {
    let load = |relay: &Relaying| {
        let streams = relay.ways.iter().enumerate().map(|(place, way)| {
            let players = (0..players).map(|player| way.player(place + player));
            Stream {
                // Players first: a relay of one stream may wait for both and throw away until then.
                players: players.collect(),
                publisher: way.publisher(),
            }
        });
        Load::start(streams.collect())
    };
    let loads: Vec<_> = relays.iter().map(load).collect();
    for load in &loads {
        eventually_blocking(PATIENCE, "media flow", || load.counters().received > 1_000);
    }
    let begun = Instant::now();
    let meters: Vec<_> = relays.iter().map(Relaying::meter).collect();
    rest_until(begun + COSTED);
    let lasted = begun.elapsed();
    let used = meters
        .iter()
        .map(|meter| (meter.used(), meter.relay_used()));
    let used: Vec<_> = used.collect();
    let memory: Vec<_> = relays.iter().map(Relaying::resident_mib).collect();
    let percent = |time: Duration| time.as_secs_f64() / lasted.as_secs_f64() * 100.0;
    for ((load, relay), ((whole, thread), mib)) in loads
        .into_iter()
        .zip(relays)
        .zip(used.into_iter().zip(memory))
    {
        let counters = load.finish();
        let thread = thread.map_or_else(String::new, |time| {
            format!("relay thread {:.2} %, ", percent(time))
        });
        table.row(
            &format!("CPU of a core, {}, {what}, 6 Mbit/s each", relay.name),
            format!("{:.2} %", percent(whole)),
            &format!("{goal} ({thread}{mib} MiB, {})", counters.verdict()),
        );
    }
}
