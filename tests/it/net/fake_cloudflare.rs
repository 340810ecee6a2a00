//! A stand-in for Cloudflare's API of DNS records, as its reference describes it.
//!
//! Source: <https://developers.cloudflare.com/api/resources/dns/subresources/records/> (read November 2026).
//!
//! Invariant: it uses none of the product's code, listens on loopback only, and ends when it is dropped.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::oneshot;

pub(crate) const ZONE: &str = "023e105f4ecef8ad9ca31a8372d0c353";
pub(crate) const TOKEN: &str = "fake0token0of0the0zone0fake0token0of0it0";

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum DnsFault {
    /// Nothing.
    #[default]
    None,
    /// Every call fails with 500.
    Failing,
    /// It answers a page.
    Garbage,
    /// It answers a megabyte.
    Huge,
    /// Every call is refused with 429.
    Limited,
    /// It knows another token.
    OtherToken,
    /// It does what it is told to change, and the connection breaks before the answer.
    LosesAnswers,
}

#[derive(Debug, Default)]
struct State {
    records: BTreeMap<String, Value>,
    made: u32,
    fault: DnsFault,
    calls: Vec<String>,
}

type SharedState = Arc<Mutex<State>>;

/// A running fake.
#[derive(Debug)]
pub(crate) struct FakeCloudflare {
    address: SocketAddr,
    state: SharedState,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl FakeCloudflare {
    pub(crate) fn start() -> Self {
        let state = SharedState::default();
        let (stop, stopped) = oneshot::channel();
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        listener
            .set_nonblocking(true)
            .expect("a socket can be told so");
        let routes = Router::new()
            .route(
                "/client/v4/zones/{zone}/dns_records",
                get(list).post(create),
            )
            .route(
                "/client/v4/zones/{zone}/dns_records/{id}",
                put(update).delete(remove),
            )
            .with_state(Arc::clone(&state));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.expect("a runtime").block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("it listens");
                let serving = axum::serve(listener, routes).into_future();
                tokio::select! {
                    served = serving => served.expect("it serves"),
                    _ = stopped => {}
                }
            });
        });
        Self {
            address,
            state,
            running: Some((stop, thread)),
        }
    }

    /// The base of its API.
    pub(crate) fn api_base(&self) -> String {
        format!("http://{}/client/v4", self.address)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics while it holds the state")
    }

    pub(crate) fn set_fault(&self, fault: DnsFault) {
        self.state().fault = fault;
    }

    /// Its records: name and address.
    pub(crate) fn records(&self) -> Vec<(String, String)> {
        let state = self.state();
        let text =
            |record: &Value, field: &str| record[field].as_str().unwrap_or_default().to_owned();
        let records = state.records.values();
        records
            .map(|record| (text(record, "name"), text(record, "content")))
            .collect()
    }

    /// Every record as it is.
    pub(crate) fn raw_records(&self) -> Vec<Value> {
        self.state().records.values().cloned().collect()
    }

    /// How many calls it got.
    pub(crate) fn calls(&self) -> usize {
        self.state().calls.len()
    }
}

impl Drop for FakeCloudflare {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            // Without a receiver it has ended already.
            let _ = stop.send(());
            let outcome = thread.join();
            if !std::thread::panicking() {
                outcome.expect("the fake does not panic");
            }
        }
    }
}

/// Counts the call, and answers for a fault or a wrong caller.
#[expect(clippy::result_large_err, reason = "an answer of a fake, made rarely")]
fn before(
    state: &SharedState,
    headers: &HeaderMap,
    zone: &str,
    call: &str,
) -> Result<DnsFault, Response> {
    let mut state = state.lock().expect("nothing panics");
    state.calls.push(call.to_owned());
    let known = match state.fault {
        DnsFault::OtherToken => "another".to_owned(),
        _ => format!("Bearer {TOKEN}"),
    };
    let given = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    if given != Some(known.as_str()) {
        return Err(failed(
            StatusCode::FORBIDDEN,
            10_000,
            "Authentication error",
        ));
    }
    match state.fault {
        DnsFault::Failing => Err(failed(StatusCode::INTERNAL_SERVER_ERROR, 1_000, "unknown")),
        DnsFault::Garbage => Err((StatusCode::OK, "<html>busy</html>").into_response()),
        DnsFault::Huge => Err((StatusCode::OK, "x".repeat(1 << 20)).into_response()),
        DnsFault::Limited => {
            let answer = failed(StatusCode::TOO_MANY_REQUESTS, 971, "rate limited");
            Err(([("retry-after", "1")], answer).into_response())
        }
        _ if zone != ZONE => Err(failed(StatusCode::NOT_FOUND, 7_003, "no such zone")),
        fault => Ok(fault),
    }
}

