//! What every operation of the document has without saying so.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::errors::{add_errors, code_of, status_of};
use super::example::example;
use crate::kernel::Code;

/// What an operation names its own errors in.
const OWN_ERRORS: &str = "x-errors";
const UNSAFE: [&str; 4] = ["post", "put", "patch", "delete"];

/// Completes a document as `utoipa` made it.
pub(super) fn complete(document: &mut Value) {
    tidy_info(&mut document["info"]);
    add_components(&mut document["components"]);
    let schemas = document["components"]["schemas"].clone();
    let paths = document["paths"].as_object_mut();
    for (path, item) in paths.into_iter().flatten() {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            complete_operation(path, method, operation);
            add_examples(&schemas, operation);
        }
    }
}

/// Nobody is named whom to write to: whoever runs the appliance decides.
fn tidy_info(info: &mut Value) {
    if let Some(info) = info.as_object_mut() {
        info.remove("license");
        info.remove("contact");
    }
}

fn add_components(components: &mut Value) {
    let key = |name: &str, what: &str| json!({ "type": "apiKey", "in": "header", "name": name, "description": what });
    components["securitySchemes"] = json!({
        "plugin": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "`cp_access_jwt` of a plugin's sign-in.",
        },
        "relay_key": key("X-Relay-Auth", "`relay_shared_key` of the configuration."),
        "login_key": key("X-Plugin-Login-Auth", "`plugin_login_complete_key` of the configuration."),
    });
    components["headers"] = json!({
        "RequestId": {
            "description": "The request's own, when it is a sane token, else a fresh one.",
            "schema": { "type": "string" },
        },
        "RetryAfter": {
            "description": "Seconds to wait.",
            "schema": { "type": "integer", "minimum": 1 },
        },
    });
}

fn complete_operation(path: &str, method: &str, operation: &mut Value) {
    operation["operationId"] = json!(operation_id(path, method));
    shorten_description(operation);
    let codes = codes(method, operation);
    let Some(operation) = operation.as_object_mut() else {
        return;
    };
    operation.remove(OWN_ERRORS);
    let Some(responses) = operation
        .get_mut("responses")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    add_errors(responses, &codes);
    add_headers(responses);
}

/// Such as `post_relay_start`: unique because method and path are.
fn operation_id(path: &str, method: &str) -> String {
    let path = path.trim_start_matches("/api/v1/");
    let words = path.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    format!("{method}_{}", words.join("_"))
}

/// What stands below "Errors" is for readers of the source; the document tells it by answers.
fn shorten_description(operation: &mut Value) {
    let Some(text) = operation["description"].as_str() else {
        return;
    };
    let text = text.split("# Errors").next().unwrap_or_default().trim();
    if text.is_empty() {
        operation.as_object_mut().map(|it| it.remove("description"));
    } else {
        operation["description"] = json!(text);
    }
}

/// The operation's own errors and those that all of its kind have.
fn codes(method: &str, operation: &Value) -> Vec<(StatusCode, Code)> {
    let own = operation[OWN_ERRORS].as_array().into_iter().flatten();
    let own = own.filter_map(Value::as_str).map(code_of);
    let mut codes: Vec<_> = own.map(|code| (status_of(code), code)).collect();
    let mut add = |code: Code| codes.push((status_of(code), code));
    let has_body = operation.get("requestBody").is_some();
    if has_body || operation.get("parameters").is_some() {
        add(Code::InvalidRequest);
    }
    if operation.get("security").is_some() {
        add(Code::Unauthorized);
    }
    if UNSAFE.contains(&method) {
        // From another site's page.
        add(Code::Forbidden);
        add(Code::StorageFull);
    }
    for code in [Code::InternalError, Code::SetupRequired, Code::Unavailable] {
        add(code);
    }
    if has_body {
        codes.push((StatusCode::PAYLOAD_TOO_LARGE, Code::InvalidRequest));
        codes.push((StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::InvalidRequest));
    }
    codes
}

fn add_headers(responses: &mut Map<String, Value>) {
    for (status, response) in responses {
        let headers = &mut response["headers"];
        headers["X-Request-ID"] = json!({ "$ref": "#/components/headers/RequestId" });
        if matches!(status.as_str(), "429" | "503") {
            headers["Retry-After"] = json!({ "$ref": "#/components/headers/RetryAfter" });
        }
    }
}

/// Gives every JSON body an example that has none.
fn add_examples(schemas: &Value, operation: &mut Value) {
    let fill = |content: &mut Value| {
        for body in content
            .as_object_mut()
            .into_iter()
            .flat_map(Map::values_mut)
        {
            let has_one = body.get("example").is_some() || body.get("examples").is_some();
            if !has_one && body.get("schema").is_some() {
                body["example"] = example(schemas, &body["schema"]);
            }
        }
    };
    if operation.get("requestBody").is_some() {
        fill(&mut operation["requestBody"]["content"]);
    }
    let responses = operation["responses"].as_object_mut();
    for response in responses.into_iter().flat_map(Map::values_mut) {
        if response.get("content").is_some() {
            fill(&mut response["content"]);
        }
    }
}
