//! Ten thousand users with fifty sessions each: how long pages and jobs take.

use std::time::{Duration, Instant};

use glb::kernel::Clock;
use glb::kernel::ids::UserId;
use glb::kernel::seal::Vault;
use glb::slots::store as slots;
use reqwest::Method;
use rusqlite::Connection;
use serde_json::Value;

use crate::harness::client::{Browser, Plugin};
use crate::harness::eventually::eventually_blocking;
use crate::harness::server::{Account, Server};
use crate::process::resident_kib;
use crate::scene;
use crate::table::Table;

const USERS: usize = 10_000;
const CALLS: usize = 100;
const PATIENCE: Duration = Duration::from_secs(120);
/// In hexadecimal and as bytes; of this scene alone.
const SEALING_KEY: &str = "0707070707070707070707070707070707070707070707070707070707070707";
const SEALING_BYTES: [u8; 32] = [7; 32];

/// Users, plans and who they are; slots are made beside.
const PEOPLE: &str = "
PRAGMA foreign_keys = OFF;
PRAGMA synchronous = OFF;
CREATE TEMP TABLE person AS
    WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)
    SELECT i, printf('usr_%032x', i) AS id FROM n;
CREATE TEMP TABLE nth AS
    WITH RECURSIVE n (k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM n WHERE k < 49) SELECT k FROM n;
INSERT INTO user (id, email, display_name, role, password_hash, created_at_ms, updated_at_ms)
    SELECT id, 'user' || i || '@example.org', 'User ' || i, 'streamer', '', 0, 0 FROM person;
INSERT INTO plan (user_id, tier, status, cycle_anchor_at_ms, created_at_ms, updated_at_ms)
    SELECT id, 'standard', 'active', 1769853600000, 0, 0 FROM person;";

/// What they did, once their slots are there.
const DEEDS: &str = "
CREATE TEMP TABLE first_slot AS SELECT user_id, min(id) AS slot_id FROM stream_slot GROUP BY user_id;
CREATE UNIQUE INDEX temp.first_slot_of ON first_slot (user_id);
INSERT INTO relay_session (id, user_id, slot_id, connection_id, status, region, region_preference,
        requested_by, credentials_sealed, started_at_ms, stopped_at_ms, stop_reason, lease_expires_at_ms,
        grace_window_seconds, max_session_seconds, updated_at_ms)
    SELECT printf('ses_%032x', i * 64 + k), id, slot_id, 'conn', 'stopped', 'local', '', '', x'00',
        :now - (50 - k) * 86400000, :now - (50 - k) * 86400000 + 3600000, 'requested', 0, 600, 57600, 0
    FROM person JOIN first_slot ON user_id = id, nth;
INSERT INTO usage_record (user_id, cycle_start_at_ms, session_id, seconds)
    SELECT user_id, 1769853600000, id, 600 FROM relay_session WHERE stopped_at_ms IS NOT NULL;
INSERT INTO relay_health_event (session_id, received_at_ms, observed_at_ms, ingest_active, egress_active,
        session_uptime_seconds)
    SELECT id, stopped_at_ms, stopped_at_ms, 1, 1, 10 FROM relay_session WHERE stopped_at_ms IS NOT NULL;
INSERT INTO audit_event (id, at_ms, actor_user_id, action, subject, detail)
    SELECT printf('evt_%032x', i * 64 + k), :now - (50 - k) * 86400000, id, 'session.started', id, ''
    FROM person, nth;
INSERT INTO browser_session (id, user_id, token_digest, user_agent, address, created_at_ms, last_seen_at_ms,
        expires_at_ms)
    SELECT printf('bro_%032x', i), id, CAST(id AS BLOB), '', '', :now, :now, :now + 86400000 FROM person;
INSERT INTO billing_event (id, provider, identity, kind, received_at_ms, state, attempts, next_attempt_at_ms,
        acted_at_ms, result, fact, occurred_at_ms, subscription, customer, user_id)
    SELECT printf('evt_%032x', i * 8 + k), 'lemonsqueezy', i || '-' || k, 'subscription_updated', :now, 'done',
        1, 0, :now, 'activate: free/active -> standard/active',
        json_object('at_ms', :now, 'change', json_object('is', 'snapshot', 'status', 'active', 'items',
            json_array(json_object('price', '501', 'quantity', 1)), 'renews_at_ms', NULL, 'ends_at_ms', NULL),
            'subscription', CAST(i AS TEXT), 'customer', CAST(i AS TEXT), 'references', json_array(),
            'user', NULL, 'email', NULL),
        :now, CAST(i AS TEXT), CAST(i AS TEXT), id
    FROM person, nth WHERE k < 4;
INSERT INTO billing_subscription (provider, subscription, user_id, status, is_over, updated_at_ms)
    SELECT 'lemonsqueezy', CAST(i AS TEXT), id, 'active', 0, :now FROM person;
INSERT INTO billing_account (user_id, updated_at_ms) SELECT id, :now FROM person;";

