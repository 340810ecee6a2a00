//! The embedded relay between programs that everybody uses.
//!
//! Invariant: a missing program fails the test.

use std::process::Command;
use std::time::Duration;

use super::program::{self, Program};
use super::relay::relay;
use super::ts;

const PATIENCE: Duration = Duration::from_secs(30);

/// ffmpeg without a terminal and a banner.
fn ffmpeg(arguments: &str) -> Command {
    let mut command = program::command("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-loglevel", "error"]);
    command.args(arguments.split_whitespace());
    command
}

#[test]
fn what_ffmpeg_plays_has_no_gap_and_decodes_without_an_error() {
    let relay = relay();
    let addresses = relay.addresses();
    // ffmpeg counts the latency in microseconds.
    let url = |listener, stream_id| {
        format!("srt://{listener}?mode=caller&streamid={stream_id}&latency=500000")
    };
    let publish = url(addresses.publish, "live_key");
    let play = url(addresses.play, "play_key");
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
    let played = std::fs::read(&file).unwrap();
    let continuity = ts::continuity(&played);
    assert!(continuity.is_clean(), "{continuity:?}");
    let mut decoder = Program::spawn(ffmpeg(&format!("-xerror -i {} -f null -", file.display())));
    let status = decoder
        .wait(PATIENCE)
        .expect("three seconds are decoded soon");
    assert!(status.success(), "{}", decoder.stderr());
    assert_eq!(decoder.stderr(), "");
}
