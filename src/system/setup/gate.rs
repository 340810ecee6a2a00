//! Before the appliance has an owner: pages lead to the setup, the API says so.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use http::Method;

use super::service::SetupService;
use crate::http::ApiError;
use crate::kernel::{Code, Error, Kind};

/// Paths that answer as ever.
const OPEN: [&str; 7] = [
    "/healthz",
    "/readyz",
    "/health",
    "/metrics",
    "/setup",
    "/theme",
    "/favicon.ico",
];

/// Middleware: lets nothing but setup, health, metrics and static files through before there is an owner.
pub async fn gate(State(setup): State<SetupService>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if is_open(path) {
        return next.run(request).await;
    }
    match setup.is_claimed().await {
        Ok(true) => next.run(request).await,
        Ok(false) if leads_to_setup(request.method(), path) => {
            Redirect::to("/setup").into_response()
        }
        Ok(false) => ApiError(setup_required()).into_response(),
        Err(error) => ApiError(error).into_response(),
    }
}

fn is_open(path: &str) -> bool {
    OPEN.contains(&path) || path.starts_with("/static/")
}

fn leads_to_setup(method: &Method, path: &str) -> bool {
    let is_page = !path.starts_with("/api/") && !path.starts_with("/stats/");
    is_page && (method == Method::GET || method == Method::HEAD)
}

fn setup_required() -> Error {
    let message = "this appliance has no owner yet: open the setup address that the server printed";
    Error::new(Kind::Unavailable, Code::SetupRequired, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_metrics_and_setup_stay_open() {
        for open in [
            "/healthz",
            "/readyz",
            "/health",
            "/metrics",
            "/setup",
            "/static/app.1a2b.css",
        ] {
            assert!(is_open(open), "{open}");
        }
        for shut in [
            "/",
            "/live",
            "/login",
            "/api/v1/relay/start",
            "/setup/",
            "/healthz/x",
        ] {
            assert!(!is_open(shut), "{shut}");
        }
    }

    #[test]
    fn only_reading_a_page_leads_to_the_setup() {
        assert!(leads_to_setup(&Method::GET, "/live"));
        assert!(!leads_to_setup(&Method::POST, "/login"));
        assert!(!leads_to_setup(&Method::GET, "/api/v1/auth/session"));
        assert!(!leads_to_setup(&Method::GET, "/stats/play_x"));
    }
}
