//! How much a libsrt publisher has to send again for this server, and for libsrt, over equal lines.
//!
//! Invariant: both are asked for by the same program, Debian's srt-live-transmit, whose own figures count.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::eventually::rest_until;
use crate::net::lossy::{LineProfile, LossyProxy, Profile};
use crate::net::program::{self, Program};
use crate::net::srt_player::Player;
use crate::net::ts;
use crate::relaying::{LATENCY, Relaying};
use crate::table::Table;

/// Half a minute of media.
const DATAGRAMS: u64 = 17_000;
const RATE_KBPS: u32 = 6_000;

/// At 1, 5 and 10 % loss.
pub(crate) fn measure(table: &mut Table) {
    for loss_percent in [1, 5, 10] {
        measure_at(table, loss_percent);
    }
}

fn measure_at(table: &mut Table, loss_percent: u8) {
    let mut relays = Relaying::servers(1);
    relays.push(Relaying::libsrt(1));
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let runs: Vec<_> = relays
        .iter()
        .map(|relay| {
            let way = &relay.ways[0];
            let line = LineProfile {
                loss_percent: loss_percent.into(),
                delay: Duration::from_millis(50),
                ..LineProfile::default()
            };
            let profile = Profile::uniform(loss_percent.into(), line);
            let proxy = LossyProxy::start(way.publish_address(), profile);
            let player = Player::start(way.player(0));
            let figures = folder.path().join(relay.name);
            let publisher = publisher(proxy.address(), way.publish_key(), &figures);
            (proxy, player, publisher, figures)
        })
        .collect();
    // They connect meanwhile; what is read before is thrown away and does not matter here.
    rest_until(Instant::now() + Duration::from_secs(2));
    let feeders = runs
        .into_iter()
        .map(|(proxy, player, mut publisher, figures)| {
            std::thread::spawn(move || {
                let mut stdin = publisher.stdin();
                let fed = ts::stream(DATAGRAMS * ts::PACKETS_PER_DATAGRAM);
                ts::write_paced(&mut stdin, &fed, RATE_KBPS).expect("the program reads");
                // The last losses are repaired while it is still there.
                rest_until(Instant::now() + LATENCY * 2);
                drop((stdin, publisher, proxy));
                (player.counters(), figures)
            })
        });
    let feeders: Vec<_> = feeders.collect();
    for (relay, feeder) in relays.iter().zip(feeders) {
        let (counters, figures) = feeder.join().expect("feeding ends without a panic");
        let verdict = if counters.missing + counters.awaited == 0 {
            "nothing missing"
        } else {
            "NOT WHOLE"
        };
        table.row(
            &format!(
                "{}, resent by a libsrt publisher at {loss_percent} % loss, 50 ms each way",
                relay.name
            ),
            resent(&figures),
            &format!(
                "<= 1.1 of srt-live-transmit ({} came, {verdict})",
                counters.received
            ),
        );
    }
}

/// From its stdin, writing its figures into a file each second.
fn publisher(listener: SocketAddr, key: &str, figures: &Path) -> Program {
    let mut command = program::command("srt-live-transmit");
    let ms = LATENCY.as_millis();
    command.args(["-q", "-chunk:1316", "-s:500", "-pf:json", "-fullstats"]);
    command.arg(format!("-statsout:{}", figures.display()));
    command.arg("file://con");
    command.arg(format!(
        "srt://{listener}?mode=caller&streamid={key}&latency={ms}"
    ));
    command.stdin(Stdio::piped());
    Program::spawn(command)
}

/// What the program counted last.
fn resent(figures: &Path) -> u64 {
    let text = fs::read_to_string(figures).unwrap_or_default();
    let lines = text.lines().filter_map(|line| {
        let line = line.trim().trim_start_matches('[').trim_end_matches(',');
        serde_json::from_str::<Value>(line).ok()
    });
    let counts = lines.filter_map(|line| line["send"]["packetsRetransmitted"].as_u64());
    counts.max().expect("it wrote figures")
}
