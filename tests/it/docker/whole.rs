//! From the plugin's start to its stop, through the containers and on to another node.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::images::images;
use super::server::{identity_of, variables};
use super::stage::{Stage, UP};
use crate::harness::client::{Browser, Http, Plugin, Session};
use crate::harness::eventually::eventually_blocking;
use crate::harness::glb;
use crate::harness::server::{Server, ServerConfig};
use crate::net::fake_sls::{FakeSls, KEY};
use crate::net::srt_player::Player;
use crate::net::srt_probe::{self, Call};
use crate::net::srt_publisher::Publisher;
use crate::net::srtla_sender::{SenderConfig, SrtlaSender};

const CONNECTION: &str = "conn_1774300000123_1";
const LATENCY: Duration = Duration::from_millis(500);
/// 2 Mbit/s.
const PAUSE: Duration = Duration::from_micros(5_264);

fn ready(server: &Server) {
    let http = Http::to(server.addresses().http);
    eventually_blocking(UP, "the containers are ready", || {
        http.get("/readyz").status == 200
    });
}

fn call(listener: std::net::SocketAddr, key: &str) -> srt_probe::Connection {
    let call = Call {
        latency: LATENCY,
        timeout: UP,
        ..Call::new(listener, key)
    };
    srt_probe::call(&call).accepted()
}

/// An encoder that bonds three networks, and a player.
struct OnAir {
    sender: SrtlaSender,
    publisher: Publisher,
    player: Player,
}

impl OnAir {
    fn begin(server: &Server, session: &Session) -> Self {
        let addresses = server.addresses();
        let sender = SrtlaSender::start(&SenderConfig::over_links(addresses.srtla, 3));
        eventually_blocking(UP, "all links have joined", || {
            sender.counters().registered_links() == 3
        });
        let publisher = Publisher::start(call(sender.local_address(), &session.publish_key));
        publisher.send(1_000_000, PAUSE);
        eventually_blocking(UP, "media arrive", || publisher.counters().acknowledged > 0);
        let player = Player::start(call(addresses.srt_play, &session.play_key));
        eventually_blocking(UP, "media are played", || player.counters().received > 0);
        Self {
            sender,
            publisher,
            player,
        }
    }

    /// All that was sent so far comes through.
    fn comes_through(&self) {
        let sent = self.publisher.counters().sent;
        eventually_blocking(UP, "what was sent is played", || {
            self.player.counters().last_number >= Some(sent)
        });
        let counters = self.player.counters();
        assert_eq!(
            (counters.missing, counters.misplaced),
            (0, 0),
            "{counters:?}"
        );
        assert!(!counters.is_closed && !self.publisher.counters().is_closed);
    }
}

fn links(plugin: &Plugin) -> Vec<Value> {
    let active = plugin.active(CONNECTION).expect(200).json();
    let links = active["per_link"]["connections"].as_array();
    links.cloned().unwrap_or_default()
}

fn post(plugin: &Plugin, path: &str, body: &Value) -> Value {
    let key = uuid::Uuid::new_v4().to_string();
    let request = plugin.authorised(Method::POST, path);
    let answer = plugin.send(request.header("idempotency-key", key).json(body));
    assert!(answer.status < 300, "{}", answer.text());
    answer.json()
}

/// Slots that SLS in the container has, as it says itself.
fn slots_in_container(stage: &Stage) -> usize {
    let pairs = std::fs::read_to_string(stage.config.folder.join("sls/data/pairs"));
    pairs.unwrap_or_default().lines().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bonded_stream_goes_through_the_containers_survives_our_kill_and_moves_on() {
    let stage = Stage::new();
    tokio::task::spawn_blocking(move || journey(stage))
        .await
        .unwrap();
}

fn journey(mut stage: Stage) {
    images();
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let config = variables(ServerConfig::on(&data_dir), &stage);
    let mut server = Server::start_from(&config);
    stage.identity.instance = identity_of(&data_dir);
    stage.config.folder = data_dir.join("relay");
    ready(&server);
    let account = server.admin_create("owner@example.org", "owner");
    let mut browser = Browser::signed_in(&server, &account);
    let plugin = Plugin::signed_in(&server, &mut browser);
    // Ready is told a moment before the node takes sessions.
    let token = plugin.stream_token(1);
    eventually_blocking(UP, "there is room", || {
        plugin.start(CONNECTION, &token).status < 300
    });
    let session = plugin.session(CONNECTION);
    let slots = slots_in_container(&stage);
    assert!(slots > 0);

    let on_air = OnAir::begin(&server, &session);
    on_air.comes_through();
    eventually_blocking(UP, "three links are shown", || links(&plugin).len() == 3);
    for link in links(&plugin) {
        assert!(link["bytes"].as_u64().unwrap() > 0, "{link}");
        assert_eq!(link["asn_org"], "Example Mobile", "{link}");
    }

    // Ours ends and comes back: not a packet is missing.
    server.kill_hard();
    let server = server.restart();
    ready(&server);
    on_air.comes_through();
    eventually_blocking(UP, "the links are shown again", || {
        links(&plugin).len() == 3
    });
    assert_eq!(on_air.sender.counters().refusals, 0);
    let played = on_air.player.counters();
    eprintln!(
        "over kill -9 and restart of the server: {} packets played, {} missing",
        played.received, played.missing
    );

    let far = FakeSls::start();
    move_to_far(&server, &plugin, &far);
    on_air.publisher.close();
    drop(on_air.player);
    assert!(far.publish(&session.publish_key, 5_000, LATENCY));
    far.unpublish(&session.publish_key);
    let active = plugin.active(CONNECTION).expect(200).json();
    let session_id = active["session"]["session_id"].as_str().unwrap().to_owned();
    plugin.stop(&session_id).expect(200);
    eventually_blocking(UP, "the node forgot the slot", || far.entries().is_empty());
    assert_eq!(plugin.active(CONNECTION).status, 204);
    // A slot stays good for a direct stream, and there is nothing else.
    assert_eq!(slots_in_container(&stage), slots);
}

fn move_to_far(server: &Server, plugin: &Plugin, far: &FakeSls) {
    let mut add = glb::command(server.data_dir());
    add.args(["node", "add", "--name", "far", "--region", "far"])
        .args(["--key-stdin", "--url", &far.url()]);
    glb::finish(add, &format!("{KEY}\n")).json_line();
    eventually_blocking(UP, "the node is up", || {
        let listed = glb::run(server.data_dir(), &["node", "list"]).json_line();
        let nodes = listed["nodes"].as_array().unwrap();
        let mut nodes = nodes.iter();
        nodes.any(|node| node["name"] == "far" && node["health"] == "up")
    });
    let body = json!({"connection_id": CONNECTION, "new_region": "far"});
    let moved = post(plugin, "/api/v1/relay/migrate", &body);
    assert_eq!(moved["session"]["region"], "far", "{moved}");
    assert_eq!(far.entries().len(), 1);
}
