//! The plugin's calls: what one costs the server, and how long it takes in a crowd.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::harness::client::Plugin;
use crate::harness::server::Server;
use crate::http::{Kept, request};
use crate::process::CpuMeter;
use crate::table::Table;
use crate::{scene, start};

const CONNECTIONS: usize = 4;
const ACTIVE_CALLS: usize = 40_000;
const USERS: usize = 16;
const SLOTS: usize = 4;
/// Callers that start at once: one for each slot of each user.
const CALLERS: usize = USERS * SLOTS;
const ROUNDS: usize = 30;
const SERIAL_STARTS: usize = 400;

/// Measures both calls on one server.
pub(crate) fn measure(table: &mut Table) {
    let server = scene::server();
    let owner = scene::plugin(&server, "owner");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime needs only a few descriptors");
    measure_active(table, &server, &owner, &runtime, "with a session");
    measure_limited(table, &runtime);
    for path in ["/api/v1/usage/current", "/api/v1/auth/session"] {
        measure_account(table, &server, &owner, &runtime, path);
    }
    let plugins: Vec<_> = (0..USERS)
        .map(|number| scene::plugin(&server, &format!("streamer{number}")))
        .collect();
    runtime.block_on(measure_starts(table, &server, &plugins));
}

fn measure_active(
    table: &mut Table,
    server: &Server,
    owner: &Plugin,
    runtime: &Runtime,
    how: &str,
) {
    let connection_id = "conn_1774300000123_1";
    owner.session(connection_id);
    let path = format!("/api/v1/relay/active?connection_id={connection_id}");
    let what = format!("relay/active {how}");
    measure_call(table, server, owner, runtime, (&path, &what, 55));
}

/// The same call where limits are kept, and never reached.
fn measure_limited(table: &mut Table, runtime: &Runtime) {
    let server =
        scene::server_with(|config| config.with("GLB_LIMITS_ACTIVE_PER_MINUTE", 1_000_000));
    let owner = scene::plugin(&server, "owner");
    measure_active(table, &server, &owner, runtime, "and a limit");
}

/// With the session that [`measure_active`] began.
fn measure_account(
    table: &mut Table,
    server: &Server,
    owner: &Plugin,
    runtime: &Runtime,
    path: &str,
) {
    let what = path.trim_start_matches("/api/v1/");
    measure_call(table, server, owner, runtime, (path, what, 120));
}

fn measure_call(
    table: &mut Table,
    server: &Server,
    owner: &Plugin,
    runtime: &Runtime,
    (path, what, goal_us): (&str, &str, u32),
) {
    let call = request("GET", path, &owner.access_token, "", "");
    let work = |calls: usize| {
        runtime.block_on(async {
            let callers = (0..CONNECTIONS).map(|_| repeat(server, &call, calls / CONNECTIONS));
            futures_util::future::join_all(callers).await;
        });
    };
    work(ACTIVE_CALLS / 10);
    start::settle(server);
    let (begun, meter) = (Instant::now(), CpuMeter::of(server.process_id()));
    work(ACTIVE_CALLS);
    let used = meter.used();
    let rate = count(ACTIVE_CALLS) / begun.elapsed().as_secs_f64();
    table.row(
        &format!("CPU per {what}, {ACTIVE_CALLS} over 4 kept connections"),
        format!("{:.1} µs", micros(used) / count(ACTIVE_CALLS)),
        &format!("<= {goal_us} µs ({rate:.0}/s)"),
    );
}

async fn repeat(server: &Server, call: &[u8], times: usize) {
    let mut kept = Kept::to(server.addresses().http).await;
    for _ in 0..times {
        assert_eq!(kept.call(call).await.0, 200);
    }
}

/// Of the whole process, and of the thread that writes the database.
#[derive(Debug, Clone)]
struct Meters {
    whole: CpuMeter,
    writer: CpuMeter,
}

impl Meters {
    fn of(process_id: u32) -> Self {
        Self {
            whole: CpuMeter::of(process_id),
            writer: CpuMeter::of_thread(process_id, "sqlite-writer"),
        }
    }
}

/// What calls cost together.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    whole: Duration,
    writer: Duration,
}

impl Cost {
    fn add(&mut self, meters: &Meters) {
        self.whole += meters.whole.used();
        self.writer += meters.writer.used();
    }

