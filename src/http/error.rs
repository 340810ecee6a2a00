//! How a failure leaves the house: status, JSON body, and one log line for what is our fault.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::page_error::Failure;
use super::request_id::RequestId;
use crate::kernel::{Code, Error, FieldError, Kind, error_chain};

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
        let body = axum::Json(ErrorBody::of(&self.0));
        let mut response = (status, body).into_response();
        response.extensions_mut().insert(Failure::of(&self.0));
        if let Some(seconds) = retry_after_seconds(&self.0) {
            let seconds = HeaderValue::from(seconds);
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

/// The body of every error.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody<'a> {
    error: ErrorInner<'a>,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Error)]
struct ErrorInner<'a> {
    code: Code,
    /// What happened, why, and what to do, for a person.
    #[schema(example = "label: at most 64 characters")]
    message: &'a str,
    /// The answer's `X-Request-ID`; the log has it too.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "5d41402abc4b2a760000000000000007")]
    request_id: Option<String>,
    /// A finer word than the code, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "no_free_slot")]
    reason_code: Option<&'a str>,
    /// What more there is to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    details: Option<ErrorDetails<'a>>,
}

/// What more there is to say of an error.
#[derive(Debug, Serialize, ToSchema)]
struct ErrorDetails<'a> {
    /// Each bad field of the request.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    fields: &'a [FieldError],
    /// When to come back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 2)]
    retry_after_seconds: Option<u64>,
}

impl<'a> ErrorBody<'a> {
    fn of(error: &'a Error) -> Self {
        let details = ErrorDetails {
            fields: error.fields(),
            retry_after_seconds: retry_after_seconds(error),
        };
        let has_details = !details.fields.is_empty() || details.retry_after_seconds.is_some();
        Self {
            error: ErrorInner {
                code: error.code(),
                message: error.message(),
                request_id: RequestId::current().map(|id| id.to_string()),
                reason_code: error.reason_code(),
                details: has_details.then_some(details),
            },
        }
    }
}

fn retry_after_seconds(error: &Error) -> Option<u64> {
    error.retry_after_hint().map(|wait| wait.as_secs().max(1))
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
    use serde_json::{Value, json};

    use super::*;

    fn body(error: &Error) -> Value {
        serde_json::to_value(ErrorBody::of(error)).unwrap()
    }

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
