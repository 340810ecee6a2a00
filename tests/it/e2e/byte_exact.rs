//! What goes in comes out, byte for byte, over good lines and bad ones.

use std::time::Duration;

use super::stage::Stage;
use super::transfer::Transfer;
use crate::net::lossy::LineProfile;
use crate::net::lossy::{LossyProxy, Profile};

#[test]
fn what_srt_live_transmit_sends_it_gets_back_byte_for_byte() {
    let stage = Stage::set();
    let addresses = stage.addresses();
    let transfer = Transfer {
        publish: addresses.srt_publish,
        play: addresses.srt_play,
        latency: Duration::from_millis(500),
        count: 1_000,
        rate_kbps: 6_000,
    };
    transfer.run(&stage, || {
        let figures = stage.legacy_figures(addresses.stats);
        let live = &figures["publishers"]["live"];
        assert!(live["bitrate"].as_u64().unwrap() > 1_000, "{figures}");
    });
}

#[test]
fn five_percent_loss_and_fifty_milliseconds_each_way_lose_nothing_at_two_seconds() {
    let stage = Stage::set();
    let addresses = stage.addresses();
    let bad_line = LineProfile {
        loss_percent: 5.0,
        delay: Duration::from_millis(50),
        ..LineProfile::default()
    };
    let publish = LossyProxy::start(addresses.srt_publish, Profile::uniform(5, bad_line));
    let play = LossyProxy::start(addresses.srt_play, Profile::uniform(6, bad_line));
    let transfer = Transfer {
        publish: publish.address(),
        play: play.address(),
        latency: Duration::from_secs(2),
        count: 2_000,
        rate_kbps: 6_000,
    };
    transfer.run(&stage, || {
        let figures = stage.legacy_figures(addresses.stats);
        let live = &figures["publishers"]["live"];
        assert!(live["pktRcvLoss"].as_u64().unwrap() > 0, "{figures}");
        assert_eq!(live["pktRcvDrop"], 0, "{figures}");
    });
    assert!(
        publish.counters().to_target.lost > 50,
        "{:?}",
        publish.counters()
    );
    assert!(play.counters().to_client.lost > 50, "{:?}", play.counters());
}