    fn whole_of(self, calls: usize) -> String {
        format!("{:.0} µs", micros(self.whole) / count(calls))
    }

    fn writer_of(self, calls: usize) -> String {
        format!(
            "writer threads {:.0} µs",
            micros(self.writer) / count(calls)
        )
    }
}

/// One who starts and stops on a slot of its own.
struct Caller {
    kept: Kept,
    token: String,
    stream_token: String,
    number: usize,
}

impl Caller {
    async fn new(server: &Server, plugin: &Plugin, number: usize) -> Self {
        let slot_number = u64::try_from(number % SLOTS).expect("it is small") + 1;
        Self {
            kept: Kept::to(server.addresses().http).await,
            token: plugin.access_token.clone(),
            stream_token: plugin.stream_token(slot_number),
            number,
        }
    }

    /// Starts a session for a connection that was never seen; its id and how long it took.
    async fn start(&mut self, round: usize) -> (String, Duration) {
        let body = json!({
            "client_context": {"mode": "auto", "obs_connected": true, "requested_by": "obs-plugin"},
            "connection_id": format!("conn_{round}_{}", self.number),
            "region_preference": "us-central",
            "stream_token": self.stream_token,
        });
        let key = format!("idempotency-key: {}\r\n", uuid::Uuid::new_v4());
        let path = "/api/v1/relay/start";
        let call = request("POST", path, &self.token, &key, &body.to_string());
        let begun = Instant::now();
        let (status, answer) = self.kept.call(&call).await;
        let time = begun.elapsed();
        assert_eq!(status, 201, "{}", String::from_utf8_lossy(answer));
        let answer: Value = serde_json::from_slice(answer).expect("the answer is JSON");
        let id = answer["session"]["session_id"]
            .as_str()
            .expect("it has an id");
        (id.to_owned(), time)
    }

    async fn stop(&mut self, session_id: &str) {
        let body = json!({ "session_id": session_id }).to_string();
        let call = request("POST", "/api/v1/relay/stop", &self.token, "", &body);
        assert_eq!(self.kept.call(&call).await.0, 200);
    }
}

async fn measure_starts(table: &mut Table, server: &Server, plugins: &[Plugin]) {
    let mut callers = Vec::with_capacity(CALLERS);
    for number in 0..CALLERS {
        callers.push(Caller::new(server, &plugins[number / SLOTS], number).await);
    }
    let process_id = server.process_id();
    let (mut alone, mut crowd) = (Cost::default(), Cost::default());
    for round in 0..SERIAL_STARTS {
        let caller = &mut callers[round % CALLERS];
        let meters = Meters::of(process_id);
        let (session, _) = caller.start(round).await;
        alone.add(&meters);
        caller.stop(&session).await;
    }
    let mut times = Vec::with_capacity(CALLERS * ROUNDS);
    for round in SERIAL_STARTS..SERIAL_STARTS + ROUNDS {
        let meters = Meters::of(process_id);
        let starts = callers.iter_mut().map(|caller| caller.start(round));
        let started = futures_util::future::join_all(starts).await;
        crowd.add(&meters);
        times.extend(started.iter().map(|(_, time)| *time));
        let stops = callers.iter_mut().zip(&started);
        futures_util::future::join_all(stops.map(|(caller, (id, _))| caller.stop(id))).await;
    }
    show_starts(table, alone, crowd, times);
}

fn show_starts(table: &mut Table, alone: Cost, crowd: Cost, mut times: Vec<Duration>) {
    table.row(
        &format!("CPU per durable relay/start of a new session, {CALLERS} callers at once"),
        crowd.whole_of(times.len()),
        &format!(
            "<= 300 µs, stops not counted ({})",
            crowd.writer_of(times.len())
        ),
    );
    table.row(
        &format!("the same, {SERIAL_STARTS} one after another, a commit each"),
        alone.whole_of(SERIAL_STARTS),
        &format!("({})", alone.writer_of(SERIAL_STARTS)),
    );
    times.sort();
    let ms = |place: usize| format!("{:.1} ms", micros(times[place]) / 1e3);
    let last = times.len() - 1;
    table.row(
        &format!("relay/start p50 at {CALLERS} callers"),
        ms(last / 2),
        "",
    );
    table.row(
        &format!("relay/start p99 at {CALLERS} callers"),
        ms(last * 99 / 100),
        "< 50 ms",
    );
}

pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

pub(crate) fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).expect("it is small"))
}
