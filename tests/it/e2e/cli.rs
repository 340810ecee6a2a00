//! Every command, with the server running and stopped, and how the server ends.

use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use super::programs::ffmpeg_publisher;
use super::stage::{PATIENCE, Stage};
use crate::harness::client::{Browser, Http};
use crate::harness::eventually::eventually_blocking;
use crate::harness::glb;
use crate::harness::server::{Account, Server, ServerConfig};

const PASSWORD: &str = "a long walk in the rain";

fn create(data_dir: &Path, email: &str, role: &str) -> Account {
    let arguments = [
        "admin",
        "create",
        "--random-password",
        "--email",
        email,
        "--role",
        role,
    ];
    let line = glb::run(data_dir, &arguments).json_line();
    let text = |name: &str| line[name].as_str().unwrap().to_owned();
    Account {
        user_id: text("user_id"),
        password: text("password"),
        email: email.to_owned(),
    }
}

fn setup_url(data_dir: &Path) -> String {
    let line = glb::run(data_dir, &["setup-token"]).json_line();
    line["setup_url"].as_str().unwrap().to_owned()
}

/// Waits for words that are written after the server has said where it listens.
fn await_log(server: &Server, words: &str) {
    eventually_blocking(PATIENCE, words, || server.log().contains(words));
}

/// The path and query of a URL of the server.
fn local_part(server: &Server, url: &str) -> String {
    let base = format!("http://{}", server.addresses().http);
    let path = url.strip_prefix(&base);
    path.unwrap_or_else(|| panic!("{url} is not on {base}"))
        .to_owned()
}

#[test]
fn the_first_user_claims_the_appliance_before_it_ever_ran() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let owner = create(&data_dir, "owner@example.org", "streamer");
    let server = Server::start_from(&ServerConfig::on(&data_dir));
    assert!(!server.log().contains("/setup?token="), "{}", server.log());
    let streamer = create(&data_dir, "streamer@example.org", "streamer");
    let mut browser = Browser::signed_in(&server, &owner);
    browser.get("/users").expect(200);
    let mut browser = Browser::signed_in(&server, &streamer);
    assert_eq!(browser.get("/users").status, 403);
    let again = [
        "admin",
        "create",
        "--random-password",
        "--email",
        "owner@example.org",
    ];
    let refused = glb::run(&data_dir, &again);
    assert!(refused.complaint().contains("e-mail"), "{refused:?}");
}

#[test]
fn an_unclaimed_appliance_leads_every_page_to_setup_and_ends_it_in_one_form() {
    let server = Server::start();
    let address = server.addresses().http;
    let http = Http::to(address);
    for path in ["/", "/live", "/login", "/users", "/setup"] {
        let page = http.get(path).expect(503).text();
        assert!(page.contains("glb setup-token"), "{path}: {page}");
    }
    let refused = http.post_json("/api/v1/auth/plugin/login/start", &json!({}));
    assert_eq!(refused.expect(503).error_code(), "setup_required");
    for path in ["/healthz", "/readyz", "/health", "/metrics"] {
        http.get(path).expect(200);
    }
    let file = server.data_dir().join("setup-token");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let url = std::fs::read_to_string(&file).unwrap();
    await_log(&server, url.trim());
    let path = local_part(&server, url.trim());
    http.get(&path).expect(200);
    let token = path.split_once("token=").unwrap().1;
    let mut browser = Browser::at(address);
    let form = [
        ("token", token),
        ("email", "owner@example.org"),
        ("display_name", "Owner"),
        ("password", PASSWORD),
        ("public_host", "127.0.0.1"),
    ];
    let claimed = browser.post("/setup", &form).expect(303);
    let location = claimed.header("location");
    assert!(location.starts_with("/live?welcome=1"), "{location}");
    let page = browser.get("/live?welcome=1").expect(200).text();
    assert!(page.contains("WAITING"), "{page}");
    assert!(!file.exists(), "the used token is deleted");
    let late = Browser::at(address).post("/setup", &form);
    assert_ne!(late.status, 200, "{late:?}");
    assert!(
        Browser::at(address)
            .sign_in("owner@example.org", PASSWORD)
            .status
            == 303
    );
    let refused = glb::run(server.data_dir(), &["setup-token"]);
    assert!(!refused.complaint().is_empty(), "{refused:?}");
}

