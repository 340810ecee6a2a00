//! Until somebody owns the appliance, every page leads to the explanation and the API says so.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::extract::{FromRef, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use futures_util::future::Either;
use http::StatusCode;
use tower::{Layer, Service, ServiceExt};

use super::SetupService;
use crate::accounts::frame::Frame;
use crate::http::ApiError;
use crate::http::page::render;
use crate::kernel::{Code, Error, Kind};
use crate::system::views::SetupWaitingPage;

/// What answers also before the appliance is claimed.
const OPEN: [&str; 7] = [
    "/api/v1/openapi.json",
    "/healthz",
    "/readyz",
    "/health",
    "/metrics",
    "/setup",
    "/favicon.ico",
];

/// Layer: lets requests through once the appliance is claimed. A service of its own and no middleware
/// function, because it stands before every request for ever and must cost nothing then.
#[derive(Debug, Clone)]
pub struct GateLayer<S>(S);

impl<S> GateLayer<S> {
    /// Asks the [`SetupService`] of `state`.
    pub const fn new(state: S) -> Self {
        Self(state)
    }
}

impl<S: Clone, I> Layer<I> for GateLayer<S>
where
    SetupService: FromRef<S>,
{
    type Service = Gate<S, I>;

    fn layer(&self, inner: I) -> Gate<S, I> {
        Gate {
            setup: SetupService::from_ref(&self.0),
            state: self.0.clone(),
            inner,
        }
    }
}

/// What [`GateLayer`] puts around a service.
#[derive(Debug, Clone)]
pub struct Gate<S, I> {
    setup: SetupService,
    state: S,
    inner: I,
}

type Asking = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

impl<S, I> Service<Request> for Gate<S, I>
where
    Frame: FromRequestParts<S>,
    S: Clone + Send + Sync + 'static,
    I: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    I::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<I::Future, Asking>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if self.setup.is_known_to_be_claimed() {
            return Either::Left(self.inner.call(request));
        }
        let Self {
            setup,
            state,
            inner,
        } = self.clone();
        Either::Right(Box::pin(ask(setup, state, inner, request)))
    }
}

async fn ask<S, I>(
    setup: SetupService,
    state: S,
    inner: I,
    request: Request,
) -> Result<Response, Infallible>
where
    Frame: FromRequestParts<S>,
    S: Send + Sync,
    I: Service<Request, Response = Response, Error = Infallible> + Send,
    I::Future: Send,
{
    match setup.is_claimed().await {
        Ok(true) => inner.oneshot(request).await,
        Ok(false) if is_open(request.uri().path()) => inner.oneshot(request).await,
        Ok(false) => Ok(explain(request, &state).await),
        Err(error) => Ok(ApiError(error).into_response()),
    }
}

fn is_open(path: &str) -> bool {
    OPEN.contains(&path) || path.starts_with("/static/") || path.starts_with("/api/docs")
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
