//! Bonded streams over bad links: ten runs over uneven ones, and one long run.
//!
//! Invariant: a run counts as identical only when the player saw every payload from the first to the last.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use crate::harness::eventually::{eventually_blocking, is_reached_within, rest_until};
use crate::net::lossy::{LineProfile, LossyProxy, Profile};
use crate::net::srt_player::{Player, PlayerCounters};
use crate::net::srt_publisher::Publisher;
use crate::net::srtla_sender::{SenderConfig, SrtlaSender};
use crate::relaying::{Relaying, Way};
use crate::table::Table;

/// 1,316 bytes each so often are 6 Mbit/s.
const PAUSE: Duration = Duration::from_micros(1_755);
const PATIENCE: Duration = Duration::from_secs(30);
/// Each on a slot of its own, so that nobody has to wait for the publisher before.
const RUNS: usize = 10;
/// Twenty seconds of media.
const RUN_COUNT: u64 = 11_400;
const SOAK: Duration = Duration::from_secs(25 * 60);
/// Memory is looked at when buffers are full and everything was used once, and again at the end.
const SETTLED: Duration = Duration::from_secs(60);

/// Loss, delay and jitter in ms, capacity in kbit/s.
type Line = (f64, u64, u64, u32);

const UNEVEN: [Line; 3] = [
    (1.0, 40, 15, 4_000),
    (2.0, 60, 20, 3_000),
    (3.0, 90, 30, 3_000),
];
const SOAKING: [Line; 3] = [
    (2.0, 40, 15, 8_000),
    (3.0, 60, 20, 8_000),
    (4.0, 90, 30, 8_000),
];

/// A bonded stream through lines that lose, delay and overtake.
struct Run {
    publisher: Publisher,
    player: Player,
    sender: SrtlaSender,
    proxy: LossyProxy,
}

impl Run {
    fn start(way: &Way, lines: [Line; 3], seed: u64, count: u64) -> Self {
        let named = (2..).zip(lines).map(|(last, line)| {
            let (loss_percent, delay_ms, jitter_ms, rate_kbps) = line;
            let profile = LineProfile {
                loss_percent,
                delay: Duration::from_millis(delay_ms),
                jitter: Duration::from_millis(jitter_ms),
                rate_kbps: Some(rate_kbps),
                ..LineProfile::default()
            };
            (IpAddr::from(Ipv4Addr::new(127, 0, 0, last)), profile)
        });
        let profile = Profile {
            seed,
            lines: named.collect::<HashMap<_, _>>(),
            ..Profile::default()
        };
        let srtla = way.srtla.expect("a server has the port");
        let proxy = LossyProxy::start(srtla, profile);
        let sender = SrtlaSender::start(&SenderConfig::over_links(proxy.address(), 3));
        eventually_blocking(PATIENCE, "all links have joined", || {
            sender.counters().registered_links() == 3
        });
        let player = Player::start(way.player(0));
        let publisher = Publisher::start(way.publisher_to(sender.local_address()));
        publisher.send(count, PAUSE);
        Self {
            publisher,
            player,
            sender,
            proxy,
        }
    }

    /// Waits for the last payload.
    fn end(self, count: u64) -> PlayerCounters {
        // What is missing then shows in the counters.
        let _ = is_reached_within(
            PAUSE * u32::try_from(count).expect("some") + PATIENCE,
            || {
                let counters = self.player.counters();
                counters.last_number == Some(count - 1) && counters.awaited == 0
            },
        );
        let counters = self.player.counters();
        self.publisher.close();
        self.player.close();
        drop((self.sender, self.proxy));
        counters
    }
}

fn is_identical(counters: &PlayerCounters, count: u64) -> bool {
    counters.is_whole() && counters.first_number == Some(0) && counters.received == count
}

/// Ten runs over uneven links.
pub(crate) fn uneven(table: &mut Table) {
    for relay in Relaying::servers_one_by_one(RUNS) {
        let (mut identical, mut resent) = (0, Vec::new());
        for (seed, way) in (0..).zip(&relay.ways) {
            let run = Run::start(way, UNEVEN, seed, RUN_COUNT);
            let publisher = &run.publisher;
            eventually_blocking(Duration::from_secs(60), "everything is sent", || {
                publisher.counters().sent == RUN_COUNT
            });
            resent.push(publisher.counters().resent);
            identical += usize::from(is_identical(&run.end(RUN_COUNT), RUN_COUNT));
        }
        table.row(
            &format!(
                "{}, bonded 4+3+3 Mbit/s, 1 to 3 % loss, 6 Mbit/s for 20 s",
                relay.name
            ),
            format!("{identical} of {RUNS} identical"),
            &format!("10 of 10 (resent of {RUN_COUNT}: {resent:?})"),
        );
    }
}

/// One long run.
pub(crate) fn soak(table: &mut Table) {
    let relays = Relaying::servers(1);
    let relay = &relays[0];
    let count = u64::try_from(SOAK.as_micros() / PAUSE.as_micros()).expect("some minutes");
    let begun = Instant::now();
    let run = Run::start(&relay.ways[0], SOAKING, 1, count);
    rest_until(begun + SETTLED);
    let (before, meter) = (relay.resident_mib(), relay.meter());
    let metered = Instant::now();
    rest_until(begun + SOAK);
    let (after, used) = (relay.resident_mib(), meter.used());
    let cpu_percent = used.as_secs_f64() / metered.elapsed().as_secs_f64() * 100.0;
    let resent = run.publisher.counters().resent;
    let counters = run.end(count);
    let verdict = if is_identical(&counters, count) {
        "identical".to_owned()
    } else {
        format!("{} of {count} missing", count - counters.received)
    };
    table.row(
        "25 min bonded at 2 to 4 % loss, 6 Mbit/s",
        verdict,
        &format!(
            "identical, memory flat ({before} MiB after a minute, {after} at the end, CPU \
             {cpu_percent:.2} %, resent {resent} of {count})"
        ),
    );
}
