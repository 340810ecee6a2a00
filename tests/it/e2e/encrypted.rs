//! A slot with a passphrase, from the request that sets it to the picture that comes out.

use reqwest::Method;
use serde_json::{Value, json};

use super::programs::{ffmpeg_decoder, ffmpeg_publisher, ffmpeg_recorder};
use super::stage::{PATIENCE, Stage};
use crate::harness::eventually::eventually_blocking;
use crate::net::srt_probe::{self, Call};
use crate::net::srt_publisher::Publisher;
use crate::net::ts;

const PASSPHRASE: &str = "/api/v1/user/stream-slots/1/passphrase";
/// One side has a passphrase, the other has none.
const UNSECURE: u32 = 1_011;

#[track_caller]
fn put_passphrase(stage: &Stage, body: &Value) -> Value {
    let request = stage.plugin.authorised(Method::PUT, PASSPHRASE);
    let answer = stage.plugin.send(request.json(body)).expect(200);
    answer.json()["passphrase"].clone()
}

/// The codes that a publisher and a player without a passphrase are refused with.
fn refusals(stage: &Stage) -> [Option<u32>; 2] {
    let addresses = stage.addresses();
    [
        (addresses.srt_publish, &stage.session.publish_key),
        (addresses.srt_play, &stage.session.play_key),
    ]
    .map(|(listener, key)| srt_probe::call(&Call::new(listener, key)).rejection())
}

#[test]
fn a_passphrase_cuts_off_who_has_none_and_the_stream_goes_on_encrypted() {
    let stage = Stage::set();
    let plain = Publisher::start(stage.publisher());
    stage.await_publisher();
    let passphrase = put_passphrase(&stage, &json!({ "generate": true }));
    let passphrase = passphrase.as_str().expect("it is shown once it is set");
    eventually_blocking(PATIENCE, "the plain publisher is cut off", || {
        plain.counters().is_closed
    });
    assert_eq!(refusals(&stage), [Some(UNSECURE); 2]);

    let addresses = stage.addresses();
    let with_passphrase = |key: &str| format!("{key}&passphrase={passphrase}&pbkeylen=32");
    let publish_key = with_passphrase(&stage.session.publish_key);
    let _publisher = ffmpeg_publisher(addresses.srt_publish, &publish_key);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("played.ts");
    let play_key = with_passphrase(&stage.session.play_key);
    let mut player = ffmpeg_recorder(addresses.srt_play, &play_key, 2, &file);
    let status = player.wait(PATIENCE).expect("it ends after two seconds");
    assert!(status.success(), "{}", player.stderr());
    let continuity = ts::continuity(&std::fs::read(&file).unwrap());
    assert!(continuity.is_clean(), "{continuity:?}");
    let mut decoder = ffmpeg_decoder(&file.display().to_string());
    let status = decoder
        .wait(PATIENCE)
        .expect("two seconds are decoded soon");
    assert!(status.success(), "{}", decoder.stderr());
    assert_eq!(decoder.stderr(), "");

    assert!(!stage.server.log().contains(passphrase), "it is in the log");
    put_passphrase(&stage, &json!({ "passphrase": null }));
    let player = stage.player();
    assert!(player.peer_socket() != 0, "who has none is let in again");
}
