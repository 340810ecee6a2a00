//! A bonded publisher: three unlike networks, one whole stream, links that are seen.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde_json::Value;

use super::stage::{PATIENCE, Stage};
use super::transfer::Transfer;
use crate::harness::eventually::eventually_blocking;
use crate::net::lossy::{LineProfile, LossyProxy, Profile};
use crate::net::srtla_sender::{SenderConfig, SrtlaSender};

fn line(loss_percent: f64, delay_ms: u64, jitter_ms: u64) -> LineProfile {
    LineProfile {
        loss_percent,
        delay: Duration::from_millis(delay_ms),
        jitter: Duration::from_millis(jitter_ms),
        ..LineProfile::default()
    }
}

fn check_links(links: &[Value]) {
    assert_eq!(links.len(), 3, "{links:?}");
    let mut total_percent = 0.0;
    for link in links {
        assert!(link["last_ms_ago"].as_u64().unwrap() < 5_000, "{link}");
        assert!(link["bytes"].as_u64().unwrap() > 0, "{link}");
        assert!(link["pkts"].as_u64().unwrap() > 0, "{link}");
        assert!(link["uptime_s"].is_u64(), "{link}");
        let share_percent = link["share_pct"].as_f64().unwrap();
        assert!(share_percent > 0.0, "{link}");
        total_percent += share_percent;
        // What our sender tells in its keepalives.
        assert!(link["sender"]["rtt_ms"].as_u64().unwrap() >= 40, "{link}");
        assert!(link["sender"]["window"].as_u64().unwrap() > 0, "{link}");
        assert!(link["sender"]["in_flight"].is_u64(), "{link}");
    }
    assert!((total_percent - 100.0).abs() < 1.0, "{links:?}");
}

#[test]
fn three_unlike_links_carry_a_stream_whole_and_each_is_seen() {
    let stage = Stage::set();
    let addresses = stage.addresses();
    let source = |last| IpAddr::from(Ipv4Addr::new(127, 0, 0, last));
    let lines = HashMap::from([
        (source(2), line(1.0, 40, 15)),
        (source(3), line(2.0, 60, 20)),
        (source(4), line(3.0, 90, 30)),
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
    let transfer = Transfer {
        publish: sender.local_address(),
        play: addresses.srt_play,
        latency: Duration::from_secs(2),
        count: 2_000,
        rate_kbps: 6_000,
    };
    transfer.run(&stage, || check_links(&stage.links()));
    assert_eq!(sender.counters().refusals, 0);
    assert!(
        proxy.counters().to_target.lost > 10,
        "{:?}",
        proxy.counters()
    );
}
