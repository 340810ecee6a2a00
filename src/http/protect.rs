//! What stands between a request and a handler: time-out, panics, cross-site requests, headers.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};
use tower_http::csrf::{CsrfLayer, ProtectionError};

use super::error::ApiError;
use crate::kernel::{Code, Error, Kind};

/// How long a handler may take. The plugin waits 30 s for an answer.
const HANDLER_TIME_LIMIT: Duration = Duration::from_secs(25);

const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("same-origin"),
    ),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
             connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), microphone=(), geolocation=(), payment=()"),
    ),
];

/// Adds the headers that keep a page to itself, unless the handler set its own.
pub(super) fn add_security_headers(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(value);
    }
}

/// Runs a handler. One that takes too long is given up, and what it began in the store still completes; a
/// panic ends this request only.
pub(super) async fn survive(handler: impl Future<Output = Response>) -> Response {
    let limited = tokio::time::timeout(HANDLER_TIME_LIMIT, handler);
    match AssertUnwindSafe(limited).catch_unwind().await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            ApiError(Error::busy().caused_by("the handler took too long")).into_response()
        }
        Err(panic) => answer_panic(panic),
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "a caught panic is handed over by value"
)]
fn answer_panic(panic: Box<dyn Any + Send + 'static>) -> Response {
    let words = panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|&words| words.to_owned()))
        .unwrap_or_default();
    ApiError(Error::internal(format!("a handler panicked: {words}"))).into_response()
}

type CsrfRefusal = fn(ProtectionError) -> Response;

/// Layer: refuses unsafe requests that another site's page made, by `Sec-Fetch-Site` and `Origin`.
/// `public_url` is trusted as an origin, for proxies that rewrite `Host`.
pub fn csrf(public_url: &str) -> CsrfLayer<CsrfRefusal> {
    let layer = CsrfLayer::new();
    let layer = layer
        .clone()
        .add_trusted_origin(public_url)
        .unwrap_or(layer);
    layer.with_rejection_response(refuse_cross_site as CsrfRefusal)
}

fn refuse_cross_site(error: ProtectionError) -> Response {
    let message = "this request came from another site's page; open the appliance's own page and \
                   try again (behind a proxy: pass Host and Origin on unchanged)";
    ApiError(Error::new(Kind::Forbidden, Code::Forbidden, message).caused_by(error)).into_response()
}
