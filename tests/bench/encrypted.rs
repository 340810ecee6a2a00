//! What encryption costs, and whether bytes stay the same over lossy lines under it.
//!
//! Invariant: both ends are Debian's srt-live-transmit, so that libsrt does the encryption of the other side.

use std::io::Read;
use std::net::SocketAddr;
use std::process::{ChildStdout, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::harness::eventually::{eventually_blocking, is_reached_within, rest_until};
use crate::net::lossy::{LineProfile, LossyProxy, Profile};
use crate::net::program::{self, Program};
use crate::net::ts::{self, Comparison};
use crate::relaying::{LATENCY, RelayMeter, Relaying, Way};
use crate::table::Table;

const PASSPHRASE: &str = "a-passphrase-of-the-bench";
const RATE_KBPS: u32 = 6_000;
const PATIENCE: Duration = Duration::from_secs(30);
const COSTED: Duration = Duration::from_secs(20);
/// More than the programs keep back at the end: they read and write by blocks of 4,096 bytes.
const MORE_DATAGRAMS: u64 = 64;

/// A stream between two programs.
struct Carried {
    fed: Arc<Vec<u8>>,
    written: Arc<Mutex<Vec<u8>>>,
    feeder: JoinHandle<Program>,
    player: Program,
    proxies: Vec<LossyProxy>,
}

impl Carried {
    fn start(way: &Way, passphrase: Option<&str>, loss_percent: u8, datagrams: u64) -> Self {
        let mut proxies = Vec::new();
        let mut through = |target: SocketAddr, seed: u64| {
            if loss_percent == 0 {
                return target;
            }
            let line = LineProfile {
                loss_percent: loss_percent.into(),
                delay: Duration::from_millis(50),
                ..LineProfile::default()
            };
            proxies.push(LossyProxy::start(target, Profile::uniform(seed, line)));
            proxies.last().map_or(target, LossyProxy::address)
        };
        let publish = url(
            through(way.publish_address(), 1),
            way.publish_key(),
            passphrase,
        );
        let play = url(through(way.play_address(), 2), way.play_key(), passphrase);
        let mut player = transmit(&play, "file://con", |command| {
            command.stdout(Stdio::piped())
        });
        let written = collect(player.stdout());
        let mut publisher = transmit("file://con", &publish, |command| {
            command.stdin(Stdio::piped())
        });
        let fed = Arc::new(ts::stream(
            (datagrams + MORE_DATAGRAMS) * ts::PACKETS_PER_DATAGRAM,
        ));
        let bytes = Arc::clone(&fed);
        let feeder = std::thread::spawn(move || {
            ts::write_paced(&mut publisher.stdin(), &bytes, RATE_KBPS).expect("it reads");
            publisher
        });
        Self {
            fed,
            written,
            feeder,
            player,
            proxies,
        }
    }

    fn received_bytes(&self) -> usize {
        self.written.lock().expect("nobody panics with it").len()
    }

    /// What the player got, in words.
    fn verdict(self, datagrams: u64) -> String {
        let last = datagrams * ts::PACKETS_PER_DATAGRAM - 1;
        // What did not come by then is missed below.
        let _ = is_reached_within(PATIENCE * 2, || self.feeder.is_finished());
        let _ = is_reached_within(LATENCY * 3, || {
            let written = self.written.lock().expect("nobody panics with it");
            let tail = written.len() - written.len() % ts::PACKET_BYTES;
            let packets = written[..tail].rchunks(ts::PACKET_BYTES).take(400);
            packets.filter_map(ts::index_of).any(|index| index >= last)
        });
        let written = self.written.lock().expect("nobody panics with it");
        let whole = written.len() - written.len() % ts::PACKET_BYTES;
        let verdict = match ts::compare(&self.fed, &written[..whole]) {
            Comparison::Identical => "identical".to_owned(),
            Comparison::SubrangeIdentical { first, last: end } if end as u64 >= last => {
                format!("identical from packet {first} on")
            }
            differs => format!("{differs:?}"),
        };
        drop((self.player, self.proxies));
        drop(self.feeder.join());
        verdict
    }
}

fn url(address: SocketAddr, key: &str, passphrase: Option<&str>) -> String {
    let ms = LATENCY.as_millis();
    let secret = passphrase.map_or_else(String::new, |text| format!("&passphrase={text}"));
    format!("srt://{address}?mode=caller&streamid={key}&latency={ms}{secret}")
}

fn transmit(
    source: &str,
    target: &str,
    change: impl FnOnce(&mut std::process::Command) -> &mut std::process::Command,
) -> Program {
    let mut command = program::command("srt-live-transmit");
    command.args(["-q", "-chunk:1316", source, target]);
    change(&mut command);
    Program::spawn(command)
}

fn collect(mut stdout: ChildStdout) -> Arc<Mutex<Vec<u8>>> {
    let written = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&written);
    std::thread::spawn(move || {
        let mut buffer = [0; 16_384];
        while let Ok(length @ 1..) = stdout.read(&mut buffer) {
            let mut written = shared.lock().expect("nobody panics with it");
            written.extend_from_slice(&buffer[..length]);
        }
    });
    written
}

/// One stream plain and one encrypted, side by side.
pub(crate) fn cost(table: &mut Table) {
    let relays = Relaying::plain_and_encrypted(PASSPHRASE);
    let datagrams = 6_840 + 11_400;
    let streams: Vec<_> = relays
        .iter()
        .zip([None, Some(PASSPHRASE)])
        .map(|(relay, passphrase)| Carried::start(&relay.ways[0], passphrase, 0, datagrams))
        .collect();
    for stream in &streams {
        eventually_blocking(PATIENCE, "media flow", || {
            stream.received_bytes() > 2_000_000
        });
    }
    let (begun, meters) = (Instant::now(), relays.each_ref().map(Relaying::meter));
    rest_until(begun + COSTED);
    let used = meters.each_ref().map(RelayMeter::relay_used);
    let lasted = begun.elapsed().as_secs_f64();
    for ((relay, stream), used) in relays.iter().zip(streams).zip(used) {
        let used = used.expect("a server has the thread").as_secs_f64();
        table.row(
            &format!("CPU of a core, {}, relay thread, one player", relay.name),
            format!("{:.2} %", used / lasted * 100.0),
            &format!("<= 1.3 of plain ({})", stream.verdict(datagrams)),
        );
    }
}

/// Encrypted bytes over lines that lose on both sides.
pub(crate) fn loss(table: &mut Table) {
    let datagrams = 6_840;
    for loss_percent in [1, 5, 10] {
        let [_, relay] = Relaying::plain_and_encrypted(PASSPHRASE);
        let stream = Carried::start(&relay.ways[0], Some(PASSPHRASE), loss_percent, datagrams);
        table.row(
            &format!("encrypted bytes at {loss_percent} % loss, 50 ms each way, both sides"),
            stream.verdict(datagrams),
            "identical (but for what the program reads before it is connected)",
        );
    }
}