fn failed(status: StatusCode, code: u32, message: &str) -> Response {
    let body = json!({
        "success": false, "errors": [{"code": code, "message": message}], "messages": [], "result": null,
    });
    (status, Json(body)).into_response()
}

async fn done(fault: DnsFault, result: Value) -> Response {
    if fault == DnsFault::LosesAnswers {
        // Longer than any caller waits; the fake's end cuts it off.
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    Json(json!({"success": true, "errors": [], "messages": [], "result": result})).into_response()
}

async fn list(
    Shared(state): Shared<SharedState>,
    Path(zone): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    if let Err(answer) = before(&state, &headers, &zone, "list") {
        return answer;
    }
    let found: Vec<Value> = {
        let state = state.lock().expect("nothing panics");
        let is_asked_for = |record: &&Value| {
            query
                .iter()
                .all(|(field, value)| record[field].as_str() == Some(value))
        };
        state
            .records
            .values()
            .filter(is_asked_for)
            .cloned()
            .collect()
    };
    done(DnsFault::None, json!(found)).await
}

/// A record as the API takes it, or what is wrong with it.
#[expect(clippy::result_large_err, reason = "an answer of a fake, made rarely")]
fn checked(body: &Bytes) -> Result<Value, Response> {
    let refuse = |code, message| failed(StatusCode::BAD_REQUEST, code, message);
    let record: Value =
        serde_json::from_slice(body).map_err(|_| refuse(9_207, "Malformed body"))?;
    let address = record["content"]
        .as_str()
        .and_then(|text| text.parse::<Ipv4Addr>().ok());
    if record["type"] != "A" || address.is_none() {
        return Err(refuse(
            9_005,
            "Content for A record must be a valid IPv4 address.",
        ));
    }
    Ok(record)
}

async fn create(
    Shared(state): Shared<SharedState>,
    Path(zone): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fault = match before(&state, &headers, &zone, "create") {
        Ok(fault) => fault,
        Err(answer) => return answer,
    };
    let mut record = match checked(&body) {
        Ok(record) => record,
        Err(answer) => return answer,
    };
    {
        let mut state = state.lock().expect("nothing panics");
        let same = |known: &Value| {
            known["name"] == record["name"] && known["content"] == record["content"]
        };
        if state.records.values().any(same) {
            return failed(
                StatusCode::BAD_REQUEST,
                81_058,
                "An identical record already exists.",
            );
        }
        state.made += 1;
        let id = format!("{:032x}", state.made);
        record["id"] = json!(id);
        state.records.insert(id, record.clone());
    }
    done(fault, record).await
}

async fn update(
    Shared(state): Shared<SharedState>,
    Path((zone, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fault = match before(&state, &headers, &zone, "update") {
        Ok(fault) => fault,
        Err(answer) => return answer,
    };
    let mut record = match checked(&body) {
        Ok(record) => record,
        Err(answer) => return answer,
    };
    {
        let mut state = state.lock().expect("nothing panics");
        if !state.records.contains_key(&id) {
            return failed(StatusCode::NOT_FOUND, 81_044, "Record does not exist.");
        }
        record["id"] = json!(id);
        state.records.insert(id, record.clone());
    }
    done(fault, record).await
}

async fn remove(
    Shared(state): Shared<SharedState>,
    Path((zone, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let fault = match before(&state, &headers, &zone, "remove") {
        Ok(fault) => fault,
        Err(answer) => return answer,
    };
    let was_there = state
        .lock()
        .expect("nothing panics")
        .records
        .remove(&id)
        .is_some();
    if !was_there {
        return failed(StatusCode::NOT_FOUND, 81_044, "Record does not exist.");
    }
    done(fault, json!({ "id": id })).await
}
