//! The SLS engine against a fake SLS: pairs, limits, faults, and what is true.

use std::time::{Duration, Instant};

use glb::kernel::ids::SlotId;
use glb::relay::engine::{
    Ended, Engine, EngineError, EngineEvent, EngineHealth, PublisherStats, StreamSpec, Target,
};
use glb::relay::sls::{SlsConfig, SlsEngine};
use secrecy::SecretString;

use super::fake_sls::{FakeSls, Fault, KEY};
use crate::harness::eventually::eventually;

const PATIENCE: Duration = Duration::from_secs(20);
const LATENCY: Duration = Duration::from_millis(300);

fn config(fake: &FakeSls) -> SlsConfig {
    let url = fake.url().parse().unwrap();
    SlsConfig {
        api_per_minute: 1000,
        stats_per_minute: 1000,
        answer_within: Duration::from_millis(500),
        ..SlsConfig::new(url, SecretString::from(KEY), "here")
    }
}

fn engine(fake: &FakeSls) -> SlsEngine {
    let engine = SlsEngine::new(&config(fake)).unwrap();
    engine.open();
    engine
}

fn spec(slot_id: SlotId, publish: &str, play: &str) -> StreamSpec {
    StreamSpec {
        slot_id,
        publish_key: SecretString::from(publish),
        play_key: SecretString::from(play),
        passphrase: None,
    }
}

/// The keys that the fake has, without descriptions.
fn pairs(fake: &FakeSls) -> Vec<(String, String)> {
    let mut pairs: Vec<_> = fake
        .entries()
        .into_iter()
        .map(|(publisher, player, _)| (publisher, player))
        .collect();
    pairs.sort();
    pairs
}

fn pair(publisher: &str, player: &str) -> (String, String) {
    (publisher.to_owned(), player.to_owned())
}

async fn publisher(engine: &SlsEngine) -> Option<PublisherStats> {
    let streams = engine.stats().await.ok()?;
    streams.into_iter().next()?.publisher
}

async fn reason(engine: &SlsEngine) -> String {
    match engine.health().await {
        EngineHealth::Ready => String::new(),
        EngineHealth::Degraded(reason) => reason,
    }
}

