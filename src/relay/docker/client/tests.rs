//! The client against a fake engine: which calls it makes, and that it keeps its hands off others' things.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::super::template::{PART_LABEL, SPEC_LABEL, containers};
use super::super::testing::{config, identity};
use super::read::redact;
use super::*;
use bollard::models::CreateImageInfo;

/// Method and path of each call.
type Calls = Arc<Mutex<Vec<String>>>;

/// A container engine on which `ours` is ours and everything else a stranger's.
async fn answer(State(calls): State<Calls>, request: Request) -> Response {
    let call = format!("{} {}", request.method(), request.uri().path());
    let is_change = request.method() != http::Method::GET;
    calls.lock().unwrap().push(call.clone());
    let labels = |whose: &str| json!({ INSTANCE_LABEL: whose, PART_LABEL: "sls", SPEC_LABEL: "h" });
    let instance = identity().instance;
    let body = match call.as_str() {
        "GET /version" => json!({ "ApiVersion": "1.41", "Version": "20.10" }),
        "GET /containers/json" => json!([{ "Id": "ours" }]),
        "GET /containers/ours/json" => json!({
            "Id": "ours", "Name": "/glb-sls", "Config": { "Labels": labels(&instance) },
            "State": { "Status": "running", "StartedAt": "2026-11-21T10:00:00.5Z" },
            "RestartCount": 2,
        }),
        "GET /containers/foreign/json" => json!({
            "Id": "foreign", "Name": "/plex", "Config": { "Labels": labels("somebody-else") },
        }),
        "GET /containers/bare/json" => json!({ "Id": "bare", "Name": "/bare", "Config": {} }),
        "GET /networks/ours" => json!({ "Id": "ours", "Labels": { INSTANCE_LABEL: instance } }),
        "GET /networks/foreign" => json!({ "Id": "foreign", "Name": "lan", "Labels": {} }),
        "GET /networks" => json!([{ "Id": "n", "Name": "glb-x" }]),
        "POST /containers/create" => json!({ "Id": "new", "Warnings": [] }),
        "POST /networks/create" => json!({ "Id": "n", "Warning": "" }),
        "GET /images/sls:1/json" => json!({ "Id": "sha256:1", "Architecture": "amd64" }),
        _ if is_change => return http::StatusCode::NO_CONTENT.into_response(),
        _ => {
            return (
                http::StatusCode::NOT_FOUND,
                axum::Json(json!({"message": "no"})),
            )
                .into_response();
        }
    };
    axum::Json(body).into_response()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a fake engine, which ends with the test's runtime"
)]
fn serve(listener: tokio::net::TcpListener, router: Router) {
    tokio::spawn(async move { axum::serve(listener, router).await });
}

async fn engine() -> (DockerClient, Calls) {
    let calls = Calls::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(calls.clone());
    serve(listener, router);
    let client = DockerClient::connect(&url, &identity().instance)
        .await
        .unwrap();
    calls.lock().unwrap().clear();
    (client, calls)
}

fn made(calls: &Calls) -> Vec<String> {
    std::mem::take(&mut *calls.lock().unwrap())
}

#[tokio::test]
async fn a_foreign_container_or_network_is_never_touched() {
    let (client, calls) = engine().await;
    for id in ["foreign", "bare"] {
        let refused = [
            client.start(id).await,
            client.stop(id).await,
            client.restart(id).await,
            client.remove(id).await,
        ];
        for result in refused {
            assert!(matches!(result, Err(DockerError::Foreign(_))), "{result:?}");
        }
    }
    let network = client.remove_network("foreign").await;
    assert!(matches!(network, Err(DockerError::Foreign(name)) if name.contains("lan")));
    let calls = made(&calls);
    assert_eq!(calls.len(), 9);
    assert!(
        calls.iter().all(|call| call.starts_with("GET ")),
        "{calls:?}"
    );
}

#[tokio::test]
async fn a_change_is_made_after_a_look_at_the_label_and_to_that_id() {
    let (client, calls) = engine().await;
    client.start("ours").await.unwrap();
    client.stop("ours").await.unwrap();
    client.restart("ours").await.unwrap();
    client.remove("ours").await.unwrap();
    client.remove_network("ours").await.unwrap();
    let look = "GET /containers/ours/json";
    assert_eq!(
        made(&calls),
        [
            look,
            "POST /containers/ours/start",
            look,
            "POST /containers/ours/stop",
            look,
            "POST /containers/ours/restart",
            look,
            "DELETE /containers/ours",
            "GET /networks/ours",
            "DELETE /networks/ours",
        ]
    );
}

#[tokio::test]
async fn no_call_is_made_but_those_of_the_list() {
    let (client, calls) = engine().await;
    let spec = &containers(&config("/srv/glb"), &identity())[0];
    let found = client.containers().await.unwrap();
    assert_eq!((found.len(), found[0].restarts), (1, 2));
    assert_eq!(found[0].part, Some(Part::Sls));
    assert!(found[0].started_at.is_some());
    assert_eq!(client.create(spec).await.unwrap(), "new");
    client.create_network("glb-x").await.unwrap();
    assert_eq!(client.network("glb-x").await.unwrap().as_deref(), Some("n"));
    assert!(client.image("sls:1").await.unwrap().is_some());
    assert!(client.image("none:1").await.unwrap().is_none());
    let steps: Vec<_> = client.pull("registry:5000/sls").collect().await;
    assert!(steps.iter().all(std::result::Result::is_ok));
    client.logs("ours", 50).await.unwrap_err();
    client.usage("ours").await.unwrap_err();
    client.events().for_each(|_| async {}).await;
    assert_eq!(
        made(&calls),
        [
            "GET /containers/json",
            "GET /containers/ours/json",
            "POST /containers/create",
            "POST /networks/create",
            "GET /networks",
            "GET /images/sls:1/json",
            "GET /images/none:1/json",
            "POST /images/create",
            "GET /containers/ours/logs",
            "GET /containers/ours/stats",
            "GET /events",
        ]
    );
}

#[tokio::test]
async fn an_engine_that_is_not_there_or_too_old_is_told() {
    let connect = async |socket: &str| DockerClient::connect(socket, "x").await.unwrap_err();
    assert!(matches!(
        connect("/nowhere.sock").await,
        DockerError::NoSocket(_)
    ));
    assert!(connect("http://127.0.0.1:1").await.is_connection());
    let old = Router::new().fallback(|| async { axum::Json(json!({ "ApiVersion": "1.39" })) });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    serve(listener, old);
    assert!(matches!(connect(&url).await, DockerError::TooOld { found } if found == "1.39"));
}

#[test]
fn keys_do_not_stand_in_lines_that_are_shown() {
    let shown = redact("new publisher, key_stream_name=live_0a1b2c, play_x? live_ \u{1b}[0m ok");
    assert_eq!(
        shown,
        "new publisher, key_stream_name=live_***, play_***? live_ [0m ok"
    );
    let key = format!("API key: {}", "k".repeat(32));
    assert_eq!(redact(&key), "API key: ***");
}

#[test]
fn steps_of_a_pull_say_how_far_they_are() {
    let step = |text| pull_step(&serde_json::from_value::<CreateImageInfo>(text).unwrap());
    let layer =
        json!({"status": "Downloading", "id": "ab", "progressDetail": {"current": 5, "total": 20}});
    assert_eq!(step(layer), "Downloading ab: 25 %");
    assert_eq!(step(json!({"status": "Pulling from x"})), "Pulling from x");
}
