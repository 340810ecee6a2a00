//! Every failure of the API has one shape, whatever failed and wherever.
//!
//! Invariant: the routes are those of the product's own table.

use reqwest::Method;
use serde_json::Value;

use super::routes_source::routes;
use crate::harness::client::{Answer, Browser, Http, Plugin};
use crate::harness::server::Server;

/// A server, a caller without credentials, and a plugin that has signed in.
fn desk() -> (Server, Http, Plugin) {
    let server = Server::start_with(|config| config.with("GLB_LIMITS_ENABLED", false));
    let account = server.admin_create("owner@example.org", "owner");
    let mut browser = Browser::signed_in(&server, &account);
    let plugin = Plugin::signed_in(&server, &mut browser);
    let http = Http::to(server.addresses().http);
    (server, http, plugin)
}

/// The routes of the API with a value for each part of their paths.
fn api_routes() -> impl Iterator<Item = (Method, String)> {
    let routes = routes().into_iter();
    let api = routes.filter(|(_, route)| route.starts_with("/api/v1/"));
    api.map(|(method, route)| {
        let mut path = String::new();
        for part in route.split_inclusive('/') {
            let is_value = part.starts_with('{');
            let end = if part.ends_with('/') { "/" } else { "" };
            path.push_str(if is_value {
                "1"
            } else {
                part.trim_end_matches('/')
            });
            path.push_str(end);
        }
        (method.parse().expect("the table names methods"), path)
    })
}

/// What is wrong with the shape of a failure.
fn complaint(answer: &Answer) -> Option<&'static str> {
    if answer.header("content-type") != "application/json" {
        return Some("is not JSON");
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let error = &body["error"];
    let keys = error.as_object().into_iter().flat_map(|it| it.keys());
    let known = ["code", "details", "message", "reason_code", "request_id"];
    let text = |name: &str| error[name].as_str().unwrap_or_default();
    if body.as_object().is_none_or(|it| it.len() != 1) {
        return Some("has more than an error");
    }
    if !keys.into_iter().all(|key| known.contains(&key.as_str())) {
        return Some("has a field that nobody knows");
    }
    if text("code").is_empty() || text("message").is_empty() {
        return Some("does not say what happened");
    }
    if text("request_id").is_empty() || text("request_id") != answer.header("x-request-id") {
        return Some("does not name its request");
    }
    None
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
fn every_route_refuses_bad_requests_in_one_shape() {
    let (_server, http, plugin) = desk();
    let mut wrong = Vec::new();
    for (method, path) in api_routes() {
        // It ends the sign-in with which all others are asked.
        if path.ends_with("/auth/logout") {
            continue;
        }
        let request = || plugin.authorised(method.clone(), &path);
        let mut ask = |what: &str, request: reqwest::RequestBuilder, allowed: &[u16]| {
            let answer = http.send(request);
            let complaint = match answer.status {
                200..400 => (!allowed.contains(&answer.status)).then_some("was taken"),
                status if !allowed.contains(&status) => Some("has another status"),
                _ => complaint(&answer),
            };
            if let Some(complaint) = complaint {
                let text: String = answer.text().chars().take(200).collect();
                wrong.push(format!(
                    "{method} {path}, {what}, {complaint}: {} {text}",
                    answer.status
                ));
            }
            answer
        };
        let odd = ask(
            "a method that nobody has",
            http.request(Method::from_bytes(b"BREW").unwrap(), &path),
            &[405],
        );
        let allow = odd.header("allow").to_owned();
        assert!(
            allow.split(',').any(|it| it.trim() == method.as_str()),
            "{path}: {allow}"
        );
        if method == Method::GET {
            continue;
        }
        let bad = [400, 401, 403, 404, 409, 413, 415, 503];
        let json = |body: &'static str| {
            request()
                .header("content-type", "application/json")
                .body(body)
        };
        // Where no body is read any is as good as none; where one may be left out, too.
        let with_none = [&bad[..], &[200, 201, 202, 204]].concat();
        ask("no body", request(), &with_none);
        let text = request().header("content-type", "text/plain").body("x");
        ask("a body of text", text, &bad);
        ask("half a body", json("{\"a\":"), &bad);
        ask("a list", json("[]"), &bad);
        ask(
            "bytes",
            request()
                .header("content-type", "application/json")
                .body(vec![0xff; 9]),
            &bad,
        );
        let long = request().header("content-type", "application/json");
        ask(
            "a long body",
            long.body(vec![b' '; (1 << 20) + 1]),
            // What is not there is told before the body is read.
            &[413, 401, 403, 404, 503],
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_not_there_is_told_in_the_same_shape() {
    let (_server, http, plugin) = desk();
    for path in [
        "/api/",
        "/api/v1",
        "/api/v1/",
        "/api/v2/relay/active",
        "/api/v1/relay",
        "/api/v1/relay/active/",
        "/api/v1/user/stream-slots/1/label/more",
        "/api/v1/%00",
        "/api/v1/..%2f",
    ] {
        for method in [Method::GET, Method::POST, Method::OPTIONS] {
            let request = plugin
                .authorised(method.clone(), path)
                .header("accept", "text/html");
            let answer = http.send(request).expect(404);
            assert_eq!(answer.error_code(), "not_found", "{method} {path}");
            assert_eq!(complaint(&answer), None, "{method} {path}");
        }
    }
}

#[test]
fn bad_fields_are_named_one_by_one() {
    let (_server, http, _plugin) = desk();
    let client = serde_json::json!({"platform": "", "plugin_version": "v".repeat(99)});
    let answer = http.post_json(
        "/api/v1/auth/plugin/login/start",
        &serde_json::json!({ "client": client }),
    );
    let answer = answer.expect(400);
    assert_eq!(answer.error_code(), "invalid_request");
    let body = answer.json();
    let fields = body["error"]["details"]["fields"].as_array().unwrap();
    let named: Vec<_> = fields
        .iter()
        .map(|it| it["field"].as_str().unwrap())
        .collect();
    assert_eq!(named, ["client.plugin_version", "client.platform"]);
    for field in fields {
        assert!(!field["code"].as_str().unwrap().is_empty());
        assert!(!field["message"].as_str().unwrap().is_empty());
    }
}
