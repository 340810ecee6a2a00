//! Errors in the document: which code comes with which status, and how it reads.

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::kernel::Code;

/// The status that a code comes with.
pub(super) const fn status_of(code: Code) -> StatusCode {
    match code {
        Code::InvalidRequest => StatusCode::BAD_REQUEST,
        Code::Unauthorized => StatusCode::UNAUTHORIZED,
        Code::Forbidden
        | Code::EntitlementDenied
        | Code::ConnectionLimitReached
        | Code::LoginDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Code::Conflict
        | Code::InvalidTransition
        | Code::IdempotencyMismatch
        | Code::LoginAlreadyClaimed => StatusCode::CONFLICT,
        Code::LoginAttemptExpired | Code::SessionExpired => StatusCode::GONE,
        Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Code::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
        Code::UpstreamFailed => StatusCode::BAD_GATEWAY,
        Code::BillingNotConfigured
        | Code::CapacityFull
        | Code::SetupRequired
        | Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
    }
}

/// The code of this word.
pub(super) fn code_of(word: &str) -> Code {
    let found = Code::ALL.iter().find(|code| code.as_str() == word);
    *found.expect("x-errors holds words of Code; every test of the document would fail")
}

/// Adds the answers of `codes` to an operation's; where a status has one already, what it lacks.
pub(super) fn add_errors(responses: &mut Map<String, Value>, codes: &[(StatusCode, Code)]) {
    for (status, code) in codes {
        let answer = responses
            .entry(status.as_str())
            .or_insert_with(|| json!({ "description": "" }));
        let word = code.as_str();
        let description = answer["description"].as_str().unwrap_or_default();
        if !description.contains(word) {
            let gap = if description.is_empty() { "" } else { "\n\n" };
            answer["description"] =
                json!(format!("{description}{gap}`{word}`: {}", code.meaning()));
        }
        let content = &mut answer["content"]["application/json"];
        content["schema"] = json!({ "$ref": "#/components/schemas/ErrorBody" });
        content["examples"][word] = json!({ "value": example(*code) });
    }
}

fn example(code: Code) -> Value {
    let message = code.meaning().trim_end_matches('.').to_lowercase();
    json!({ "error": {
        "code": code.as_str(),
        "message": message,
        "request_id": "5d41402abc4b2a760000000000000007",
    } })
}
