//! The document of the API: that it is there for everybody, tells every route, and says of each what it must.
//!
//! Invariant: the document in `openapi.json` beside this file is the one that was released last. A change of
//! it that breaks a client is refused even when the file is to be written anew: `UPDATE_OPENAPI=1 cargo test
//! --test it api::document`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::compatibility::breaking_changes;
use super::routes_source::routes;
use crate::harness::client::Http;
use crate::harness::server::Server;

const SNAPSHOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/api/openapi.json");
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The document as a server that nobody owns serves it.
fn document() -> Value {
    let server = Server::start();
    let answer = Http::to(server.addresses().http).get("/api/v1/openapi.json");
    answer.expect(200).json()
}

/// Method, path and operation of everything in a document.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().expect("it has paths");
    let mut all = Vec::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().expect("a path has methods") {
            assert!(METHODS.contains(&method.as_str()), "{method} {path}");
            all.push((method.to_uppercase(), path.clone(), operation));
        }
    }
    all
}

#[test]
fn the_document_has_the_routes_of_the_api_and_no_others() {
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    let described: BTreeSet<_> = operations(&document)
        .into_iter()
        .map(|(method, path, _)| (method, path))
        .collect();
    let mut product = routes();
    product.retain(|(_, path)| path.starts_with("/api/v1/"));
    let missing: Vec<_> = product.difference(&described).collect();
    let gone: Vec<_> = described.difference(&product).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "missing: {missing:?}, gone: {gone:?}"
    );
}

#[test]
fn every_operation_says_what_it_takes_answers_and_refuses() {
    let document = document();
    let mut wrong = Vec::new();
    let mut names = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let complaints = complaints(&method, operation);
        wrong.extend(
            complaints
                .into_iter()
                .map(|it| format!("{method} {path} {it}")),
        );
        names.insert(operation["operationId"].as_str().unwrap().to_owned());
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(names.len(), operations(&document).len());
}

fn complaints(method: &str, operation: &Value) -> Vec<&'static str> {
    let mut wrong = Vec::new();
    let mut demand = |is_so: bool, what| {
        if !is_so {
            wrong.push(what);
        }
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().trim().len();
    demand(text(&operation["summary"]) > 5, "has no summary");
    demand(
        operation["tags"].get(0).is_some(),
        "stands under no heading",
    );
    let body = &operation["requestBody"]["content"]["application/json"];
    if operation.get("requestBody").is_some() {
        demand(has_example(body), "shows no request");
    }
    let responses = operation["responses"].as_object().expect("it has answers");
    demand(
        responses.keys().any(|it| it.starts_with('2')),
        "never succeeds",
    );
    for (status, response) in responses {
        demand(
            text(&response["description"]) > 3,
            "does not explain an answer",
        );
        let content = &response["content"]["application/json"];
        let is_error = status.starts_with('4') || status.starts_with('5');
        if is_error {
            let schema = content["schema"]["$ref"].as_str();
            demand(
                schema == Some("#/components/schemas/ErrorBody"),
                "has an error of another shape",
            );
        }
        if is_error || response.get("content").is_some() {
            demand(has_example(content), "shows no answer");
        }
    }
    for status in ["500", "503"] {
        demand(responses.contains_key(status), "never fails");
    }
    let may_be_cross_site = method == "GET" || responses.contains_key("403");
    demand(may_be_cross_site, "takes what another site's page sends");
    wrong
}

fn has_example(content: &Value) -> bool {
    content.get("example").is_some() || content.get("examples").is_some()
}

#[test]
fn every_code_of_an_error_is_told_somewhere() {
    let document = document();
    let codes = document["components"]["schemas"]["ErrorCode"]["enum"].as_array();
    let codes: BTreeSet<_> = codes.unwrap().iter().filter_map(Value::as_str).collect();
    let mut told = BTreeSet::new();
    for (_, _, operation) in operations(&document) {
        for response in operation["responses"].as_object().unwrap().values() {
            let examples = response["content"]["application/json"]["examples"].as_object();
            told.extend(
                examples
                    .into_iter()
                    .flat_map(|it| it.keys().map(String::as_str)),
            );
        }
    }
    // An operation of the document has its method.
    told.insert("method_not_allowed");
    let silent: Vec<_> = codes.difference(&told).collect();
    assert!(silent.is_empty(), "no operation fails with {silent:?}");
    assert!(told.is_subset(&codes), "{told:?}");
}

#[test]
fn the_document_is_the_one_that_was_released() {
    let document = document();
    let path = Path::new(SNAPSHOT);
    if let Ok(text) = fs::read_to_string(path) {
        let released = serde_json::from_str(&text).expect("the file is JSON");
        let broken = breaking_changes(&released, &document);
        assert!(broken.is_empty(), "this breaks clients: {broken:#?}");
    }
    let text = serde_json::to_string_pretty(&document).unwrap() + "\n";
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        fs::write(path, &text).expect("the file can be written");
    }
    let released = fs::read_to_string(path).unwrap_or_default();
    let difference = text
        .lines()
        .zip(released.lines())
        .find(|(new, old)| new != old);
    assert!(
        text == released,
        "the document differs from openapi.json, first in {difference:?}; if that is meant: \
         UPDATE_OPENAPI=1 cargo test --test it api::document"
    );
}

#[test]
fn the_page_of_the_document_loads_nothing_from_elsewhere() {
    let server = Server::start();
    let http = Http::to(server.addresses().http);
    let to_page = http.get("/api/docs").expect(303);
    assert_eq!(to_page.header("location"), "/api/docs/index.html");
    let page = http.get("/api/docs/index.html").expect(200);
    assert!(page.header("content-type").starts_with("text/html"));
    let policy = page.header("content-security-policy");
    assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"));
    let text = page.text();
    assert!(
        !text.contains("<script>") && !text.contains("<style>"),
        "{text}"
    );
    let named = text
        .split(['"', '\''])
        .filter(|it| it.contains(".css") || it.contains(".js"));
    let mut count = 0;
    for name in named {
        let file = name.strip_prefix("./").unwrap_or(name);
        assert!(!file.contains('/'), "{name} is elsewhere");
        http.get(&format!("/api/docs/{file}")).expect(200);
        count += 1;
    }
    assert!(count >= 3, "{text}");
    let start = http
        .get("/api/docs/swagger-initializer.js")
        .expect(200)
        .text();
    assert!(start.contains("/api/v1/openapi.json"), "{start}");
    assert!(
        !start.contains("http://") && !start.contains("https://"),
        "{start}"
    );
    assert!(start.contains("\"validatorUrl\": \"none\""), "{start}");
    http.get("/api/docs/nothing.js").expect(404);
}