#[test]
fn a_new_setup_address_replaces_the_one_before() {
    let mut server = Server::start();
    let http = Http::to(server.addresses().http);
    let first = local_part(&server, &setup_url(server.data_dir()));
    http.get(&first).expect(200);
    let second = local_part(&server, &setup_url(server.data_dir()));
    let old = http.get(&first).expect(503).text();
    assert!(old.contains("glb setup-token"), "{old}");
    http.get(&second).expect(200);
    server.terminate();
    let offline = setup_url(server.data_dir());
    let server = server.restart();
    await_log(&server, &offline);
    let http = Http::to(server.addresses().http);
    http.get(&local_part(&server, &offline)).expect(200);
}

#[test]
fn a_reset_password_signs_everybody_out_who_used_the_old_one() {
    let stage = Stage::set();
    let mut old_browser = stage.browser;
    let mut command = glb::command(stage.server.data_dir());
    let email = stage.owner.email.as_str();
    command.args([
        "admin",
        "reset-password",
        "--password-stdin",
        "--email",
        email,
    ]);
    let line = glb::finish(command, &format!("{PASSWORD}\n")).json_line();
    assert_eq!(line["user_id"], stage.owner.user_id);
    assert!(line.get("password").is_none(), "{line}");
    assert_eq!(old_browser.get("/live").status, 303);
    let mut browser = Browser::at(stage.server.addresses().http);
    assert_eq!(browser.sign_in(email, &stage.owner.password).status, 401);
    browser.sign_in(email, PASSWORD).expect(303);
    browser.get("/live").expect(200);
}

#[test]
fn bad_passwords_and_unknown_users_are_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    for (input, reason) in [("short\n", "8"), ("password1\n", "first"), ("", "stdin")] {
        let mut command = glb::command(folder.path());
        command.args([
            "admin",
            "create",
            "--password-stdin",
            "--email",
            "a@example.org",
        ]);
        let refused = glb::finish(command, input);
        assert!(refused.complaint().contains(reason), "{refused:?}");
        assert!(
            !refused.stderr.contains(input.trim()) || input.is_empty(),
            "{refused:?}"
        );
    }
    let arguments = [
        "admin",
        "reset-password",
        "--random-password",
        "--email",
        "x@example.org",
    ];
    let refused = glb::run(folder.path(), &arguments);
    assert!(refused.complaint().contains("not found"), "{refused:?}");
}

#[test]
fn healthcheck_says_whether_somebody_answers() {
    let mut server = Server::start();
    let data_dir = server.data_dir().to_owned();
    let never = glb::run(&data_dir.join("elsewhere"), &["healthcheck"]);
    assert!(!never.complaint().is_empty(), "{never:?}");
    assert!(glb::run(&data_dir, &["healthcheck"]).status.success());
    server.terminate();
    let stopped = glb::run(&data_dir, &["healthcheck"]);
    assert!(
        stopped.complaint().contains("nothing answers"),
        "{stopped:?}"
    );
}

