//! OBS from Debian as the encoder, on a screen that nobody sees.
//!
//! Invariant: OBS is the packaged program with a profile as its own settings dialog writes it; it knows the
//! server's address and key and nothing else of it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;

use super::programs::{decodes_whole, ffmpeg_recorder, ffmpeg_url};
use super::stage::Stage;
use crate::net::program::{self, Program};

/// OBS starts in 5 s on a quiet machine, with a drawn screen in software.
const LONG: Duration = Duration::from_secs(90);

/// 320 by 180 points, a key frame a second, x264 and AAC.
const PROFILE: &str = "\
[General]
Name=test
[Output]
Mode=Simple
[SimpleOutput]
VBitrate=600
ABitrate=64
StreamEncoder=x264
UseAdvanced=true
Preset=ultrafast
x264Settings=keyint=30
[Video]
BaseCX=320
BaseCY=180
OutputCX=320
OutputCY=180
FPSCommon=30
";

/// No wizard at the start, no look for updates.
const SETTINGS: &str = "\
[General]
FirstRun=true
EnableAutoUpdates=false
[Basic]
Profile=test
ProfileDir=test
SceneCollection=test
SceneCollectionFile=test
";

/// A screen of its own; answers its name.
fn screen() -> (Program, String) {
    let mut command = program::command("Xvfb");
    command.args([
        "-displayfd",
        "1",
        "-screen",
        "0",
        "640x480x24",
        "-nolisten",
        "tcp",
    ]);
    command.stdout(Stdio::piped());
    let mut screen = Program::spawn(command);
    let mut number = String::new();
    let mut stdout = BufReader::new(screen.stdout());
    stdout.read_line(&mut number).expect("it names its screen");
    (screen, format!(":{}", number.trim()))
}

fn write_settings(home: &Path, listener: SocketAddr, key: &str) {
    let folder = home.join(".config/obs-studio");
    let profile = folder.join("basic/profiles/test");
    let scenes = folder.join("basic/scenes");
    fs::create_dir_all(&profile).unwrap();
    fs::create_dir_all(&scenes).unwrap();
    fs::write(folder.join("global.ini"), SETTINGS).unwrap();
    fs::write(profile.join("basic.ini"), PROFILE).unwrap();
    let server = ffmpeg_url(listener, key);
    let service = json!({
        "type": "rtmp_custom",
        "settings": { "server": server, "key": "", "use_auth": false },
    });
    fs::write(profile.join("service.json"), service.to_string()).unwrap();
    // Without a collection OBS makes one and forgets that it was to stream.
    let colour = json!({
        "id": "color_source_v3", "name": "Colour",
        "settings": { "color": 4_278_229_503_u32, "width": 320, "height": 180 },
    });
    let scene = json!({
        "id": "scene", "name": "Scene",
        "settings": { "items": [{ "name": "Colour", "id": 1, "visible": true }] },
    });
    let collection = json!({
        "name": "test", "current_scene": "Scene", "current_program_scene": "Scene",
        "scene_order": [{ "name": "Scene" }], "sources": [colour, scene],
    });
    fs::write(scenes.join("test.json"), collection.to_string()).unwrap();
}

fn obs(home: &Path, screen: &str) -> Program {
    let mut command = program::command("obs");
    command
        .args(["--multi", "--startstreaming"])
        .args(["--profile", "test", "--collection", "test"])
        .env("HOME", home)
        .env("XDG_CONFIG_HOME", home.join(".config"))
        .env("XDG_RUNTIME_DIR", home)
        .env("DISPLAY", screen)
        .env("QT_QPA_PLATFORM", "xcb")
        .env("LIBGL_ALWAYS_SOFTWARE", "1");
    Program::spawn(command)
}

/// Streams from OBS with these keys, or keys with a passphrase behind, and decodes what a player got.
fn obs_is_played_whole(stage: &mut Stage, publish_key: &str, play_key: &str) {
    let addresses = stage.addresses();
    let folder = tempfile::tempdir().unwrap();
    write_settings(folder.path(), addresses.srt_publish, publish_key);
    let file = folder.path().join("played.ts");
    // Players may wait for their publisher.
    let mut recorder = ffmpeg_recorder(addresses.srt_play, play_key, 5, &file);
    stage.await_players(1);
    let (_screen, name) = screen();
    let mut obs = obs(folder.path(), &name);
    let status = recorder.wait(LONG);
    let said = || format!("OBS: {}\nffmpeg: {}", obs.stderr(), recorder.stderr());
    assert!(status.is_some_and(|status| status.success()), "{}", said());
    decodes_whole(&file);
    stage.await_state("LIVE");
    assert!(obs.is_running());
}

#[test]
fn what_obs_streams_has_no_gap_and_decodes_without_an_error() {
    let mut stage = Stage::set();
    let session = stage.session.clone();
    obs_is_played_whole(&mut stage, &session.publish_key, &session.play_key);
}

#[test]
fn what_obs_encrypts_decodes_without_an_error() {
    let mut stage = Stage::set();
    stage.draw_passphrase();
    let source = stage.media_source_url();
    let (_, passphrase) = source.split_once("&passphrase=").expect("it has one");
    let session = stage.session.clone();
    let with = |key: &str| format!("{key}&passphrase={passphrase}");
    obs_is_played_whole(
        &mut stage,
        &with(&session.publish_key),
        &with(&session.play_key),
    );
}
