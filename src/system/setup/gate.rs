//! Until somebody owns the appliance, every page leads to the explanation and the API says so.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::SetupService;
use crate::accounts::frame::Frame;
use crate::http::ApiError;
use crate::http::page::render;
use crate::kernel::{Code, Error, Kind};
use crate::system::views::SetupWaitingPage;

/// Middleware: lets requests through once the appliance is claimed. Asking costs nothing then.
pub async fn gate(
    State(setup): State<SetupService>,
    frame: Frame,
    request: Request,
    next: Next,
) -> Response {
    match setup.is_claimed().await {
        Ok(true) => next.run(request).await,
        Ok(false) => explain(&frame, request.uri().path()),
        Err(error) => ApiError(error).into_response(),
    }
}

fn explain(frame: &Frame, path: &str) -> Response {
    if path.starts_with("/api/") || path.starts_with("/stats/") {
        let message =
            "nobody owns this appliance yet: open the setup address from the server's log";
        return ApiError(Error::new(Kind::Unavailable, Code::SetupRequired, message))
            .into_response();
    }
    waiting_page(frame, false)
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
