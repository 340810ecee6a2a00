//! The pool of relay nodes: how long a start takes with a registration at a node, how exactly room is kept,
//! and what it costs to look after fifty nodes.
//!
//! The nodes are fakes of SLS on loopback; the own relay takes no session, so that all go to them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::calls::{count, micros};
use crate::harness::client::Plugin;
use crate::harness::eventually::{eventually_blocking, rest_until};
use crate::harness::glb;
use crate::harness::server::Server;
use crate::http::{Kept, request};
use crate::net::fake_sls::{FakeSls, KEY};
use crate::process::CpuMeter;
use crate::scene;
use crate::start::settle;
use crate::table::Table;

const PATIENCE: Duration = Duration::from_secs(60);
const SLOTS: usize = 4;
const NODES: usize = 50;
const STARTS: usize = 300;
/// What the fakes take a minute, as those that we run ourselves do.
const CALLS_PER_MINUTE: &str = "1000";
/// A start and its stop are two calls, so this is half of what they take.
const PACE: Duration = Duration::from_millis(240);
const CROWD: usize = 100;
const CROWD_NODES: usize = 3;
const CROWD_PLACES: usize = 7;
/// Twice as long as the slowest job pauses.
const WATCHED: Duration = Duration::from_mins(2);

/// A server without a relay of its own.
fn server() -> Server {
    let mut server = scene::server_with(|config| {
        config
            .with("GLB_RELAY_ENGINE", "docker")
            .with("GLB_RELAY_DOCKER_SOCKET", "/nowhere/docker.sock")
            // All plugins sign in from one address.
            .with("GLB_LIMITS_ENABLED", false)
    });
    server.expect_errors();
    server
}

/// Nodes of a region each, or of one.
fn add_nodes(
    server: &Server,
    nodes: usize,
    places: usize,
    region: impl Fn(usize) -> String,
) -> Vec<FakeSls> {
    let fakes: Vec<_> = (0..nodes).map(|_| FakeSls::start()).collect();
    for (number, fake) in fakes.iter().enumerate() {
        let mut command = glb::command(server.data_dir());
        command
            .args(["node", "add", "--key-stdin"])
            .args([
                "--name",
                &format!("node{number}"),
                "--region",
                &region(number),
            ])
            .args(["--url", &fake.url(), "--capacity", &places.to_string()])
            .args(["--api-calls-per-minute", CALLS_PER_MINUTE]);
        glb::finish(command, &format!("{KEY}\n")).json_line();
    }
    eventually_blocking(PATIENCE, "all nodes are up", || {
        let listed = glb::run(server.data_dir(), &["node", "list"]).json_line();
        let listed = listed["nodes"].as_array().cloned().unwrap_or_default();
        listed.iter().filter(|node| node["health"] == "up").count() == nodes
    });
    fakes
}

fn start_call(plugin: &Plugin, slot: usize, connection: &str, region: &str) -> Vec<u8> {
    let slot_number = u64::try_from(slot).expect("it is small") + 1;
    let body = json!({
        "client_context": {"mode": "auto", "obs_connected": true, "requested_by": "obs-plugin"},
        "connection_id": connection,
        "region_preference": region,
        "stream_token": plugin.stream_token(slot_number),
    });
    let key = format!("idempotency-key: {}\r\n", uuid::Uuid::new_v4());
    let path = "/api/v1/relay/start";
    request("POST", path, &plugin.access_token, &key, &body.to_string())
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime needs only a few descriptors")
}

/// Starts one after another, each registered at the one node of this machine.
pub(crate) fn registration(table: &mut Table) {
    let server = server();
    let owner = scene::plugin(&server, "owner");
    let fakes = add_nodes(&server, 1, 10, |_| "here".to_owned());
    let mut times = runtime().block_on(registered_starts(&server, &owner, &fakes[0]));
    times.sort();
    let ms = |place: usize| format!("{:.1} ms", micros(times[place]) / 1e3);
    let last = times.len() - 1;
    table.row(
        &format!("relay/start with registration at a node, p50 of {STARTS}"),
        ms(last / 2),
        &format!("one every {} ms", PACE.as_millis()),
    );
    table.row("the same, p99", ms(last * 99 / 100), "< 50 ms");
}

