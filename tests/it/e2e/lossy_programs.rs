//! ffmpeg at both ends of bad lines.
//!
//! Invariant: what is judged is the transport stream that a player wrote: continuity of every program id,
//! and that it decodes without a complaint.

use std::time::Duration;

use super::programs::{decodes_whole, ffmpeg_publisher, ffmpeg_recorder};
use super::stage::{PATIENCE, Stage};
use crate::net::lossy::{LineProfile, LossyProxy, Profile};

#[test]
fn what_ffmpeg_plays_over_lossy_lines_has_no_gap_and_decodes_without_an_error() {
    let stage = Stage::set();
    let addresses = stage.addresses();
    let line = LineProfile {
        loss_percent: 3.0,
        delay: Duration::from_millis(25),
        jitter: Duration::from_millis(5),
        ..LineProfile::default()
    };
    let publish = LossyProxy::start(addresses.srt_publish, Profile::uniform(11, line));
    let play = LossyProxy::start(addresses.srt_play, Profile::uniform(12, line));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("played.ts");
    let mut recorder = ffmpeg_recorder(play.address(), &stage.session.play_key, 8, &file);
    stage.await_players(1);
    let publisher = ffmpeg_publisher(publish.address(), &stage.session.publish_key);
    let status = recorder.wait(PATIENCE * 3);
    let said = || format!("{}\n{}", recorder.stderr(), publisher.stderr());
    assert!(status.is_some_and(|status| status.success()), "{}", said());
    assert_eq!(decodes_whole(&file), "");
    let (to_relay, to_player) = (publish.counters().to_target, play.counters().to_client);
    assert!(
        to_relay.lost > 10 && to_player.lost > 10,
        "{to_relay:?}, {to_player:?}"
    );
}
