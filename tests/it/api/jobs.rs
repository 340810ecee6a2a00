//! The jobs of the running server, as operators and their programs see them.

use serde_json::{Value, json};

use crate::harness::client::{Browser, Plugin};
use crate::harness::server::{Account, Server};

fn plugin(server: &Server, account: &Account) -> Plugin {
    Plugin::signed_in(server, &mut Browser::signed_in(server, account))
}

fn put(plugin: &Plugin, name: &str, body: &Value) -> crate::harness::client::Answer {
    let path = format!("/api/v1/jobs/{name}");
    let request = plugin.authorised(reqwest::Method::PUT, &path);
    plugin.send(request.json(body))
}

fn run(plugin: &Plugin, name: &str) -> crate::harness::client::Answer {
    let path = format!("/api/v1/jobs/{name}/run");
    plugin.send(plugin.authorised(reqwest::Method::POST, &path))
}

#[test]
fn every_job_of_the_contract_is_there_and_runs_by_hand() {
    let server = Server::start();
    let owner = server.admin_create("owner@example.org", "owner");
    let plugin = plugin(&server, &owner);
    let jobs = plugin.get("/api/v1/jobs").expect(200).json();
    let names: Vec<_> = jobs["jobs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|job| job["name"].as_str().unwrap().to_owned())
        .collect();
    for name in [
        "idempotency_cleanup",
        "lease_expiry",
        "login_attempt_cleanup",
        "node_probe",
        "sample_retention",
        "session_cleanup",
        "store_checkpoint",
        "store_integrity",
        "store_optimize",
        "usage_metering",
    ] {
        assert!(names.iter().any(|it| it == name), "{name} in {names:?}");
    }
    for name in &names {
        let state = run(&plugin, name).expect(200).json();
        assert_eq!(state["last_error"], Value::Null, "{state}");
        if state["running_since"].is_null() {
            assert!(state["last_result"].is_string(), "{state}");
            assert!(state["last_duration_ms"].is_number(), "{state}");
            assert!(state["runs"].as_i64() >= Some(1), "{state}");
        }
    }
    let sound = run(&plugin, "store_integrity").expect(200).json();
    assert_eq!(sound["last_result"], "both databases are sound");
    assert_eq!(run(&plugin, "none").expect(404).error_code(), "not_found");
}

#[test]
fn a_job_is_switched_off_for_good_but_not_one_that_streams_live_by() {
    let server = Server::start();
    let owner = server.admin_create("owner@example.org", "owner");
    let (name, off) = ("carrier_database", json!({"is_enabled": false}));
    let token = {
        let plugin = plugin(&server, &owner);
        let state = put(&plugin, name, &off).expect(200).json();
        assert_eq!(state["is_enabled"], false);
        assert_eq!(state["next_run_at"], Value::Null);
        let refused = put(&plugin, "lease_expiry", &off).expect(409);
        assert_eq!(refused.error_code(), "conflict");
        assert_eq!(refused.json()["error"]["reason_code"], "job_is_kept_on");
        put(&plugin, name, &json!({})).expect(400);
        plugin.access_token.clone()
    };
    let server = server.restart();
    let mut plugin = Plugin::at(server.addresses().http);
    plugin.access_token = token;
    let jobs = plugin.get("/api/v1/jobs").expect(200).json();
    let off: Vec<_> = jobs["jobs"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|job| job["is_enabled"] == false)
        .map(|job| job["name"].as_str().unwrap())
        .collect();
    assert_eq!(off, [name]);

    let mut browser = Browser::signed_in(&server, &owner);
    let page = browser.get("/jobs").expect(200).text();
    assert!(page.contains("Switch on"), "{page}");
    let path = format!("/jobs/{name}/switch");
    let answer = browser.post(&path, &[("switch", "on")]).expect(303);
    assert_eq!(answer.header("location"), format!("/jobs#{name}"));
    assert!(!browser.get("/jobs").text().contains("Switch on"));
    browser.post(&path, &[("switch", "sideways")]).expect(400);
    browser
        .post("/jobs/lease_expiry/switch", &[("switch", "off")])
        .expect(409);
}
