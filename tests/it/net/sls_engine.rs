//! The SLS engine against a fake SLS: what the node admits, its limits and its faults.

use std::time::{Duration, Instant};

use glb::kernel::ids::SlotId;
use glb::relay::engine::{Engine, EngineError, EngineHealth, StreamSpec};
use glb::relay::sls::{SlsConfig, SlsEngine};
use secrecy::SecretString;

use super::fake_sls::{FakeSls, Fault, KEY};
use crate::harness::eventually::eventually;

const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn config(fake: &FakeSls) -> SlsConfig {
    let url = fake.url().parse().unwrap();
    SlsConfig {
        api_per_minute: 1000,
        stats_per_minute: 1000,
        answer_within: Duration::from_millis(500),
        ..SlsConfig::new(url, SecretString::from(KEY), "here")
    }
}

pub(super) fn engine(fake: &FakeSls) -> SlsEngine {
    let engine = SlsEngine::new(&config(fake)).unwrap();
    engine.open();
    engine
}

pub(super) fn spec(slot_id: SlotId, publish: &str, play: &str) -> StreamSpec {
    StreamSpec {
        slot_id,
        publish_key: SecretString::from(publish),
        play_key: SecretString::from(play),
        passphrase: None,
    }
}

/// A slot of its own at an engine, with the keys `live_a` and `play_a`.
pub(super) async fn registered(engine: &SlsEngine) -> SlotId {
    let slot_id = SlotId::generate();
    let spec = spec(slot_id, "live_a", "play_a");
    engine.register(spec).await.unwrap();
    slot_id
}

/// The keys that the fake has, without descriptions.
pub(super) fn pairs(fake: &FakeSls) -> Vec<(String, String)> {
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
    let slot_id = registered(&engine).await;
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
