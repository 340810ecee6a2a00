//! Schemathesis: made-up requests after the document of the API, and answers compared with it.
//!
//! Invariant: the binary under test is the real one, and every call but those that end the sign-in is made
//! with the token of a plugin that is signed in.

use std::path::PathBuf;
use std::process::Command;

use crate::harness::client::{Browser, Plugin};
use crate::harness::glb;
use crate::harness::server::Server;

/// Where `.ci/run` puts the program.
const PROGRAM: &str = "SCHEMATHESIS";
/// What must hold of every answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,unsupported_method,\
                      allow_header_conformance,missing_required_header";
/// What ends the sign-in that all others are made with.
const LAST: &str = "/api/v1/auth/logout";

fn program() -> PathBuf {
    let path = std::env::var_os(PROGRAM);
    path.expect("SCHEMATHESIS names the program").into()
}

/// A pool that is full answers 503, as the document says: no fault of the server.
const SETTINGS: &str = "\
[checks.not_a_server_error]
expected-statuses = [\"2xx\", \"3xx\", \"4xx\", 503]
";

/// A run over a part of the API.
fn run(server: &Server, plugin: &Plugin, folder: &std::path::Path, part: &[&str]) {
    let base = format!("http://{}", server.addresses().http);
    std::fs::write(folder.join("schemathesis.toml"), SETTINGS).unwrap();
    let mut command = Command::new(program());
    command
        .current_dir(folder)
        .args(["run", &format!("{base}/api/v1/openapi.json")])
        .args(["--url", &base, "--checks", CHECKS])
        .args([
            "--header",
            &format!("Authorization: Bearer {}", plugin.access_token),
        ])
        .args([
            "--phases",
            "examples,coverage,fuzzing",
            "--max-examples",
            "20",
        ])
        .args([
            "--seed",
            "1",
            "--no-shrink",
            "--workers",
            "2",
            "--continue-on-failure",
        ])
        .args([
            "--generation-database",
            "none",
            "--no-color",
            "--warnings",
            "off",
        ])
        .args(["--suppress-health-check", "all"])
        .args(part);
    let finished = glb::finish_within(command, "", std::time::Duration::from_mins(4));
    let failed = !finished.status.success();
    assert!(!failed, "{}{}", finished.stdout, finished.stderr);
    // A run over nothing is no proof.
    assert!(finished.stdout.contains(" passed"), "{}", finished.stdout);
}

#[test]
#[ignore = "needs Schemathesis, which .ci/run installs and names in SCHEMATHESIS"]
fn no_made_up_request_breaks_the_server_or_the_document() {
    let server = Server::start_with(|config| config.with("GLB_LIMITS_ENABLED", false));
    let account = server.admin_create("owner@example.org", "owner");
    let mut browser = Browser::signed_in(&server, &account);
    let folder = tempfile::tempdir().unwrap();
    let plugin = Plugin::signed_in(&server, &mut browser);
    plugin.session("conn_1774300000123_1");
    run(&server, &plugin, folder.path(), &["--exclude-path", LAST]);
    // It was signed in all the time.
    plugin.get("/api/v1/auth/session").expect(200);
    run(&server, &plugin, folder.path(), &["--include-path", LAST]);
}
