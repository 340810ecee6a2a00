//! Who is connected to the SLS in a container: those who stay with old keys, those whom the hook refuses, and whose
//! links are whose.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use glb::kernel::ids::SlotId;
use glb::relay::docker::DockerRelay;
use glb::relay::engine::{Engine, PublisherStats, StreamSpec};

use super::stage::{Stage, UP, free_tcp_port};
use crate::harness::eventually::eventually;
use crate::net::srt_player::Player;
use crate::net::srt_probe::{self, Call, Connection};
use crate::net::srt_publisher::Publisher;
use crate::net::srtla_sender::{SenderConfig, SrtlaSender};

const PAUSE: Duration = Duration::from_millis(5);

fn spec(slot_id: SlotId, publish: &str, play: &str) -> StreamSpec {
    StreamSpec {
        slot_id,
        publish_key: publish.into(),
        play_key: play.into(),
        passphrase: None,
    }
}

fn call(listener: SocketAddr, key: &str) -> Connection {
    let call = Call {
        latency: Duration::from_millis(300),
        timeout: UP,
        ..Call::new(listener, key)
    };
    srt_probe::call(&call).accepted()
}

fn publish(listener: SocketAddr, key: &str) -> Publisher {
    let publisher = Publisher::start(call(listener, key));
    publisher.send(1_000_000, PAUSE);
    publisher
}

async fn publisher(relay: &DockerRelay, slot_id: SlotId) -> Option<PublisherStats> {
    let streams = relay.stats().await.ok()?;
    let stream = streams.into_iter().find(|it| it.slot_id == slot_id)?;
    stream.publisher
}

async fn set(change: impl FnOnce(&mut Stage)) -> (Stage, DockerRelay) {
    let mut stage = Stage::new();
    stage.speak_to_sls();
    change(&mut stage);
    stage.supervise();
    stage.until_ready().await;
    let relay = stage.relay().clone();
    (stage, relay)
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_with_an_old_key_stays_while_another_slot_is_live_and_no_longer() {
    let (stage, relay) = set(|_| {}).await;
    let port = local(stage.config.ports.publish);
    let [left, other] = [(); 2].map(|()| SlotId::generate());
    relay
        .register(spec(left, "live_a", "play_a"))
        .await
        .unwrap();
    relay
        .register(spec(other, "live_b", "play_b"))
        .await
        .unwrap();
    let (_first, second) = (publish(port, "live_a"), publish(port, "live_b"));
    eventually(UP, "both publish", async || {
        publisher(&relay, left).await.is_some() && publisher(&relay, other).await.is_some()
    })
    .await;
    let begun = stage.inspect("sls", "{{.State.StartedAt}}");
    relay
        .register(spec(left, "live_c", "play_a"))
        .await
        .unwrap();
    let says = "it is told why he stays and when he goes";
    stage
        .until(says, |it| {
            let mut warnings = it.warnings.iter();
            warnings.any(|it| it.contains("1 publishers") && it.contains("no other slot is live"))
        })
        .await;
    assert_eq!(stage.inspect("sls", "{{.State.StartedAt}}"), begun);
    second.close();
    eventually(UP, "he is ended", async || {
        publisher(&relay, left).await.is_none()
            && stage.inspect("sls", "{{.State.StartedAt}}") != begun
    })
    .await;
    stage
        .until("nobody stays", |it| {
            it.is_ready && !it.warnings.iter().any(|it| it.contains("no longer good"))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_with_an_old_key_is_known_to_the_hook_and_refused_from_then_on() {
    let (stage, relay) = set(|stage| stage.config.admission_port = Some(free_tcp_port())).await;
    let ports = stage.config.ports;
    let slot_id = SlotId::generate();
    relay
        .register(spec(slot_id, "live_a", "play_a"))
        .await
        .unwrap();
    let encoder = publish(local(ports.publish), "live_a");
    eventually(UP, "media arrive", async || {
        encoder.counters().acknowledged > 0
    })
    .await;
    let player = Player::start(call(local(ports.play), "play_a"));
    eventually(UP, "media are played", async || {
        player.counters().received > 0
    })
    .await;
    relay
        .register(spec(slot_id, "live_a", "play_b"))
        .await
        .unwrap();
    stage
        .until("the player is told", |it| {
            it.warnings.iter().any(|it| it.contains("1 players"))
        })
        .await;
    let again = Player::start(call(local(ports.play), "play_a"));
    eventually(UP, "the old key is refused", async || {
        again.counters().is_closed
    })
    .await;
    assert!(!encoder.counters().is_closed, "the publisher's key is good");
    let settings = stage.config.folder.join("sls/etc/sls.conf");
    let settings = std::fs::read_to_string(settings).unwrap();
    assert!(settings.contains("on_event_url http://"), "{settings}");
}

#[tokio::test(flavor = "multi_thread")]
async fn links_of_two_bonded_streams_are_each_shown_with_their_own() {
    let (stage, relay) = set(|_| {}).await;
    let receiver = local(stage.config.ports.srtla);
    let slots = [("live_a", "play_a", 3), ("live_b", "play_b", 2)];
    let mut senders = Vec::new();
    for (publish_key, play_key, links) in slots {
        let slot_id = SlotId::generate();
        relay
            .register(spec(slot_id, publish_key, play_key))
            .await
            .unwrap();
        let first = 10 * links;
        let sources = (first..first + links).map(|last| IpAddr::from([127, 0, 0, last]));
        let sender = SrtlaSender::start(&SenderConfig {
            sources: sources.collect(),
            seed: u64::from(links),
            ..SenderConfig::over_links(receiver, links)
        });
        eventually(UP, "all links have joined", async || {
            sender.counters().registered_links() == usize::from(links)
        })
        .await;
        let encoder = publish(sender.local_address(), publish_key);
        senders.push((slot_id, usize::from(links), sender, encoder));
    }
    for (slot_id, links, ..) in &senders {
        eventually(UP, "the links are shown", async || {
            let shown = publisher(&relay, *slot_id).await;
            let shown = shown.map_or_else(Vec::new, |publisher| publisher.links);
            // For a moment the first was the only one, and its links could be told from that.
            assert!(shown.is_empty() || shown.len() == *links, "{shown:?}");
            shown.len() == *links
        })
        .await;
    }
    for (slot_id, ..) in &senders {
        let shown = publisher(&relay, *slot_id).await.unwrap().links;
        assert!(
            shown
                .iter()
                .all(|link| link.carrier.as_deref() == Some("Example Mobile"))
        );
    }
}