async fn is_healed(engine: &SlsEngine) {
    eventually(PATIENCE, "the engine is ready", async || {
        engine.health().await == EngineHealth::Ready
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn registering_again_what_is_there_costs_no_call() {
    let fake = FakeSls::start();
    let engine = engine(&fake);
    let slot_id = SlotId::generate();
    for _ in 0..20 {
        let registered = engine.register(spec(slot_id, "live_a", "play_a")).await;
        registered.unwrap();
    }
    let expected = (
        "live_a".to_owned(),
        "play_a".to_owned(),
        format!("glb:here:{slot_id}"),
    );
    assert_eq!(fake.entries(), [expected]);
    assert_eq!(engine.admitted().await.unwrap(), Some(vec![slot_id]));
    assert_eq!(fake.count("POST"), 1);
    assert!(fake.count("GET /api") <= 3, "{:?}", fake.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_was_added_behind_our_back_is_taken_or_replaced() {
    let fake = FakeSls::start();
    let engine = engine(&fake);
    let [first, second, third] = [(); 3].map(|()| SlotId::generate());
    // The engine lists now, and does not know of what comes after.
    engine
        .register(spec(first, "live_a", "play_a"))
        .await
        .unwrap();
    fake.put_entry("live_b", "play_b", "cam one");
    engine
        .register(spec(second, "live_b", "play_b"))
        .await
        .unwrap();
    fake.put_entry("live_other", "play_c", "cam two");
    engine
        .register(spec(third, "live_c", "play_c"))
        .await
        .unwrap();
    let expected = [
        ("live_a", "play_a"),
        ("live_b", "play_b"),
        ("live_c", "play_c"),
    ];
    assert_eq!(pairs(&fake), expected.map(|(a, b)| pair(a, b)));
}

#[tokio::test(flavor = "multi_thread")]
async fn rotation_replaces_and_dropping_removes_and_strangers_stay() {
    let fake = FakeSls::start();
    fake.put_entry("live_stranger", "play_stranger", "cam one");
    let engine = engine(&fake);
    let slot_id = SlotId::generate();
    for (publish, play) in [
        ("live_a", "play_a"),
        ("live_b", "play_a"),
        ("live_b", "play_b"),
        ("live_c", "play_c"),
    ] {
        engine.register(spec(slot_id, publish, play)).await.unwrap();
        let expected = [pair(publish, play), pair("live_stranger", "play_stranger")];
        assert_eq!(pairs(&fake), expected);
    }
    for _ in 0..2 {
        engine.drop_stream(slot_id).await.unwrap();
        assert_eq!(pairs(&fake), [pair("live_stranger", "play_stranger")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_cannot_carry_is_refused_with_the_reason() {
    let fake = FakeSls::start();
    let engine = engine(&fake);
    let (slot_id, other) = (SlotId::generate(), SlotId::generate());
    let encrypted = StreamSpec {
        passphrase: Some(SecretString::from("0123456789")),
        ..spec(slot_id, "live_a", "play_a")
    };
    engine
        .register(spec(slot_id, "live_a", "play_a"))
        .await
        .unwrap();
    let calls = fake.count("POST");
    for (refused, word) in [
        (encrypted, "passphrase"),
        (spec(slot_id, "live_%n", "play_a"), "characters"),
        (spec(other, "live_a", "play_b"), "another slot"),
    ] {
        let Err(EngineError::Rejected { reason }) = engine.register(refused).await else {
            panic!("{word} was taken");
        };
        assert!(reason.contains(word), "{reason}");
        assert!(!reason.contains("live_"), "{reason}");
    }
    assert_eq!(fake.count("POST"), calls);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_node_lost_comes_back_and_what_nobody_wants_goes() {
    let mut fake = FakeSls::start();
    let (kept, gone) = (SlotId::generate(), SlotId::generate());
    fake.put_entry("live_gone", "play_gone", &format!("glb:here:{gone}"));
    fake.put_entry("live_else", "play_else", &format!("glb:elsewhere:{gone}"));
    let engine = engine(&fake);
    engine
        .register(spec(kept, "live_a", "play_a"))
        .await
        .unwrap();
    let is_right = async |fake: &FakeSls, expected: &[(&str, &str)]| {
        let expected: Vec<_> = expected.iter().map(|(a, b)| pair(a, b)).collect();
        eventually(PATIENCE, "the list is mended", async || {
            pairs(fake) == expected
        })
        .await;
    };
    is_right(&fake, &[("live_a", "play_a"), ("live_else", "play_else")]).await;
    // Only its figures tell that it forgot.
    fake.lose_entries();
    is_right(&fake, &[("live_a", "play_a")]).await;
    // Its process began anew on an empty volume.
    fake.stop();
    eventually(PATIENCE, "its end is noticed", async || {
        reason(&engine).await.contains("refuses connections")
    })
    .await;
    fake.start_again(false);
    is_right(&fake, &[("live_a", "play_a")]).await;
    is_healed(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_all_slots_are_named_nothing_is_removed_and_nobody_waits() {
    let fake = FakeSls::start();
    fake.set_limits(40, 1000);
    let old = SlotId::generate();
    fake.put_entry("live_old", "play_old", &format!("glb:here:{old}"));
    let engine = SlsEngine::new(&SlsConfig {
        api_per_minute: 40,
        ..config(&fake)
    })
    .unwrap();
    let begun = Instant::now();
    let mut taken = 0;
    for number in 0..30 {
        let keys = (format!("live_{number}"), format!("play_{number}"));
        let named = engine.register(spec(SlotId::generate(), &keys.0, &keys.1));
        match named.await {
            Ok(()) => taken += 1,
            Err(EngineError::Unavailable) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    assert!((1..20).contains(&taken), "{taken} of a burst");
    // The others are added in the background as the limit allows, and it is never exceeded.
    eventually(PATIENCE, "more slots", async || {
        fake.entries().len() > taken + 2
    })
    .await;
    assert!(pairs(&fake).contains(&pair("live_old", "play_old")));
    let counters = engine.counters().await.unwrap();
    assert!(
        counters.contains(&("node_calls_limited", 0)),
        "{counters:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_that_somebody_else_used_up_is_waited_out() {
    let fake = FakeSls::start();
    let engine = engine(&fake);
    is_healed(&engine).await;
    fake.set_fault(Fault::Limited);
    let named = spec(SlotId::generate(), "live_a", "play_a");
    let registering = engine.register(named);
    let freed = async {
        eventually(PATIENCE, "a refused call", async || {
            fake.count("POST") + fake.count("GET /api") > 1
        })
        .await;
        fake.set_fault(Fault::None);
    };
    let (registered, ()) = tokio::join!(registering, freed);
    registered.unwrap();
    assert_eq!(pairs(&fake), [pair("live_a", "play_a")]);
    assert_eq!(engine.health().await, EngineHealth::Ready);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_is_a_state_with_a_reason_that_ends_with_it() {
    let fake = FakeSls::start();
    let engine = engine(&fake);
    let slot_id = SlotId::generate();
    engine
        .register(spec(slot_id, "live_a", "play_a"))
        .await
        .unwrap();
    for (fault, word) in [
        (Fault::Hang, "does not answer"),
        (Fault::Garbage, "another program"),
        (Fault::Huge, "too long"),
    ] {
        fake.set_fault(fault);
        eventually(PATIENCE, word, async || {
            reason(&engine).await.contains(word)
        })
        .await;
        let registered = engine.register(spec(slot_id, "live_a", "play_b")).await;
        assert!(
            matches!(registered, Err(EngineError::Unavailable)),
            "{fault:?}"
        );
        fake.set_fault(Fault::None);
        is_healed(&engine).await;
        engine
            .register(spec(slot_id, "live_a", "play_a"))
            .await
            .unwrap();
    }
    fake.set_fault(Fault::Failing);
    let registered = engine.register(spec(slot_id, "live_a", "play_b")).await;
    assert!(matches!(registered, Err(EngineError::Unavailable)));
    fake.set_fault(Fault::OtherKey);
    let registered = engine.register(spec(slot_id, "live_a", "play_c")).await;
    let Err(EngineError::Rejected { reason: why }) = registered else {
        panic!("{registered:?}");
    };
    assert!(why.contains("refuses our key"), "{why}");
    assert!(reason(&engine).await.contains("admin key"));
    fake.set_fault(Fault::None);
    engine
        .register(spec(slot_id, "live_a", "play_d"))
        .await
        .unwrap();
    assert_eq!(engine.health().await, EngineHealth::Ready);
    assert_eq!(pairs(&fake), [pair("live_a", "play_d")]);
    let text = format!("{engine:?}");
    assert!(!text.contains(KEY) && !text.contains("play_d"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_line_is_silence_long_before_sls_says_so() {
    let fake = FakeSls::start();
    let engine = engine(&fake);
    let mut events = engine.events();
    let slot_id = SlotId::generate();
    engine
        .register(spec(slot_id, "live_a", "play_a"))
        .await
        .unwrap();
    assert!(fake.publish("live_a", 5_000, LATENCY));
    let next = tokio::time::timeout(PATIENCE, events.recv()).await;
    assert_eq!(next.unwrap().unwrap(), EngineEvent::MediaStarted(slot_id));
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
    let next = tokio::time::timeout(PATIENCE, events.recv()).await;
    let gone = EngineEvent::PublisherGone(slot_id, Ended::Error);
    assert_eq!(next.unwrap().unwrap(), gone);
    assert!(fake.publish("live_a", 5_000, LATENCY));
    let next = tokio::time::timeout(PATIENCE, events.recv()).await;
    assert_eq!(next.unwrap().unwrap(), EngineEvent::MediaStarted(slot_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn disconnecting_lets_nobody_new_in_and_shows_who_stays() {
    let fake = FakeSls::start();
    let engine = engine(&fake);
    let slot_id = SlotId::generate();
    engine
        .register(spec(slot_id, "live_a", "play_a"))
        .await
        .unwrap();
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
    let slot_id = SlotId::generate();
    engine
        .register(spec(slot_id, "live_a", "play_a"))
        .await
        .unwrap();
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