/// Measures the start, every page of many things, and every job.
pub(crate) fn measure(table: &mut Table) {
    let mut server = scene::server_with(|config| {
        config
            .with("GLB_SEALING_KEY", SEALING_KEY)
            .with("GLB_BILLING_PROVIDER", "lemonsqueezy")
            .with("GLB_BILLING_LEMONSQUEEZY_WEBHOOK_SECRET", "of the bench")
            .with("GLB_BILLING_LEMONSQUEEZY_STANDARD_VARIANTS", "501")
    });
    let owner = server.admin_create("owner@example.org", "owner");
    server.terminate();
    let begun = Instant::now();
    fill(&server);
    table.row(
        "filling 10,000 users × 50 sessions",
        ms(begun.elapsed()),
        "",
    );
    let begun = Instant::now();
    let server = server.restart();
    table.row("start with 40,000 slots", ms(begun.elapsed()), "");
    pages(table, &server, &owner);
    jobs(table, &server, &owner);
    let kib = resident_kib(server.process_id());
    table.row(
        "resident memory afterwards",
        format!("{} MiB", kib / 1024),
        "",
    );
}

#[expect(
    clippy::disallowed_methods,
    reason = "fills the database of a server that has ended"
)]
fn fill(server: &Server) {
    let file = server.data_dir().join("glb.db");
    let mut connection = Connection::open(file).expect("the server has ended");
    connection.execute_batch(PEOPLE).expect("the schema fits");
    let vault = Vault::new(&SEALING_BYTES);
    let now = Clock::system().now();
    let transaction = connection.transaction().expect("nobody else writes");
    for number in 0..USERS {
        let user: UserId = format!("usr_{number:032x}").parse().expect("it is an id");
        slots::slot_insert_missing(&transaction, &vault, user, 4, now).expect("the schema fits");
    }
    let deeds = DEEDS.replace(":now", &now.0.to_string());
    transaction.execute_batch(&deeds).expect("the schema fits");
    transaction.commit().expect("there is room");
}

fn pages(table: &mut Table, server: &Server, owner: &Account) {
    let mut browser = Browser::signed_in(server, owner);
    let user = format!("{:032x}", 7777);
    for path in [
        "/live".to_owned(),
        format!("/live?user=usr_{user}"),
        "/users".to_owned(),
        format!("/users?after=usr_{user}"),
        "/users?q=user7".to_owned(),
        format!("/users/usr_{user}"),
        format!("/users/usr_{user}/account"),
        "/plans".to_owned(),
        "/audit".to_owned(),
        "/audit?action=session.started".to_owned(),
        format!("/audit?actor=usr_{user}"),
        "/account".to_owned(),
        "/account/usage".to_owned(),
        "/billing".to_owned(),
        "/billing?state=flagged".to_owned(),
        "/jobs".to_owned(),
        "/nodes".to_owned(),
        "/metrics".to_owned(),
    ] {
        let mut times: Vec<_> = (0..CALLS)
            .map(|_| {
                let begun = Instant::now();
                browser.get(&path).expect(200);
                begun.elapsed()
            })
            .collect();
        times.sort();
        let shown = path.replace(&user, "…");
        table.row(
            &format!("GET {shown}, p99"),
            ms(times[CALLS * 99 / 100]),
            "",
        );
    }
}

/// Runs a job and answers its state afterwards: the call itself waits two seconds at most.
fn run_to_its_end(plugin: &Plugin, name: &str) -> Value {
    let state = || {
        let listed = plugin.get("/api/v1/jobs").expect(200).json();
        let jobs = listed["jobs"].as_array().expect("they are listed");
        let found = jobs.iter().find(|job| job["name"] == name);
        found.expect("it is listed").clone()
    };
    let rests = || state()["running_since"].is_null();
    eventually_blocking(PATIENCE, "the job rests", rests);
    let before = state()["runs"].as_i64();
    let path = format!("/api/v1/jobs/{name}/run");
    let run = plugin.authorised(Method::POST, &path);
    plugin.send(run).expect(200);
    eventually_blocking(PATIENCE, "the job ran", || {
        state()["runs"].as_i64() > before && rests()
    });
    state()
}

fn jobs(table: &mut Table, server: &Server, owner: &Account) {
    let plugin = Plugin::signed_in(server, &mut Browser::signed_in(server, owner));
    let listed = plugin.get("/api/v1/jobs").expect(200).json();
    let jobs = listed["jobs"].as_array().expect("they are listed");
    for job in jobs {
        let name = job["name"].as_str().expect("a job has a name");
        let state = run_to_its_end(&plugin, name);
        let took = state["last_duration_ms"].as_i64().expect("it ran");
        let took = format!("{took} ms");
        let said = state["last_error"]
            .as_str()
            .or(state["last_result"].as_str())
            .unwrap_or_default();
        table.row(&format!("job {name}"), took, said);
    }
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
