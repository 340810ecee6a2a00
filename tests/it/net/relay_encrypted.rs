//! The embedded relay with a passphrase, between programs that everybody uses.
//!
//! srt-live-transmit encrypts with `OpenSSL` and ffmpeg with `GnuTLS` here, so two other implementations of
//! the ciphers check ours.
//!
//! Invariant: a missing program fails the test.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use glb::relay::embedded::{EmbeddedConfig, EmbeddedRelay};

use super::lossy::{LossyProxy, Profile};
use super::program::Program;
use super::relay::{figures, line, relay, relay_with};
use super::relay_programs::{comes_back, plays_cleanly, transmit};
use super::srt_probe::{self, Call};
use super::srtla_sender::{SenderConfig, SrtlaSender};
use crate::harness::eventually::eventually_blocking;

const PATIENCE: Duration = Duration::from_secs(20);
const PASSPHRASE: &str = "a-long-secret";
/// Packets under one key, in both directions.
const REFRESH_PACKETS: u64 = 2_000;
/// More than two renewals.
const COUNT: u64 = 5_000;
const RATE_KBPS: u32 = 12_000;
/// Another passphrase.
const BAD_SECRET: u32 = 1_010;
/// One side has a passphrase, the other has none.
const UNSECURE: u32 = 1_011;

fn encrypted_relay() -> EmbeddedRelay {
    let config = EmbeddedConfig {
        key_refresh_packets: REFRESH_PACKETS,
        ..EmbeddedConfig::default()
    };
    relay_with(&config, Some(PASSPHRASE))
}

/// A URL of srt-live-transmit.
fn url(listener: SocketAddr, stream_id: &str, key_bytes: u8) -> String {
    format!(
        "srt://{listener}?mode=caller&streamid={stream_id}&latency=1000&passphrase={PASSPHRASE}\
         &pbkeylen={key_bytes}&kmrefreshrate={REFRESH_PACKETS}&kmpreannounce=500"
    )
}

/// Sees keys of this length on both sides, renewed twice or more, and nothing left out.
fn has_renewed(relay: &EmbeddedRelay, publisher_bits: u16, player_bits: u16) {
    let streams = figures(relay);
    let (publisher, player) = (
        streams[0].publisher.as_ref().unwrap(),
        &streams[0].players[0],
    );
    assert_eq!(
        (publisher.key_bits, player.key_bits),
        (publisher_bits, player_bits)
    );
    assert!(
        publisher.key_renewals >= 2 && player.key_renewals >= 2,
        "{streams:?}"
    );
    assert_eq!(publisher.undecryptable_packets, 0, "{publisher:?}");
}

/// Sends through 5 % loss on both sides, with keys of other lengths on each.
fn comes_back_through_loss(publisher_bytes: u8, player_bytes: u8) {
    let relay = encrypted_relay();
    let addresses = relay.addresses();
    let publish = LossyProxy::start(addresses.publish, Profile::uniform(5, line(5.0, 20, 0)));
    let play = LossyProxy::start(addresses.play, Profile::uniform(6, line(5.0, 20, 0)));
    let from = url(publish.address(), "live_key", publisher_bytes);
    let to = url(play.address(), "play_key", player_bytes);
    comes_back(&relay, (&from, &to), COUNT, RATE_KBPS, || {
        let bits = |bytes: u8| u16::from(bytes) * 8;
        has_renewed(&relay, bits(publisher_bytes), bits(player_bytes));
    });
    assert!(publish.counters().to_target.lost > 100);
    assert!(play.counters().to_client.lost > 100);
}

#[test]
fn aes_128_in_and_aes_256_out_come_back_byte_for_byte_over_lossy_lines_and_renewals() {
    comes_back_through_loss(16, 32);
}

#[test]
fn aes_192_in_and_out_comes_back_byte_for_byte_over_lossy_lines_and_renewals() {
    comes_back_through_loss(24, 24);
}

#[test]
fn aes_256_in_and_aes_128_out_come_back_byte_for_byte_over_lossy_lines_and_renewals() {
    comes_back_through_loss(32, 16);
}

#[test]
fn three_lossy_links_carry_an_encrypted_publisher_byte_for_byte() {
    let relay = encrypted_relay();
    let addresses = relay.addresses();
    let source = |last| IpAddr::from(Ipv4Addr::new(127, 0, 0, last));
    let lines = HashMap::from([
        (source(2), line(1.0, 20, 5)),
        (source(3), line(2.0, 30, 5)),
        (source(4), line(3.0, 50, 10)),
    ]);
    let profile = Profile {
        seed: 9,
        lines,
        ..Profile::default()
    };
    let proxy = LossyProxy::start(addresses.srtla, profile);
    let sender = SrtlaSender::start(&SenderConfig::over_links(proxy.address(), 3));
    eventually_blocking(PATIENCE, "all links have joined", || {
        sender.counters().registered_links() == 3
    });
    let from = url(sender.local_address(), "live_key", 16);
    let to = url(addresses.play, "play_key", 16);
    comes_back(&relay, (&from, &to), COUNT, RATE_KBPS, || {
        has_renewed(&relay, 128, 128);
    });
    assert!(proxy.counters().to_target.lost > 50);
}

#[test]
fn what_ffmpeg_encrypts_it_plays_without_a_gap() {
    let relay = encrypted_relay();
    let addresses = relay.addresses();
    // ffmpeg counts the latency in microseconds.
    let url = |listener, stream_id, key_bytes| {
        format!(
            "srt://{listener}?mode=caller&streamid={stream_id}&latency=500000\
             &passphrase={PASSPHRASE}&pbkeylen={key_bytes}"
        )
    };
    plays_cleanly(
        &url(addresses.publish, "live_key", 24),
        &url(addresses.play, "play_key", 32),
    );
}

/// Key material of srt-live-transmit for another passphrase.
fn foreign_key_material() -> Vec<u8> {
    const RECORDED: &str = "12202901000000000200020000000404e5b88a08e36379aead5c17e70a432ac249480f3a11c2\
                            b36cf049ae6c14f1e565161d5782cca04958";
    let digits = RECORDED.as_bytes().chunks_exact(2);
    digits
        .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn a_wrong_or_missing_passphrase_is_refused_by_code() {
    let (secured, open) = (encrypted_relay(), relay());
    let ask = |listener, stream_id: &str, key_material| {
        let call = Call {
            key_material,
            ..Call::new(listener, stream_id)
        };
        srt_probe::call(&call).rejection()
    };
    for (relay, key_material, code) in [
        (&secured, None, UNSECURE),
        (&secured, Some(foreign_key_material()), BAD_SECRET),
        (&open, Some(foreign_key_material()), UNSECURE),
    ] {
        let addresses = relay.addresses();
        let publish = ask(addresses.publish, "live_key", key_material.clone());
        let play = ask(addresses.play, "play_key", key_material);
        assert_eq!((publish, play), (Some(code), Some(code)));
    }
}

#[test]
fn srt_live_transmit_with_a_wrong_passphrase_says_so() {
    let relay = encrypted_relay();
    let play = url(relay.addresses().play, "play_key", 16);
    let wrong = play.replace(PASSPHRASE, "another-secret");
    let mut player = transmit(&wrong, "file://con");
    player.args(["-a:no", "-v"]);
    let mut player = Program::spawn(player);
    assert!(player.wait(PATIENCE).is_some(), "it gives up");
    assert!(
        player.stderr().contains("Incorrect passphrase"),
        "{}",
        player.stderr()
    );
}
