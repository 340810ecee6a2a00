//! The real server with a second node: start there, move away, lose it, and nothing of ours stays behind.

use std::process::Command;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::client::{Browser, Plugin};
use crate::harness::eventually::eventually_blocking;
use crate::harness::glb;
use crate::harness::server::Server;
use crate::net::fake_sls::{FakeSls, KEY};

/// Three probes of five seconds, and what follows.
const PATIENCE: Duration = Duration::from_secs(40);

struct House {
    server: Server,
    plugin: Plugin,
    sls: FakeSls,
}

impl House {
    fn open() -> Self {
        let server = Server::start();
        let account = server.admin_create("streamer@example.org", "owner");
        let mut browser = Browser::signed_in(&server, &account);
        let plugin = Plugin::signed_in(&server, &mut browser);
        Self {
            server,
            plugin,
            sls: FakeSls::start(),
        }
    }

    fn add_node(&self, key: &str) -> Value {
        let mut command: Command = glb::command(self.server.data_dir());
        let url = self.sls.url();
        let arguments = [
            "node",
            "add",
            "--name",
            "far",
            "--region",
            "far",
            "--key-stdin",
        ];
        command
            .args(arguments)
            .args(["--url", &url, "--srtla-port", "15000"]);
        glb::finish(command, &format!("{key}\n")).json_line()
    }

    fn far(&self) -> Value {
        let listed = glb::run(self.server.data_dir(), &["node", "list"]).json_line();
        let nodes = listed["nodes"].as_array().unwrap();
        nodes
            .iter()
            .find(|node| node["name"] == "far")
            .unwrap()
            .clone()
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.plugin.authorised(Method::POST, path);
        let key = uuid::Uuid::new_v4().to_string();
        let answer = self
            .plugin
            .send(request.header("idempotency-key", key).json(body));
        assert!(answer.status < 300, "{}", answer.text());
        answer.json()["session"].clone()
    }

    fn start_far(&self) -> Value {
        eventually_blocking(PATIENCE, "the node is up", || self.far()["health"] == "up");
        let body = json!({"connection_id": "a", "region_preference": "far"});
        let session = self.post("/api/v1/relay/start", &body);
        assert_eq!(session["region"], "far", "{session}");
        assert_eq!(session["relay"]["srt_port"], 15000);
        assert_eq!(self.sls.entries().len(), 1);
        session
    }

    fn region(&self) -> Value {
        self.plugin.active("a").expect(200).json()["session"]["region"].clone()
    }
}

#[test]
fn a_session_at_another_node_moves_home_and_leaves_nothing_there() {
    let house = House::open();
    assert_eq!(house.add_node(KEY)["kind"], "external");
    let session = house.start_far();
    let move_home = json!({"connection_id": "a", "new_region": "local"});
    let moved = house.post("/api/v1/relay/migrate", &move_home);
    assert_eq!(moved["region"], "local");
    assert_ne!(moved["session_id"], session["session_id"]);
    eventually_blocking(PATIENCE, "the node forgot the slot", || {
        house.sls.entries().is_empty()
    });
    house
        .plugin
        .stop(session["session_id"].as_str().unwrap())
        .expect(200);
    assert_eq!(house.plugin.active("a").status, 204);
}

#[test]
fn a_node_that_dies_loses_its_sessions_to_the_own_relay() {
    let mut house = House::open();
    house.add_node(KEY);
    house.start_far();
    house.sls.stop();
    eventually_blocking(PATIENCE, "the session moved", || house.region() == "local");
    house.sls.start_again(true);
    eventually_blocking(PATIENCE, "the node forgot the slot", || {
        house.sls.entries().is_empty()
    });
}

#[test]
fn a_node_with_a_wrong_key_is_down_says_why_and_is_up_with_the_right_one() {
    let house = House::open();
    let added = house.add_node("another-key");
    eventually_blocking(PATIENCE, "the reason is told", || {
        let far = house.far();
        far["health"] == "down" && far["reason"].as_str().unwrap().contains("key")
    });
    let regions = house.plugin.get("/api/v1/relay/regions").expect(200).json();
    assert_eq!(regions["regions"][0]["available"], false, "{regions}");

    let mut command = glb::command(house.server.data_dir());
    let id = added["id"].as_str().unwrap();
    command.args(["node", "rotate-key", id, "--key-stdin"]);
    let told = glb::finish(command, &format!("{KEY}\n"));
    let rotated = told.json_line();
    assert_eq!(
        (&rotated["id"], &rotated["reason"]),
        (&added["id"], &json!("")),
        "{rotated}"
    );
    assert!(!rotated.to_string().contains(KEY), "no key is printed");
    house.start_far();
}
