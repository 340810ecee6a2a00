//! The reconciler against engines that are no good: a state with a reason, and nothing changed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::task::JoinSet;

use super::super::testing::{config, identity};
use super::super::{DockerRelay, SupervisorStatus};
use super::SupervisorDeps;
use crate::kernel::Clock;
use crate::relay::engine::{Engine, EngineHealth};
use crate::relay::testing::FakeEngine;

/// Answers a path.
type Answer = fn(&str) -> Response;

/// What a supervisor says of an engine in the end, and the changes that it asked for.
async fn verdict(answer: Answer, is_told: fn(&SupervisorStatus) -> bool) -> (DockerRelay, usize) {
    let changes = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&changes);
    let router = Router::new().fallback(move |request: Request| async move {
        if request.method() != http::Method::GET {
            *counted.lock().unwrap() += 1;
        }
        answer(request.uri().path())
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path().to_str().unwrap());
    config.socket = format!("http://{}", listener.local_addr().unwrap());
    let relay = DockerRelay::new(SupervisorDeps {
        config,
        identity: identity(),
        key: "key".into(),
        inner: FakeEngine::new(),
        clock: Clock::system(),
        port_holder: |_, _| None,
    });
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { drop(axum::serve(listener, router).await) });
    let supervised = relay.clone();
    tasks.spawn(async move { supervised.supervise().await });
    let told = async {
        while !is_told(&relay.status()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), told).await;
    assert!(in_time.is_ok(), "{:#?}", relay.status());
    let count = *changes.lock().unwrap();
    (relay, count)
}

fn json_answer(value: serde_json::Value) -> Response {
    axum::Json(value).into_response()
}

fn not_found() -> Response {
    (
        http::StatusCode::NOT_FOUND,
        axum::Json(json!({ "message": "no" })),
    )
        .into_response()
}

#[tokio::test]
async fn an_image_for_other_machines_is_told_and_neither_pulled_again_nor_run() {
    let answer: Answer = |path| match path {
        "/version" => json_answer(json!({ "ApiVersion": "1.41" })),
        "/containers/json" | "/networks" => json_answer(json!([])),
        path if path.starts_with("/images/") => {
            json_answer(json!({ "Id": "sha256:1", "Architecture": "s390x" }))
        }
        _ => not_found(),
    };
    let is_told = |status: &SupervisorStatus| {
        let mut containers = status.containers.iter();
        containers.all(|one| one.problem.is_some()) && !status.containers.is_empty()
    };
    let (relay, changes) = verdict(answer, is_told).await;
    assert_eq!(changes, 0);
    let health = relay.health().await;
    assert!(matches!(health, EngineHealth::Degraded(why) if why.contains("s390x")));
    assert!(!relay.takes_sessions());
}

#[tokio::test]
async fn an_engine_that_answers_garbage_is_a_state_with_a_remedy() {
    let answers: [Answer; 3] = [
        |_| "garbage".into_response(),
        |path| match path {
            "/version" => json_answer(json!({ "ApiVersion": "1.41" })),
            _ => json_answer(json!({ "neither": "list nor container" })),
        },
        |path| match path {
            "/version" => json_answer(json!({ "ApiVersion": "1.41" })),
            _ => (http::StatusCode::FORBIDDEN, "no").into_response(),
        },
    ];
    for answer in answers {
        let (relay, changes) = verdict(answer, |status| status.problem.is_some()).await;
        assert_eq!(changes, 0);
        let problem = relay.status().problem.unwrap();
        assert!(problem.reason.contains("Docker") && !problem.remedy.is_empty());
        assert!(!relay.status().is_ready);
    }
}
