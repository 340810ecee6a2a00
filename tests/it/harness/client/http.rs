//! A plain HTTP client without a memory: no cookies, no redirects, no proxy.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use tokio::runtime::Runtime;

const TIME_LIMIT: Duration = Duration::from_secs(30);

/// A complete answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The answer itself, when it has this status.
    ///
    /// # Panics
    /// When it has another, with the body.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none, or not said to be any.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/json");
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    /// A header's value, empty when it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The code of the error body, which must have the promised shape.
    ///
    /// # Panics
    /// When code, message or request id is missing.
    #[track_caller]
    pub(crate) fn error_code(&self) -> String {
        let body = self.json();
        let error = &body["error"];
        for field in ["code", "message", "request_id"] {
            let text = error[field].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "no error.{field} in {body}");
        }
        assert_eq!(
            error["request_id"].as_str(),
            Some(self.header("x-request-id"))
        );
        error["code"].as_str().expect("it was checked").to_owned()
    }
}

/// A caller without credentials.
#[derive(Debug)]
pub(crate) struct Http {
    runtime: Runtime,
    client: Client,
    base: String,
}

impl Http {
    /// A caller of the server at `address`.
    pub(crate) fn to(address: SocketAddr) -> Self {
        Self::to_base(format!("http://{address}"))
    }

    /// Another caller of the same server, with connections of its own.
    pub(crate) fn another(&self) -> Self {
        Self::to_base(self.base.clone())
    }

    fn to_base(base: String) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime needs only a few descriptors");
        // A pooled connection would outlive the server that a test kills.
        let client = Client::builder()
            .pool_max_idle_per_host(0)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(TIME_LIMIT)
            .build()
            .expect("no option can fail");
        Self {
            runtime,
            client,
            base,
        }
    }

    /// Scheme, host and port, as in the header `Origin`.
    pub(crate) fn origin(&self) -> &str {
        &self.base
    }

    /// A request to build upon.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub(crate) fn send(&self, request: RequestBuilder) -> Answer {
        self.try_send(request).expect("the server answers")
    }

    /// The same when there may be no answer.
    pub(crate) fn try_send(&self, request: RequestBuilder) -> reqwest::Result<Answer> {
        self.runtime.block_on(async {
            let response = request.send().await?;
            Ok(Answer {
                status: response.status().as_u16(),
                headers: response.headers().clone(),
                body: response.bytes().await?.to_vec(),
            })
        })
    }

    /// Sends a request and reads the answer's head alone: for an answer without an end.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub(crate) fn send_for_head(&self, request: RequestBuilder) -> Answer {
        let response = self.runtime.block_on(async { request.send().await });
        let response = response.expect("the server answers");
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: Vec::new(),
        }
    }

    /// A plain GET.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path))
    }

    /// A POST of JSON.
    #[track_caller]
    pub(crate) fn post_json(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body))
    }
}
