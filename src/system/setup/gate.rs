//! Until somebody owns the appliance, every page leads to the explanation and the API says so.

use axum::extract::{FromRef, FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::SetupService;
use crate::accounts::frame::Frame;
use crate::http::ApiError;
use crate::http::page::render;
use crate::kernel::{Code, Error, Kind};
use crate::system::views::SetupWaitingPage;

/// What answers also before the appliance is claimed.
const OPEN: [&str; 6] = [
    "/healthz",
    "/readyz",
    "/health",
    "/metrics",
    "/setup",
    "/favicon.ico",
];

/// Middleware: lets requests through once the appliance is claimed. Asking costs nothing then.
pub async fn gate<S>(State(state): State<S>, request: Request, next: Next) -> Response
where
    SetupService: FromRef<S>,
    Frame: FromRequestParts<S>,
    S: Send + Sync,
{
    match SetupService::from_ref(&state).is_claimed().await {
        Ok(true) => next.run(request).await,
        Ok(false) if is_open(request.uri().path()) => next.run(request).await,
        Ok(false) => explain(request, &state).await,
        Err(error) => ApiError(error).into_response(),
    }
}

fn is_open(path: &str) -> bool {
    OPEN.contains(&path) || path.starts_with("/static/")
}

async fn explain<S>(request: Request, state: &S) -> Response
where
    Frame: FromRequestParts<S>,
    S: Send + Sync,
{
    let path = request.uri().path();
    if path.starts_with("/api/") || path.starts_with("/stats/") {
        let message =
            "nobody owns this appliance yet: open the setup address from the server's log";
        return ApiError(Error::new(Kind::Unavailable, Code::SetupRequired, message))
            .into_response();
    }
    let (mut parts, _) = request.into_parts();
    match Frame::from_request_parts(&mut parts, state).await {
        Ok(frame) => waiting_page(&frame, false),
        Err(rejection) => rejection.into_response(),
    }
}

/// The page that says how to get a setup address.
pub(super) fn waiting_page(frame: &Frame, is_token_refused: bool) -> Response {
    let shell = frame.visitor("Set up this appliance");
    let page = SetupWaitingPage {
        shell,
        is_token_refused,
    };
    render(StatusCode::SERVICE_UNAVAILABLE, &page)
}
