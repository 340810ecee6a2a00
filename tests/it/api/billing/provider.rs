//! The API of both providers, as far as the appliance calls it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// Where it leads who pays.
pub(super) const PORTAL: &str = "https://shop.example.org/billing?signature=3";

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Mood {
    #[default]
    Well,
    Status(u16),
    Nonsense,
    /// JSON of another shape.
    Stranger,
    /// Ten megabytes.
    Endless,
    /// To another address, which would get the key.
    Elsewhere,
    /// An address that is no web page.
    Script,
}

/// A call that it got.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) path: String,
    pub(super) authorization: String,
    pub(super) body: String,
}

#[derive(Debug, Default)]
struct Inner {
    mood: Mood,
    calls: Vec<Call>,
    subscriptions: Vec<Value>,
    refunds: Vec<(&'static str, Value)>,
}

/// A provider on loopback. It ends with this.
#[derive(Debug)]
pub(super) struct Provider {
    address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
    _runtime: Runtime,
}

impl Provider {
    pub(super) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime needs only a few descriptors");
        let inner = Arc::<Mutex<Inner>>::default();
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&inner));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self {
            address,
            inner,
            _runtime: runtime,
        }
    }

    pub(super) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn set_mood(&self, mood: Mood) {
        self.inner.lock().unwrap().mood = mood;
    }

    /// Lists an object below this path from now on.
    pub(super) fn refund(&self, path: &'static str, object: Value) {
        self.inner.lock().unwrap().refunds.push((path, object));
    }

    pub(super) fn list_subscription(&self, object: Value) {
        self.inner.lock().unwrap().subscriptions.push(object);
    }

    /// The calls since the last look.
    pub(super) fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.inner.lock().unwrap().calls)
    }
}

/// One page of what is listed below a path.
fn listing(refunds: &[(&str, Value)], path: &str) -> Value {
    let listed = refunds.iter().filter(|(below, _)| *below == path);
    let data: Vec<_> = listed.map(|(_, object)| object.clone()).collect();
    json!({ "object": "list", "has_more": false,
            "meta": { "page": { "currentPage": 1, "lastPage": 1 } }, "data": data })
}

async fn answer(
    State(inner): State<Arc<Mutex<Inner>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header = headers.get("authorization");
    let call = Call {
        path: uri.path().to_owned(),
        authorization: header.map_or_else(String::new, |it| it.to_str().unwrap().to_owned()),
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    let mut inner = inner.lock().unwrap();
    // The comparison that runs at the start is of no matter to those who look at calls.
    if method == Method::POST {
        inner.calls.push(call);
    }
    match inner.mood {
        Mood::Well => {}
        Mood::Status(status) => {
            let status = StatusCode::from_u16(status).unwrap();
            return (status, "{\"errors\":[]}").into_response();
        }
        Mood::Nonsense => return "<html>".into_response(),
        Mood::Stranger => return "{\"data\":[1,{}]}".into_response(),
        Mood::Endless => return " ".repeat(10 << 20).into_response(),
        Mood::Elsewhere => {
            return (StatusCode::FOUND, [("location", "http://127.0.0.1:1/")]).into_response();
        }
        Mood::Script => {
            let url = "javascript:alert(1)";
            return axum::Json(json!({"url": url, "data": {"attributes": {"url": url}}}))
                .into_response();
        }
    }
    let body = match (method.as_str(), uri.path()) {
        ("POST", "/v1/checkouts") => json!({ "data": { "type": "checkouts", "id": "1",
            "attributes": { "url": "https://shop.example.org/checkout/custom/1?signature=2" } } }),
        ("POST", "/v1/checkout/sessions") => json!({ "id": "cs_1", "object": "checkout.session",
            "url": "https://shop.example.org/checkout/custom/1?signature=2" }),
        ("GET", "/v1/subscriptions/1") => json!({ "data": { "type": "subscriptions", "id": "1",
            "attributes": { "urls": { "customer_portal": PORTAL } } } }),
        ("POST", "/v1/billing_portal/sessions") => json!({ "id": "bps_1", "url": PORTAL }),
        ("GET", "/v1/refunds" | "/v1/orders" | "/v1/subscription-invoices") => {
            listing(&inner.refunds, uri.path())
        }
        ("GET", "/v1/subscriptions") => json!({ "object": "list", "has_more": false,
            "meta": { "page": { "currentPage": 1, "lastPage": 1 } }, "data": inner.subscriptions }),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    axum::Json(body).into_response()
}
