//! The SLS engine against a fake SLS: who publishes, and what is true of it.

use std::time::{Duration, Instant};

use glb::relay::engine::{Ended, Engine, EngineEvent, PublisherStats, Target};
use glb::relay::sls::{SlsConfig, SlsEngine};
use tokio::sync::broadcast::Receiver;

use super::fake_sls::FakeSls;
use super::sls_engine::{config, engine, pairs, registered, spec};
use crate::harness::eventually::eventually;

const PATIENCE: Duration = Duration::from_secs(20);
const LATENCY: Duration = Duration::from_millis(300);

async fn publisher(engine: &SlsEngine) -> Option<PublisherStats> {
    let streams = engine.stats().await.ok()?;
    streams.into_iter().next()?.publisher
}

async fn expect(events: &mut Receiver<EngineEvent>, event: EngineEvent) {
    let next = tokio::time::timeout(PATIENCE, events.recv()).await;
    assert_eq!(next.unwrap().unwrap(), event);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_line_is_silence_long_before_sls_says_so() {
    let fake = FakeSls::start();
    let engine = engine(&fake);
    let mut events = engine.events();
    let slot_id = registered(&engine).await;
    assert!(fake.publish("live_a", 5_000, LATENCY));
    expect(&mut events, EngineEvent::MediaStarted(slot_id)).await;
    eventually(PATIENCE, "a bitrate", async || {
        publisher(&engine)
            .await
            .is_some_and(|it| it.bitrate_1s_kbps >= 5_000)
    })
    .await;
    fake.break_line("live_a");
    let broken_at = Instant::now();
    eventually(PATIENCE, "silence", async || {
        let silent = publisher(&engine).await.and_then(|it| it.since_last_media);
        silent.is_some_and(|silent| silent >= Duration::from_secs(2))
    })
    .await;
    assert!(fake.is_publishing("live_a"), "{:?}", broken_at.elapsed());
    let shown = publisher(&engine).await.unwrap();
    assert_eq!(shown.bitrate_1s_kbps, 0);
    // His id is busy until SLS has noticed, and free afterwards.
    assert!(!fake.publish("live_a", 5_000, LATENCY));
    let gone = EngineEvent::PublisherGone(slot_id, Ended::Error);
    expect(&mut events, gone).await;
    assert!(fake.publish("live_a", 5_000, LATENCY));
    expect(&mut events, EngineEvent::MediaStarted(slot_id)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publishers_of_a_node_that_crashed_are_waited_for_and_come_back() {
    let mut fake = FakeSls::start();
    let engine = engine(&fake);
    let mut events = engine.events();
    let slot_id = registered(&engine).await;
    assert!(fake.publish("live_a", 5_000, LATENCY));
    expect(&mut events, EngineEvent::MediaStarted(slot_id)).await;
    fake.stop();
    // Nothing is known of them: no figures are better than old ones.
    eventually(PATIENCE, "no figures", async || {
        engine.stats().await.is_err()
    })
    .await;
    fake.start_again(true);
    let gone = EngineEvent::PublisherGone(slot_id, Ended::Error);
    expect(&mut events, gone).await;
    assert!(fake.publish("live_a", 5_000, LATENCY));
    expect(&mut events, EngineEvent::MediaStarted(slot_id)).await;
    assert_eq!(fake.count("POST"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn disconnecting_lets_nobody_new_in_and_shows_who_stays() {
    let fake = FakeSls::start();
    let engine = engine(&fake);
    let slot_id = registered(&engine).await;
    assert!(fake.publish("live_a", 5_000, LATENCY));
    let is_shown = async || publisher(&engine).await.is_some();
    eventually(PATIENCE, "the publisher is shown", is_shown).await;
    let closed = engine.disconnect(slot_id, Target::Everyone).await.unwrap();
    assert_eq!((closed, pairs(&fake)), (0, vec![]));
    let asked = fake.count("GET /stats");
    eventually(PATIENCE, "two more rounds", async || {
        fake.count("GET /stats") > asked + 2
    })
    .await;
    assert!(publisher(&engine).await.is_some());
    fake.unpublish("live_a");
    eventually(PATIENCE, "he left", async || {
        publisher(&engine).await.is_none()
    })
    .await;
    assert!(!fake.publish("live_a", 5_000, LATENCY));
    engine
        .register(spec(slot_id, "live_a", "play_a"))
        .await
        .unwrap();
    assert!(fake.publish("live_a", 5_000, LATENCY));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_links_of_the_only_bonded_publisher_are_shown() {
    let fake = FakeSls::start();
    let url = fake.link_stats_url().parse().unwrap();
    let engine = SlsEngine::new(&SlsConfig {
        link_stats_url: Some(url),
        ..config(&fake)
    })
    .unwrap();
    assert!(engine.capabilities().has_links);
    registered(&engine).await;
    assert!(fake.publish("live_a", 5_000, LATENCY));
    let begun = Instant::now();
    eventually(PATIENCE, "both links", async || {
        fake.set_links(&two_links(begun.elapsed()));
        publisher(&engine)
            .await
            .is_some_and(|it| it.links.len() == 2 && it.is_bonded)
    })
    .await;
    fake.set_links("it broke");
    eventually(PATIENCE, "no links", async || {
        publisher(&engine)
            .await
            .is_some_and(|it| it.links.is_empty())
    })
    .await;
}

/// Two links that carry 5 Mbit/s together.
fn two_links(uptime: Duration) -> String {
    let bytes = uptime.as_millis() * 5_000 / 8 / 2;
    let link = |address: &str| {
        format!(
            r#"{{"addr":"{address}","bytes":{bytes},"pkts":{},"share_pct":50,"last_ms_ago":83,"uptime_s":{}}}"#,
            bytes / 1_316,
            uptime.as_secs(),
        )
    };
    let links = [link("10.0.0.2:41102"), link("10.0.0.3:40712")].join(",");
    format!(
        r#"{{"groups":[{{"id":"0xa","total_bytes":{},"connections":[{links}]}}]}}"#,
        2 * bytes
    )
}
