//! When an error is a page and when JSON, and what the page says.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use http::header::CONTENT_TYPE;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::*;
use crate::http::page_check::assert_sound_page;
use crate::http::{
    AnonymousCalls, ApiError, Around, HttpMetrics, StopSignal, TrustedProxies, method_not_allowed,
    unknown_path,
};
use crate::kernel::error_chain;

const BROWSER: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

/// Every variant of the page, by name.
pub(crate) fn pages() -> Vec<(&'static str, String)> {
    let failures = [
        ("error", Error::not_found("path")),
        ("error-internal", Error::internal("a planted cause")),
        ("error-signed-out", Error::unauthenticated("sign in first")),
        ("error-busy", Error::busy()),
        ("error-forbidden", Error::forbidden()),
        (
            "error-conflict",
            Error::conflict("another browser was faster"),
        ),
    ];
    let render = |error: &Error| {
        let status = crate::http::status_of(error.kind());
        let page = page(&Failure::of(error), status, "/nowhere", Theme::Auto);
        ErrorPage {
            request_id: Some("0199a3c2f7b17c2e9d41e0b7a5f3c2d1".to_owned()),
            ..page
        }
        .render()
        .unwrap()
    };
    failures
        .iter()
        .map(|(name, error)| (*name, render(error)))
        .collect()
}

#[test]
fn every_page_is_sound_and_tells_no_cause() {
    for (name, html) in pages() {
        assert_sound_page(&html);
        assert!(html.contains("0199a3c2f7b17c2e9d41e0b7a5f3c2d1"), "{name}");
        assert!(!html.contains("planted"), "{name}");
    }
    assert!(error_chain(&Error::internal("a planted cause")).contains("planted"));
}

fn router() -> Router {
    let stop = StopSignal::new(CancellationToken::new());
    let (metrics, proxies) = (HttpMetrics::default(), TrustedProxies::default());
    let around = Around::new(metrics, proxies, AnonymousCalls::default(), stop);
    let fail = || async { ApiError(Error::busy().retry_after(Duration::from_secs(7))) };
    Router::new()
        .route("/busy", get(fail))
        .route("/api/v1/busy", get(fail))
        .route("/well", get(|| async { "well" }))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(unknown_path)
        .layer(from_fn_with_state(around, crate::http::around))
}

async fn ask(method: &str, path: &str, accept: &str) -> (Response<()>, String) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(ACCEPT, accept)
        .header("x-request-id", "abc")
        .body(Body::empty())
        .unwrap();
    let response = router().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    (Response::from_parts(parts, ()), body)
}

type Response<T> = http::Response<T>;

#[tokio::test]
async fn a_browser_gets_a_page_with_the_status_and_the_request() {
    let (response, body) = ask("GET", "/nowhere", BROWSER).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(response.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
    assert!(body.contains("There is no such page"), "{body}");
    assert!(body.contains("abc"), "{body}");
    assert!(body.contains("name=\"return_to\" value=\"/nowhere\""));
    let (response, body) = ask("POST", "/well", BROWSER).await;
    assert!(body.contains("name=\"return_to\" value=\"/live\""));
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
}

#[tokio::test]
async fn when_to_come_back_is_kept_and_said() {
    let (response, body) = ask("GET", "/busy", BROWSER).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()[RETRY_AFTER], "7");
    assert!(body.contains("Wait 7 seconds"), "{body}");
}

#[tokio::test]
async fn a_program_gets_json() {
    for (path, accept) in [
        ("/api/v1/busy", BROWSER),
        ("/api/v1/nowhere", BROWSER),
        ("/stats/nowhere", BROWSER),
        ("/busy", "*/*"),
        ("/nowhere", "application/json"),
    ] {
        let (response, body) = ask("GET", path, accept).await;
        assert_eq!(
            response.headers()[CONTENT_TYPE],
            "application/json",
            "{path}"
        );
        assert!(body.starts_with("{\"error\":"), "{path}: {body}");
    }
}

#[tokio::test]
async fn what_went_well_is_left_alone() {
    let (response, body) = ask("GET", "/well", BROWSER).await;
    assert_eq!((response.status(), body.as_str()), (StatusCode::OK, "well"));
}

#[test]
fn a_message_becomes_a_sentence() {
    assert_eq!(
        sentence("your role does not allow this"),
        "Your role does not allow this."
    );
    assert_eq!(sentence("Done."), "Done.");
    assert_eq!(sentence(""), "");
}