async fn registered_starts(server: &Server, owner: &Plugin, node: &FakeSls) -> Vec<Duration> {
    let mut times = Vec::new();
    let mut kept = Kept::to(server.addresses().http).await;
    for round in 0..STARTS {
        let turn = tokio::time::Instant::now() + PACE;
        let call = start_call(owner, 0, &format!("conn_{round}"), "here");
        let before = node.count("POST");
        let begun = Instant::now();
        let (status, answer) = kept.call(&call).await;
        times.push(begun.elapsed());
        let answer: Value = serde_json::from_slice(answer).expect("the answer is JSON");
        assert_eq!(status, 201, "{answer}");
        assert_eq!(answer["session"]["status"], "active", "{answer}");
        assert_eq!(node.count("POST"), before + 1, "it was registered");
        stop(&mut kept, owner, &answer["session"]["session_id"]).await;
        eventually_blocking(PATIENCE, "the node forgot", || node.entries().is_empty());
        tokio::time::sleep_until(turn).await;
    }
    times
}

async fn stop(kept: &mut Kept, plugin: &Plugin, session_id: &Value) {
    let body = json!({ "session_id": session_id }).to_string();
    let path = "/api/v1/relay/stop";
    let call = request("POST", path, &plugin.access_token, "", &body);
    assert_eq!(kept.call(&call).await.0, 200);
}

/// What the jobs that look after fifty nodes use of the processor: less what the same server uses without any.
pub(crate) fn tick(table: &mut Table) {
    let server = server();
    scene::plugin(&server, "owner");
    settle(&server);
    let idle = CpuMeter::of(server.process_id());
    rest_until(Instant::now() + WATCHED);
    let idle = idle.used();
    let fakes = add_nodes(&server, NODES, 10, |number| format!("region{number}"));
    // The first look at a node's list has more to do than those that follow.
    rest_until(Instant::now() + WATCHED);
    let asked = |call: &str| fakes.iter().map(|fake| fake.count(call)).sum::<usize>();
    let calls = ["GET /health", "GET /api/stream-ids"];
    let before = calls.map(asked);
    let busy = CpuMeter::of(server.process_id());
    rest_until(Instant::now() + WATCHED);
    let used = busy.used().saturating_sub(idle);
    let [probes, lists] = [0, 1].map(|index| asked(calls[index]) - before[index]);
    let ticks = u32::try_from(probes / NODES).expect("it is small").max(1);
    table.row(
        &format!("CPU of a tick, {NODES} nodes, mean of {ticks} (idle server subtracted)"),
        format!("{:.1} ms", micros(used) / 1e3 / f64::from(ticks)),
        &format!(
            "< 100 ms ({probes} probes and {lists} lists asked in {} s; idle {:.1} ms of them)",
            WATCHED.as_secs(),
            micros(idle) / 1e3
        ),
    );
}

/// A hundred starts at once on nodes that have room for fewer.
pub(crate) fn crowd(table: &mut Table) {
    let server = server();
    let users: Vec<_> = (0..CROWD / SLOTS)
        .map(|number| scene::plugin(&server, &format!("streamer{number}")))
        .collect();
    let fakes = add_nodes(&server, CROWD_NODES, CROWD_PLACES, |_| "far".to_owned());
    let begun = Instant::now();
    let answers = runtime().block_on(async {
        let starts = (0..CROWD).map(|number| {
            let plugin = &users[number / SLOTS];
            let call = start_call(plugin, number % SLOTS, &format!("conn_{number}"), "far");
            let address = server.addresses().http;
            async move {
                let mut kept = Kept::to(address).await;
                let (status, answer) = kept.call(&call).await;
                let answer: Value = serde_json::from_slice(answer).expect("it is JSON");
                (status, answer["error"]["code"].clone())
            }
        });
        futures_util::future::join_all(starts).await
    });
    let took = begun.elapsed();
    let of = |wanted: u16| {
        answers
            .iter()
            .filter(|(status, _)| *status == wanted)
            .count()
    };
    let full = answers
        .iter()
        .filter(|(status, code)| *status == 503 && code == "capacity_full")
        .count();
    let entries: Vec<_> = fakes.iter().map(|fake| fake.entries().len()).collect();
    let places = CROWD_NODES * CROWD_PLACES;
    table.row(
        &format!(
            "{CROWD} parallel starts on {CROWD_NODES} nodes of {CROWD_PLACES} places: admitted"
        ),
        of(201),
        &format!("exactly {places} (nodes have {entries:?})"),
    );
    table.row(
        "refused with capacity_full",
        full,
        &format!("{}", CROWD - places),
    );
    table.row(
        "other errors",
        CROWD - of(201) - full,
        &format!(
            "0 (all in {:.2} s, {:.1} ms each)",
            took.as_secs_f64(),
            took.as_secs_f64() * 1e3 / count(CROWD)
        ),
    );
}
