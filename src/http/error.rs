//! How a failure leaves the house: status, JSON body, and one log line for what is our fault.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use super::page_error::Failure;
use super::request_id::RequestId;
use crate::kernel::{Code, Error, Kind, error_chain};

/// A failure on its way out: JSON, which [`around`](super::around) turns into a page for a browser.
#[derive(Debug)]
pub struct ApiError(pub Error);

impl<E: Into<Error>> From<E> for ApiError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

/// The HTTP status of a kind of failure.
#[must_use]
pub const fn status_of(kind: Kind) -> StatusCode {
    match kind {
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::Gone => StatusCode::GONE,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::UnsupportedMedia => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Kind::LimitReached => StatusCode::TOO_MANY_REQUESTS,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Kind::Upstream => StatusCode::BAD_GATEWAY,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = status_of(self.0.kind());
        log_once(&self.0, status);
        let mut response = (status, axum::Json(body(&self.0))).into_response();
        response.extensions_mut().insert(Failure::of(&self.0));
        if let Some(wait) = self.0.retry_after_hint() {
            let seconds = HeaderValue::from(wait.as_secs().max(1));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

fn body(error: &Error) -> Value {
    let mut inner = Map::new();
    inner.insert("code".into(), error.code().as_str().into());
    inner.insert("message".into(), error.message().into());
    if let Some(id) = RequestId::current() {
        inner.insert("request_id".into(), id.to_string().into());
    }
    if let Some(reason) = error.reason_code() {
        inner.insert("reason_code".into(), reason.into());
    }
    if !error.fields().is_empty() {
        inner.insert("details".into(), json!({ "fields": error.fields() }));
    }
    json!({ "error": inner })
}

/// Logs what somebody must look at. Everything else is the client's business and stands in the access log.
fn log_once(error: &Error, status: StatusCode) {
    let request_id = RequestId::current().map(|id| id.to_string());
    let cause = error_chain(error);
    match error.kind() {
        Kind::Internal | Kind::Upstream | Kind::StorageFull => {
            tracing::error!(
                request_id,
                status = status.as_u16(),
                cause,
                "request failed"
            );
        }
        Kind::Unavailable if error.code() != Code::SetupRequired => {
            tracing::warn!(
                request_id,
                status = status.as_u16(),
                cause,
                "request refused"
            );
        }
        _ => tracing::debug!(
            request_id,
            status = status.as_u16(),
            cause,
            "request refused"
        ),
    }
}

/// The answer for a path that does not exist.
pub async fn unknown_path() -> ApiError {
    ApiError(Error::not_found("path"))
}

/// The answer for a method that a path does not have.
pub async fn method_not_allowed() -> ApiError {
    let message = "this path does not answer that method";
    ApiError(Error::new(
        Kind::MethodNotAllowed,
        Code::MethodNotAllowed,
        message,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::FieldError;

    #[test]
    fn the_body_has_the_contracts_shape() {
        let fields = vec![FieldError::new(
            "label",
            "too_long",
            "at most 64 characters",
        )];
        let error = Error::invalid_fields(fields);
        let expected = json!({"error": {
            "code": "invalid_request",
            "message": "label: at most 64 characters",
            "details": {"fields": [
                {"field": "label", "code": "too_long", "message": "at most 64 characters"},
            ]},
        }});
        assert_eq!(body(&error), expected);
    }

    #[test]
    fn the_cause_stays_inside() {
        let error = Error::internal("a secret detail");
        assert!(!body(&error).to_string().contains("secret detail"));
        assert!(error_chain(&error).contains("secret detail"));
    }
}
