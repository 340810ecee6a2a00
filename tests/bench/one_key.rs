//! A hundred starts at once with one idempotency key.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::{Value, json};

use crate::http::{Kept, request};
use crate::scene;
use crate::table::Table;

const CALLERS: usize = 100;
const ROUNDS: usize = 10;

/// Counts sessions and failures.
pub(crate) fn measure(table: &mut Table) {
    let server = scene::server();
    let plugin = scene::plugin(&server, "owner");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime needs only a few descriptors");
    let (mut most_sessions, mut failures, mut slowest) = (0, 0, 0.0_f64);
    for round in 0..ROUNDS {
        let body = json!({
            "connection_id": format!("conn_{round}"),
            "stream_token": plugin.stream_token(1),
        });
        let key = format!("idempotency-key: {}\r\n", uuid::Uuid::new_v4());
        let path = "/api/v1/relay/start";
        let call = request("POST", path, &plugin.access_token, &key, &body.to_string());
        let (answers, seconds) = runtime.block_on(all_at_once(&server, &call));
        slowest = slowest.max(seconds);
        failures += answers.iter().filter(|(status, _)| *status >= 400).count();
        let sessions: BTreeSet<_> = answers.iter().map(|(_, session)| session).collect();
        most_sessions = most_sessions.max(sessions.len());
    }
    table.row(
        &format!("{CALLERS} parallel starts with one key: sessions, most of {ROUNDS} rounds"),
        most_sessions,
        &format!("1 (the slowest round took {:.0} ms)", slowest * 1e3),
    );
    table.row("the same: answers of 400 and more", failures, "0");
}

async fn all_at_once(
    server: &crate::harness::server::Server,
    call: &[u8],
) -> (Vec<(u16, String)>, f64) {
    let mut callers = Vec::with_capacity(CALLERS);
    for _ in 0..CALLERS {
        callers.push(Kept::to(server.addresses().http).await);
    }
    let began = Instant::now();
    let calls = callers.iter_mut().map(async |caller| {
        let (status, body) = caller.call(call).await;
        let body: Value = serde_json::from_slice(body).expect("the answer is JSON");
        let session = body["session"]["session_id"].as_str().unwrap_or_default();
        (status, session.to_owned())
    });
    let answers = futures_util::future::join_all(calls).await;
    (answers, began.elapsed().as_secs_f64())
}
