//! What holds for every answer: error bodies, request ids, bodies of the wrong kind or size.

use reqwest::{Body, Method};
use serde_json::json;

use super::Desk;
use crate::api::shape::shape;
use crate::harness::client::Answer;

const LABEL: &str = "/api/v1/user/stream-slots/1/label";
const START: &str = "/api/v1/auth/plugin/login/start";

impl Desk {
    #[track_caller]
    fn put_label(&self, content_type: Option<&str>, body: impl Into<Body>) -> Answer {
        let mut request = self.plugin.authorised(Method::PUT, LABEL);
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        self.plugin.send(request.body(body))
    }
}

#[test]
fn an_error_has_code_message_and_request_id_and_more_where_there_is_more() {
    let desk = Desk::open();
    let plain = desk.http.get("/api/v1/nothing").expect(404);
    let expected = json!({"code": "text", "message": "text", "request_id": "text"});
    assert_eq!(shape(&plain.json()), json!({ "error": expected }));
    assert_eq!(plain.error_code(), "not_found");

    let with_fields = desk.put_label(Some("application/json"), r#"{"label": ""}"#);
    let field = json!({"field": "text", "code": "text", "message": "text"});
    let mut expected = expected;
    expected["details"] = json!({ "fields": [field] });
    assert_eq!(
        shape(&with_fields.expect(400).json()),
        json!({ "error": expected })
    );
}

#[test]
fn unknown_paths_and_methods_are_told_in_json_everywhere() {
    let desk = Desk::open();
    for path in [
        "/nothing",
        "/api",
        "/api/v1",
        "/api/v1/",
        "/api/v2/relay/start",
        "/static/nothing.css",
        "/static/",
        "/static/%ff",
        "/static/..%2fCargo.toml",
        "/live/card/none",
        "/stats/",
        "//healthz",
    ] {
        let answer = desk.http.get(path);
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
        assert_eq!(answer.error_code(), "not_found", "{path}");
    }
    for (method, path) in [
        (Method::GET, "/api/v1/relay/start"),
        (Method::POST, "/api/v1/relay/active"),
        (Method::PATCH, LABEL),
        (Method::DELETE, "/healthz"),
        (Method::POST, "/metrics"),
        (Method::PUT, "/stats/play_x"),
    ] {
        let answer = desk.http.send(desk.http.request(method.clone(), path));
        assert_eq!(answer.status, 405, "{method} {path}: {}", answer.text());
        assert_eq!(answer.error_code(), "method_not_allowed", "{path}");
    }
}

#[test]
fn a_sane_request_id_is_echoed_and_any_other_replaced() {
    let desk = Desk::open();
    let longest = "x".repeat(128);
    let get = |path: &str, id: &str| {
        let request = desk.http.request(Method::GET, path);
        desk.http.send(request.header("x-request-id", id))
    };
    for path in [
        "/healthz",
        "/api/v1/nothing",
        "/live",
        "/api/v1/relay/active",
    ] {
        for sane in ["trace-7", "A.b_c-9", &longest] {
            assert_eq!(get(path, sane).header("x-request-id"), sane, "{path}");
        }
        for crooked in ["", "a b", "a\"b", "a;b", &format!("{longest}x")] {
            let made = get(path, crooked).header("x-request-id").to_owned();
            assert!(!made.is_empty() && made != crooked, "{path}: {made}");
        }
    }
    assert_eq!(
        get("/api/v1/nothing", "t-1").json()["error"]["request_id"],
        "t-1"
    );
    let (one, other) = (desk.http.get("/healthz"), desk.http.get("/healthz"));
    assert_ne!(one.header("x-request-id"), other.header("x-request-id"));
}

#[test]
fn a_body_of_more_than_a_mebibyte_is_413_and_the_client_reads_it() {
    let desk = Desk::open();
    let mebibyte = 1 << 20;
    let mut full = br#"{"label": "full"}"#.to_vec();
    full.resize(mebibyte, b' ');
    desk.put_label(Some("application/json"), full).expect(204);
    for size in [mebibyte + 1, mebibyte * 3 / 2] {
        let answer = desk.put_label(Some("application/json"), vec![b' '; size]);
        assert_eq!(answer.expect(413).error_code(), "invalid_request");
    }
    // Also for who has nothing to prove yet.
    let huge = desk.http.request(Method::POST, START);
    let huge = huge.header("content-type", "application/json");
    let answer = desk.http.send(huge.body(vec![b' '; mebibyte * 3 / 2]));
    assert_eq!(answer.expect(413).error_code(), "invalid_request");
}

#[test]
fn a_stranger_reads_the_refusal_of_a_large_body_too() {
    let desk = Desk::open();
    for path in [
        "/api/v1/relay/start",
        "/api/v1/auth/plugin/login/complete",
        "/api/v1/nothing",
        "/healthz",
    ] {
        for _ in 0..3 {
            let request = desk.http.request(Method::POST, path);
            let request = request.header("content-type", "application/json");
            let answer = desk.http.send(request.body(vec![b' '; 3 << 19]));
            assert!([401, 404, 405, 413].contains(&answer.status), "{path}");
            answer.error_code();
        }
    }
}

#[test]
fn only_json_in_utf_8_is_read() {
    let desk = Desk::open();
    let label = r#"{"label": "Backpack"}"#;
    for good in [
        None,
        Some("application/json"),
        Some("Application/JSON; charset=utf-8"),
    ] {
        desk.put_label(good, label).expect(204);
    }
    for bad in ["text/plain", "application/x-www-form-urlencoded", "json"] {
        let refused = desk.put_label(Some(bad), label).expect(415);
        assert_eq!(refused.error_code(), "invalid_request", "{bad}");
    }
    let crooked: [&[u8]; 7] = [
        b"",
        b"{",
        b"{\"label\": \"\xff\xfe\"}",
        b"{\"label\": \"x\", \"other\": \"\xff\"}",
        b"\xff\xfe{\x00}\x00",
        b"{\"label\": \"a\"} {\"label\": \"b\"}",
        b"{\"label\": \"\\ud800\"}",
    ];
    for body in crooked {
        let shown = String::from_utf8_lossy(body);
        let answer = desk.put_label(Some("application/json"), body);
        assert_eq!(answer.status, 400, "{shown}: {}", answer.text());
        assert_eq!(answer.error_code(), "invalid_request", "{shown}");
    }
    let slots = desk.plugin.get("/api/v1/user/stream-slots").json();
    assert_eq!(slots["stream_slots"][0]["label"], "Backpack");
}

#[test]
fn a_program_is_answered_in_json_and_a_person_with_a_page() {
    let desk = Desk::open();
    let get = |path: &str| {
        let request = desk.http.request(Method::GET, path);
        desk.http
            .send(request.header("accept", "text/html,*/*;q=0.8"))
    };
    for (path, status) in [
        ("/api/v1/nothing", 404),
        ("/api/v1/relay/start", 405),
        ("/api/v1/relay/active", 401),
        ("/stats/play_x", 404),
    ] {
        let answer = get(path).expect(status);
        assert!(!answer.error_code().is_empty(), "{path}");
    }
    for (path, status) in [("/nothing", 404), ("/theme", 405), ("/static/x.css", 404)] {
        let page = get(path).expect(status);
        assert!(
            page.header("content-type").starts_with("text/html"),
            "{path}"
        );
        assert!(page.text().contains(page.header("x-request-id")), "{path}");
    }
}

#[test]
fn too_many_tries_from_one_address_are_told_when_to_come_back() {
    let desk = Desk::open();
    let tries = (0..40).map(|number| {
        let form = format!("email=nobody{number}%40example.org&password=wrong");
        let request = desk.http.request(Method::POST, "/login");
        let form_type = "application/x-www-form-urlencoded";
        desk.http
            .send(request.header("content-type", form_type).body(form))
    });
    let refused = tries.take_while(|answer| answer.status == 401).count();
    // One was the streamer's own sign-in.
    assert!((19..=25).contains(&refused), "after {refused} tries");
    let request = desk.http.request(Method::POST, "/login");
    let answer = desk.http.send(
        request
            .header("content-type", "application/x-www-form-urlencoded")
            .body("email=a%40example.org&password=wrong"),
    );
    let answer = answer.expect(429);
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    // The plugin's polls know no such limit.
    let attempt = desk.plugin.begin_sign_in();
    desk.plugin.poll(&attempt).expect(202);
}
