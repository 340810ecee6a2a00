//! The programs that everybody publishes and plays with, as command lines.
//!
//! Invariant: a missing program fails the test, naming its package.

use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::stage::PATIENCE;
use crate::net::program::{self, Program};
use crate::net::ts;

/// What a program has written to stdout so far.
pub(super) type Written = Arc<Mutex<Vec<u8>>>;

/// An encoder as people run it: H.264 and AAC in real time, a key frame each second.
pub(super) fn ffmpeg_publisher(listener: SocketAddr, key: &str) -> Program {
    let url = ffmpeg_url(listener, key);
    Program::spawn(ffmpeg(&format!(
        "-re -f lavfi -i testsrc2=size=320x180:rate=30 -re -f lavfi -i sine=frequency=440 \
         -c:v libx264 -preset ultrafast -g 30 -pix_fmt yuv420p -b:v 600k -c:a aac -f mpegts {url}"
    )))
}

/// A player that keeps what it plays, from its first key frame on, for so many seconds.
pub(super) fn ffmpeg_recorder(
    listener: SocketAddr,
    key: &str,
    seconds: u32,
    file: &Path,
) -> Program {
    let url = ffmpeg_url(listener, key);
    let file = file.display();
    Program::spawn(ffmpeg(&format!(
        "-i {url} -t {seconds} -c copy -f mpegts {file}"
    )))
}

/// A player that decodes everything and complains about anything.
pub(super) fn ffmpeg_decoder(source: &str) -> Program {
    Program::spawn(ffmpeg(&format!("-xerror -i {source} -f null -")))
}

/// Fails unless the transport stream in `file` has no gap and decodes to its end; what the decoder said.
#[track_caller]
pub(super) fn decodes_whole(file: &Path) -> String {
    let continuity = ts::continuity(&std::fs::read(file).unwrap());
    assert!(continuity.is_clean(), "{continuity:?}");
    let mut decoder = ffmpeg_decoder(&file.display().to_string());
    let status = decoder.wait(PATIENCE).expect("decoding ends");
    assert!(status.success(), "{}", decoder.stderr());
    decoder.stderr()
}

/// ffmpeg counts the latency in microseconds.
pub(super) fn ffmpeg_url(listener: SocketAddr, key: &str) -> String {
    format!("srt://{listener}?mode=caller&streamid={key}&latency=500000")
}

fn ffmpeg(arguments: &str) -> Command {
    let mut command = program::command("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-loglevel", "error"]);
    command.args(arguments.split_whitespace());
    command
}

/// srt-live-transmit from its stdin to a listener.
pub(super) fn transmit_from_stdin(listener: SocketAddr, key: &str, latency: Duration) -> Program {
    let mut command = transmit("file://con", &transmit_url(listener, key, latency));
    command.stdin(Stdio::piped());
    Program::spawn(command)
}

/// srt-live-transmit from a listener to its stdout.
pub(super) fn transmit_to_stdout(
    listener: SocketAddr,
    key: &str,
    latency: Duration,
) -> (Program, Written) {
    let mut command = transmit(&transmit_url(listener, key, latency), "file://con");
    command.stdout(Stdio::piped());
    let mut program = Program::spawn(command);
    let written = collect(program.stdout());
    (program, written)
}

fn transmit(source: &str, target: &str) -> Command {
    let mut command = program::command("srt-live-transmit");
    command.args(["-chunk:1316", source, target]);
    command
}

fn transmit_url(listener: SocketAddr, key: &str, latency: Duration) -> String {
    let latency_ms = latency.as_millis();
    format!("srt://{listener}?mode=caller&streamid={key}&latency={latency_ms}")
}

fn collect(mut stdout: ChildStdout) -> Written {
    let written = Written::default();
    let shared = Arc::clone(&written);
    std::thread::spawn(move || {
        let mut buffer = [0; 16_384];
        while let Ok(length @ 1..) = stdout.read(&mut buffer) {
            shared.lock().unwrap().extend_from_slice(&buffer[..length]);
        }
    });
    written
}
