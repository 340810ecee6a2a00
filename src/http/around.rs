//! What stands around every handler, outermost first: request id, access log and figures; who the peer is;
//! the limit of anonymous calls; the security headers; errors as pages; panics and the time limit.
//!
//! It is one middleware of plain functions. As seven layers of axum, each of which clones all it wraps and
//! boxes its future, the same cost a fifth of the processor time of a request that is answered from memory.
//!
//! Invariant: no request reaches a handler, and no answer a client, except through here.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::Method;

use super::error::ApiError;
use super::limits::{AnonymousLimit, Standing};
use super::observe::{HttpMetrics, Observed};
use super::page_error::PersonAsking;
use super::peer::{Peer, TrustedProxies, note_peer};
use super::protect::{add_security_headers, survive};
use super::request_id::RequestId;
use super::stop::StopSignal;

/// Calls of the API that ask for no credentials, and how often one address may make them.
#[derive(Debug, Clone, Default)]
pub struct AnonymousCalls {
    /// Method and route.
    pub routes: Vec<(Method, String)>,
    /// Of each address.
    pub limit: AnonymousLimit,
}

impl AnonymousCalls {
    /// Counts a request when it is one of them.
    fn check(&self, request: &Request) -> Result<(), ApiError> {
        let Some(route) = request.extensions().get::<MatchedPath>() else {
            return Ok(());
        };
        let Some(peer) = request.extensions().get::<Peer>() else {
            return Ok(());
        };
        let is_one = self
            .routes
            .iter()
            .any(|(method, path)| path == route.as_str() && method == request.method());
        if is_one {
            self.limit.check(peer.ip)?;
        }
        Ok(())
    }
}

/// What [`around`] works with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Around(Arc<Surroundings>);

#[derive(Debug)]
struct Surroundings {
    metrics: HttpMetrics,
    proxies: TrustedProxies,
    anonymous: AnonymousCalls,
    stop: StopSignal,
}

impl Around {
    /// Counts in `metrics`, believes `proxies`, limits `anonymous` calls, and hands `stop` to handlers as an
    /// `Extension`.
    #[must_use]
    pub fn new(
        metrics: HttpMetrics,
        proxies: TrustedProxies,
        anonymous: AnonymousCalls,
        stop: StopSignal,
    ) -> Self {
        Self(Arc::new(Surroundings {
            metrics,
            proxies,
            anonymous,
            stop,
        }))
    }
}

/// Middleware: see the module.
pub async fn around(State(around): State<Around>, request: Request, next: Next) -> Response {
    let id = RequestId::from_header(request.headers().get(RequestId::HEADER));
    let header = id.to_header();
    let mut response = id.scope(around.0.handle(request, next)).await;
    response.headers_mut().insert(RequestId::HEADER, header);
    response
}

impl Surroundings {
    async fn handle(&self, mut request: Request, next: Next) -> Response {
        let observed = Observed::begin(&self.metrics, &request);
        note_peer(&self.proxies, &mut request);
        request.extensions_mut().insert(self.stop.clone());
        let person = PersonAsking::of(&request);
        let mut response = match self.anonymous.check(&request) {
            Ok(()) => survive(next.run(request)).await,
            Err(refusal) => refusal.into_response(),
        };
        if let Some(person) = person {
            response = person.answer(response);
        }
        add_security_headers(response.headers_mut());
        Standing::tell(response.headers_mut());
        observed.end(response.status());
        response
    }
}
