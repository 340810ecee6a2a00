//! The embedded relay between programs that everybody uses: srt-live-transmit and ffmpeg.
//!
//! Invariant: a missing program fails the test.

use std::io::Read;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::{ChildStdout, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::program::{self, Program};
use super::relay::{relay, relay_on};
use super::ts::{self, Comparison};
use crate::harness::eventually::{eventually, eventually_blocking};
use glb::relay::embedded::EmbeddedRelay;
use glb::relay::engine::Engine;

const PATIENCE: Duration = Duration::from_secs(30);

/// Reads all that a program writes, in the background.
fn collect(mut stdout: ChildStdout) -> Arc<Mutex<Vec<u8>>> {
    let written = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&written);
    std::thread::spawn(move || {
        let mut buffer = [0; 4_096];
        while let Ok(length @ 1..) = stdout.read(&mut buffer) {
            shared.lock().unwrap().extend_from_slice(&buffer[..length]);
        }
    });
    written
}

/// Waits until publisher and player are both connected.
fn await_both(relay: &EmbeddedRelay) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(eventually(
        PATIENCE,
        "publisher and player are connected",
        async || {
            let streams = relay.stats().await.unwrap();
            streams
                .iter()
                .any(|stream| stream.publisher.is_some() && stream.players.len() == 1)
        },
    ));
}

pub(super) fn transmit(source: &str, target: &str) -> std::process::Command {
    let mut command = program::command("srt-live-transmit");
    command.args(["-q", "-chunk:1316", source, target]);
    command
}

fn transmit_url(listener: SocketAddr, stream_id: &str) -> String {
    format!("srt://{listener}?mode=caller&streamid={stream_id}&latency=500")
}

#[test]
fn what_srt_live_transmit_sends_it_gets_back_byte_for_byte() {
    let relay = relay();
    let addresses = relay.addresses();
    let publish = transmit_url(addresses.publish, "live_key");
    let play = transmit_url(addresses.play, "play_key");
    comes_back(&relay, (&publish, &play), 1_000, 6_000, || {});
}

#[test]
fn srt_live_transmit_sends_over_ipv6_and_plays_over_ipv4() {
    let relay = relay_on(Ipv6Addr::UNSPECIFIED.into());
    let addresses = relay.addresses();
    let publish = (Ipv6Addr::LOCALHOST, addresses.publish.port()).into();
    let play = (Ipv4Addr::LOCALHOST, addresses.play.port()).into();
    let publish = transmit_url(publish, "live_key");
    let play = transmit_url(play, "play_key");
    comes_back(&relay, (&publish, &play), 1_000, 6_000, || {});
}

/// Sends datagrams with srt-live-transmit to one URL, plays another, and sees every byte come back.
/// Looks at the relay with `while_connected` when all has come.
pub(super) fn comes_back(
    relay: &EmbeddedRelay,
    (publish, play): (&str, &str),
    count: u64,
    rate_kbps: u32,
    while_connected: impl FnOnce(),
) {
    // It reads and writes by blocks of 4,096 bytes: so much more pushes the last out.
    const MORE: u64 = 64;
    const START_PACKETS_MAX: usize = 700;
    let mut player = transmit(play, "file://con");
    let mut player = Program::spawn({
        player.stdout(Stdio::piped());
        player
    });
    let written = collect(player.stdout());
    let mut publisher = transmit("file://con", publish);
    let mut publisher = Program::spawn({
        publisher.stdin(Stdio::piped());
        publisher
    });
    // What it reads before it knows that it is connected it throws away.
    await_both(relay);
    let mut stdin = publisher.stdin();
    let fed = ts::stream((count + MORE) * ts::PACKETS_PER_DATAGRAM);
    ts::write_paced(&mut stdin, &fed, rate_kbps).unwrap();
    let last_sent = usize::try_from(count * ts::PACKETS_PER_DATAGRAM).unwrap() - 1;
    let mut range = (usize::MAX, 0);
    eventually_blocking(
        PATIENCE,
        "all but the start came back, without a change",
        || {
            let written = written.lock().unwrap();
            let whole = written.len() - written.len() % ts::PACKET_BYTES;
            range = match ts::compare(&fed, &written[..whole]) {
                Comparison::Identical => (0, last_sent),
                Comparison::SubrangeIdentical { first, last } => (first, last),
                Comparison::Differs { .. } => return false,
            };
            range.1 >= last_sent
        },
    );
    assert!(
        range.0 <= START_PACKETS_MAX,
        "{} packets are missing at the start",
        range.0
    );
    while_connected();
}

/// ffmpeg without a terminal and a banner.
pub(super) fn ffmpeg(arguments: &str) -> std::process::Command {
    let mut command = program::command("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-loglevel", "error"]);
    command.args(arguments.split_whitespace());
    command
}

#[test]
fn what_ffmpeg_plays_has_no_gap_and_decodes_without_an_error() {
    let relay = relay();
    let addresses = relay.addresses();
    comes_back_from_ffmpeg(addresses.publish, addresses.play);
}

#[test]
fn ffmpeg_sends_over_ipv4_and_plays_over_ipv6() {
    let relay = relay_on(Ipv6Addr::UNSPECIFIED.into());
    let addresses = relay.addresses();
    let publish = (Ipv4Addr::LOCALHOST, addresses.publish.port()).into();
    let play = (Ipv6Addr::LOCALHOST, addresses.play.port()).into();
    comes_back_from_ffmpeg(publish, play);
}

fn comes_back_from_ffmpeg(publish: SocketAddr, play: SocketAddr) {
    // ffmpeg counts the latency in microseconds.
    let url = |listener, stream_id| {
        format!("srt://{listener}?mode=caller&streamid={stream_id}&latency=500000")
    };
    plays_cleanly(&url(publish, "live_key"), &url(play, "play_key"));
}

/// Publishes with ffmpeg to one URL and plays three seconds of another with it.
pub(super) fn plays_cleanly(publish: &str, play: &str) {
    let _publisher = Program::spawn(ffmpeg(&format!(
        "-re -f lavfi -i testsrc2=size=320x180:rate=30 -re -f lavfi -i sine=frequency=440 \
         -c:v libx264 -preset ultrafast -g 30 -pix_fmt yuv420p -c:a aac -f mpegts {publish}"
    )));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("played.ts");
    let mut player = Program::spawn(ffmpeg(&format!(
        "-i {play} -t 3 -c copy -f mpegts {}",
        file.display()
    )));
    let status = player
        .wait(PATIENCE)
        .expect("it ends after three seconds of stream");
    assert!(status.success(), "{}", player.stderr());
    let stream = std::fs::read(&file).unwrap();
    let continuity = ts::continuity(&stream);
    assert!(continuity.is_clean(), "{continuity:?}");
    let mut decoder = Program::spawn(ffmpeg(&format!("-xerror -i {} -f null -", file.display())));
    let status = decoder
        .wait(PATIENCE)
        .expect("three seconds are decoded soon");
    assert!(status.success(), "{}", decoder.stderr());
    assert_eq!(decoder.stderr(), "");
}
