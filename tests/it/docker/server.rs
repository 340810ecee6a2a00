//! The real server with `relay.engine = "docker"`: what outsiders rely on.

use std::path::Path;
use std::time::Duration;

use super::stage::{Stage, UP, docker, images};
use crate::harness::client::{Browser, Http, Plugin};
use crate::harness::eventually::eventually_blocking;
use crate::harness::glb as commands;
use crate::harness::server::{Server, ServerConfig};

#[test]
fn without_a_socket_the_server_runs_and_says_so() {
    let server = Server::start_with(|config| {
        config
            .with("GLB_RELAY_ENGINE", "docker")
            .with("GLB_RELAY_DOCKER_SOCKET", "/nowhere/docker.sock")
    });
    let account = server.admin_create("owner@example.org", "owner");
    let http = Http::to(server.addresses().http);
    eventually_blocking(Duration::from_secs(10), "Docker is named", || {
        let answer = http.get("/readyz");
        let relay = answer.json()["relay"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        answer.status == 503 && relay.contains("Docker") && relay.contains("/nowhere/docker.sock")
    });
    let mut browser = Browser::signed_in(&server, &account);
    let page = browser.get("/relay").expect(200).text();
    assert!(page.contains("install Docker"), "{page}");
    let plugin = Plugin::signed_in(&server, &mut browser);
    let token = plugin.stream_token(1);
    let refused = plugin.start("conn_1774300000123_1", &token).expect(503);
    assert_eq!(refused.error_code(), "capacity_full");
    assert!(!refused.header("retry-after").is_empty());
    // What needs no relay works.
    plugin.get("/api/v1/user/stream-slots").expect(200);
    let status = plugin.get("/api/v1/relay/supervisor").expect(200).json();
    assert_eq!(status["engine"], "docker");
    assert_eq!(status["supervisor"]["is_ready"], false);
}

#[test]
fn auto_takes_the_embedded_relay_where_docker_does_not_answer_and_says_why() {
    let server = Server::start_with(|config| {
        config
            .with("GLB_RELAY_DOCKER_SOCKET", "/nowhere/docker.sock")
            .with("GLB_RELAY_DOCKER_IMAGES_SLS", "sls:1")
            .with("GLB_RELAY_DOCKER_IMAGES_SRTLA", "srtla:1")
    });
    let account = server.admin_create("owner@example.org", "owner");
    let mut browser = Browser::signed_in(&server, &account);
    let page = browser.get("/relay").expect(200).text();
    assert!(
        page.contains("embedded") && page.contains("/nowhere/docker.sock"),
        "{page}"
    );
    Http::to(server.addresses().http).get("/readyz").expect(200);
}

#[test]
fn ports_of_the_embedded_relay_are_not_told_for_containers() {
    let server = Server::start_with(|config| {
        config
            .with("GLB_RELAY_ENGINE", "docker")
            .with("GLB_RELAY_DOCKER_SOCKET", "/nowhere/docker.sock")
            .with("GLB_RELAY_DOCKER_SRTLA_PORT", 5100)
            .with("GLB_RELAY_EMBEDDED_SRTLA_PORT", 5999)
    });
    let account = server.admin_create("owner@example.org", "owner");
    let mut browser = Browser::signed_in(&server, &account);
    let page = browser.get("/live").expect(200).text();
    assert!(page.contains(":5100") && !page.contains(":5999"), "{page}");
}

pub(super) fn variables(config: ServerConfig, stage: &Stage) -> ServerConfig {
    let (docker, ports) = (&stage.config, stage.config.ports);
    let name = |key: &str| format!("GLB_RELAY_DOCKER_{key}");
    config
        .with("GLB_RELAY_ENGINE", "auto")
        .with(&name("SOCKET"), &docker.socket)
        .with(&name("IMAGES_SLS"), images().sls)
        .with(&name("IMAGES_SRTLA"), images().srtla)
        .with(&name("MEDIA_ADDRESS"), docker.bind)
        .with(&name("SRTLA_PORT"), ports.srtla)
        .with(&name("PUBLISH_PORT"), ports.publish)
        .with(&name("PLAY_PORT"), ports.play)
        .with(&name("BONDED_PORT"), ports.bonded)
        .with(&name("API_PORT"), ports.api)
        .with(&name("LINK_STATS_PORT"), ports.link_stats)
}

/// The server goes on with the embedded relay.
fn left_behind_are_told_and_removed(mut server: Server, socket: &str, label: &str) {
    let remove = ["relay", "remove-containers"];
    let refused = commands::run(server.data_dir(), &remove);
    let complaint = refused.complaint();
    assert!(
        complaint.contains("looks after these containers"),
        "{complaint}"
    );
    server.terminate();
    let config = ServerConfig::on(server.data_dir())
        .with("GLB_RELAY_ENGINE", "embedded")
        .with("GLB_RELAY_DOCKER_SOCKET", socket);
    let server = Server::start_from(&config);
    let account = server.admin_create("other@example.org", "owner");
    let mut browser = Browser::signed_in(&server, &account);
    let page = browser.get("/relay").expect(200).text();
    assert!(page.contains("glb relay remove-containers"), "{page}");
    let removed = commands::run(server.data_dir(), &remove).json_line();
    assert_eq!(removed["removed"].as_array().unwrap().len(), 2, "{removed}");
    assert_eq!(docker(&["ps", "-aq", "--filter", label]), "");
    let page = browser.get("/relay").expect(200).text();
    assert!(!page.contains("remove-containers"), "{page}");
    assert_eq!(
        commands::run(server.data_dir(), &remove).json_line()["removed"],
        serde_json::json!([])
    );
}

pub(super) fn identity_of(data_dir: &Path) -> String {
    std::fs::read_to_string(data_dir.join("relay/instance")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_s_own_containers_outlive_its_kill_and_serve_a_plugin() {
    let mut stage = Stage::new();
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let config = variables(ServerConfig::on(&data_dir), &stage);
    tokio::task::spawn_blocking(move || {
        let mut server = Server::start_from(&config);
        // Removes what this server makes, whatever becomes of the test.
        stage.identity.instance = identity_of(&data_dir);
        let ready = |server: &Server| {
            let http = Http::to(server.addresses().http);
            eventually_blocking(UP, "the containers are ready", || {
                http.get("/readyz").status == 200
            });
        };
        ready(&server);
        let lives = |stage: &Stage| {
            ["sls", "srtla"].map(|part| stage.inspect(part, "{{.Id}} {{.State.StartedAt}}"))
        };
        let before = lives(&stage);
        server.kill_hard();
        let server = server.restart();
        ready(&server);
        assert_eq!(lives(&stage), before, "no packet of theirs was dropped");

        let account = server.admin_create("owner@example.org", "owner");
        let mut browser = Browser::signed_in(&server, &account);
        let plugin = Plugin::signed_in(&server, &mut browser);
        plugin.session("conn_1774300000123_1");
        let page = browser.get("/relay").expect(200).text();
        assert!(page.contains("SLS stand-in listens"), "{page}");
        let status = plugin.get("/api/v1/relay/supervisor").expect(200).json();
        assert_eq!(status["supervisor"]["containers"][0]["state"], "running");
        let label = format!("label=io.glb.instance={}", stage.identity.instance);
        assert_eq!(docker(&["ps", "-q", "--filter", &label]).lines().count(), 2);
        left_behind_are_told_and_removed(server, &stage.config.socket, &label);
    })
    .await
    .unwrap();
}
