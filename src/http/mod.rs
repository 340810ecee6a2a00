//! HTTP without a feature: the error body, extractors, request ids, who the peer is, static files.
//!
//! Middleware order, outermost first: [`around`] (request id, log, figures, peer, limits, headers, errors as
//! pages, panics, time limit), then [`csrf`]. The body limit lives in the extractors, because a body that is too large is
//! drained before it is refused, so that the client reads the answer instead of a reset.
//!
//! Invariant: nothing here knows a capability.

mod around;
pub mod assets;
mod body;
#[cfg(test)]
mod contrast;
mod error;
mod extract;
pub mod form;
pub mod html;
mod limit_name;
mod limits;
pub mod moment;
mod observe;
pub mod outbound;
pub mod page;
#[cfg(test)]
pub(crate) mod page_check;
mod page_error;
mod peer;
#[cfg(test)]
mod preview;
mod protect;
mod request_id;
mod server;
mod stop;

pub use around::{AnonymousCalls, Around, around};
pub use body::{BODY_LIMIT_BYTES, read_body};
pub use error::{ApiError, ErrorBody, method_not_allowed, status_of, unknown_path};
pub use extract::{Form, Json, OptionalJson, Path, Query};
pub use limit_name::LimitName;
pub use limits::{Allowance, AnonymousLimit, Limiter};
pub use observe::HttpMetrics;
pub use page_error::{ErrorPage, WayOn};
pub use peer::{Peer, TrustedProxies};
pub use protect::csrf;
pub use request_id::RequestId;
pub use server::{BindError, Listening, bind, serve};
pub use stop::StopSignal;
