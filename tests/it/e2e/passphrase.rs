//! A slot with a passphrase, from the page to the programs that send and play.
//!
//! Invariant: programs get the passphrase from the URLs that the server tells, as people do.

use reqwest::Method;
use serde_json::json;

use super::programs::{ffmpeg_decoder, ffmpeg_publisher};
use super::stage::{PATIENCE, Stage, rejection};

/// The code for a caller who asks for no encryption where there is a passphrase.
/// Source: libsrt, `SRT_REJ_UNSECURE` in `access_control.h` and `srt.h`.
const UNSECURE: u32 = 1_011;

impl Stage {
    /// Draws a passphrase for the first slot on the page.
    #[track_caller]
    pub(super) fn draw_passphrase(&mut self) {
        let path = format!("/slots/{}/passphrase", self.slot_id());
        let done = self.browser.post(&path, &[("action", "generate")]);
        assert_eq!(
            done.expect(303).header("location").split(['#', '&']).next(),
            Some("/live?done=passphrase")
        );
    }

    /// The URL of the plugin's media source.
    #[track_caller]
    pub(super) fn media_source_url(&self) -> String {
        let url = &self.active()["session"]["media_source_url"];
        url.as_str().expect("it is text").to_owned()
    }
}

#[test]
fn who_has_the_passphrase_sends_and_plays_and_nobody_else() {
    let mut stage = Stage::set();
    let (addresses, session) = (stage.addresses(), stage.session.clone());
    let plain = stage.media_source_url();
    stage.draw_passphrase();
    let source = stage.media_source_url();
    let (before, passphrase) = source.split_once("&passphrase=").expect("it has one");
    assert_eq!(before, plain);
    assert_eq!(passphrase.len(), 24, "{source}");
    let sender = &stage.active()["session"]["sender_url"];
    assert_eq!(*sender, session.sender_url.as_str(), "it stays as it was");
    let revealed = format!("/live?reveal={}", stage.slot_id());
    let page = stage.browser.get(&revealed);
    assert!(page.text().contains(&format!("passphrase={passphrase}")));

    for (listener, key) in [
        (addresses.srt_publish, &session.publish_key),
        (addresses.srt_play, &session.play_key),
    ] {
        assert_eq!(rejection(listener, key), Some(UNSECURE), "{listener}");
    }
    let wrong = format!("{}&passphrase=another-passphrase", session.publish_key);
    let mut refused = ffmpeg_publisher(addresses.srt_publish, &wrong);
    let status = refused.wait(PATIENCE).expect("it gives up");
    assert!(!status.success(), "{}", refused.stderr());

    let right = format!("{}&passphrase={passphrase}", session.publish_key);
    let mut publisher = ffmpeg_publisher(addresses.srt_publish, &right);
    stage.await_state("LIVE");
    let mut player = ffmpeg_decoder(&source);
    stage.await_players(1);

    // A new one throws both out, who are not told it.
    stage.draw_passphrase();
    for program in [&mut publisher, &mut player] {
        assert!(program.wait(PATIENCE).is_some(), "it is cut off");
    }
    let again = stage.media_source_url();
    assert_ne!(again, source);
    let mut late = ffmpeg_decoder(&source);
    let status = late.wait(PATIENCE).expect("it gives up");
    assert!(!status.success(), "{}", late.stderr());
}

#[test]
fn a_passphrase_that_is_removed_lets_plain_callers_in_again() {
    let mut stage = Stage::set();
    stage.draw_passphrase();
    let (listener, key) = (
        stage.addresses().srt_publish,
        stage.session.publish_key.clone(),
    );
    assert_eq!(rejection(listener, &key), Some(UNSECURE));
    let path = "/api/v1/user/stream-slots/1/passphrase";
    let request = stage.plugin.authorised(Method::PUT, path);
    let removed = stage
        .plugin
        .send(request.json(&json!({"passphrase": null})));
    assert_eq!(removed.expect(200).json()["passphrase"], json!(null));
    assert_eq!(rejection(listener, &key), None);
}

#[test]
fn a_passphrase_outlives_a_crash() {
    let mut stage = Stage::set();
    stage.draw_passphrase();
    let before = stage.media_source_url();
    let (_, passphrase) = before.split_once("&passphrase=").expect("it has one");
    let mut stage = stage.after_a_crash();
    assert!(stage.media_source_url().ends_with(passphrase));
    let (listener, key) = (
        stage.addresses().srt_publish,
        stage.session.publish_key.clone(),
    );
    assert_eq!(rejection(listener, &key), Some(UNSECURE));
    let right = format!("{key}&passphrase={passphrase}");
    let _publisher = ffmpeg_publisher(listener, &right);
    stage.await_state("LIVE");
}