#[test]
fn check_config_accepts_the_defaults_and_names_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let good = glb::run(folder.path(), &["check-config"]);
    assert!(good.status.success() && good.stdout.is_empty(), "{good:?}");
    let memory = "memory of the relay: strangers at most";
    assert!(good.stderr.contains(memory), "{good:?}");
    let complaints = [
        (
            "GLB_LISTEN",
            "nowhere",
            vec!["listen", "GLB_LISTEN", "nowhere"],
        ),
        (
            "GLB_RELAY_ENGIN",
            "auto",
            vec!["GLB_RELAY_ENGIN", "did you mean"],
        ),
        ("GLB_RELAY_ENGINE", "docker", vec!["relay.engine", "docker"]),
        ("GLB_JWT_KEY", "tooshortsecret", vec!["jwt_key", "32"]),
        ("GLB_RELAY_SHARED_KEY", "", vec!["relay_shared_key"]),
        (
            "GLB_TRUSTED_PROXIES",
            "10.0.0.0/99",
            vec!["trusted_proxies", "10.0.0.0/99"],
        ),
    ];
    for (name, value, words) in complaints {
        let mut command = glb::command(folder.path());
        command.env(name, value).arg("check-config");
        let refused = glb::finish(command, "");
        let complaint = refused.complaint();
        for word in words {
            assert!(complaint.contains(word), "no {word:?} in {complaint}");
        }
        assert!(!complaint.contains("tooshortsecret"), "{complaint}");
    }
}

#[test]
fn a_configuration_file_is_read_and_its_faults_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("appliance.toml");
    std::fs::write(&file, "jwt_key = \"tooshortsecret\"\n").unwrap();
    let refused = glb::run(folder.path(), &["check-config"]);
    assert!(
        refused.complaint().contains("appliance.toml"),
        "{refused:?}"
    );
    assert!(!refused.stderr.contains("tooshortsecret"), "{refused:?}");
    std::fs::write(&file, "listne = \"127.0.0.1:1\"\n").unwrap();
    let refused = glb::run(folder.path(), &["serve"]);
    assert!(refused.complaint().contains("listne"), "{refused:?}");
}

#[test]
fn it_tells_where_it_listens_in_a_line_and_in_a_file() {
    let server = Server::start();
    let file = server.data_dir().join("run/addresses.json");
    let written: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let addresses = server.addresses();
    let expected = json!({
        "http": addresses.http,
        "stats": addresses.stats,
        "srtla": addresses.srtla,
        "srt_publish": addresses.srt_publish,
        "srt_play": addresses.srt_play,
    });
    assert_eq!(written, expected);
}

#[test]
fn sigterm_ends_it_in_order_in_the_middle_of_a_stream_and_an_open_page() {
    let mut stage = Stage::set();
    let mut publisher = ffmpeg_publisher(stage.addresses().srt_publish, &stage.session.publish_key);
    stage.await_state("LIVE");
    let mut page = TcpStream::connect(stage.addresses().http).unwrap();
    let cookies: Vec<_> = stage.browser.cookies().collect();
    let head = format!(
        "GET /live/events HTTP/1.1\r\nhost: {}\r\ncookie: {}\r\n\r\n",
        stage.addresses().http,
        cookies.join("; "),
    );
    page.write_all(head.as_bytes()).unwrap();
    let mut first = [0; 12];
    std::io::Read::read_exact(&mut page, &mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    stage.server.terminate();
    // The relay said goodbye, so that the encoder does not have to find out.
    assert!(publisher.wait(PATIENCE).is_some(), "the encoder is told");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut server = Server::start();
    // A request whose body does not come holds the orderly end up.
    let mut slow_client = TcpStream::connect(server.addresses().http).unwrap();
    let head = "POST /setup HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\
                content-type: application/x-www-form-urlencoded\r\n\r\n";
    slow_client.write_all(head.as_bytes()).unwrap();
    let http = Http::to(server.addresses().http);
    http.get("/healthz").expect(200);
    server.signal(Signal::TERM);
    eventually_blocking(PATIENCE, "it says that it stops", || {
        server.log().contains("stopping")
    });
    let asked = Instant::now();
    server.signal(Signal::INT);
    let status = server.wait(PATIENCE).expect("it ends");
    assert!(
        asked.elapsed() < Duration::from_secs(3),
        "{:?}",
        asked.elapsed()
    );
    assert_eq!(status.code(), Some(1));
}
