//! A database that a dying disk damaged: it is noticed, not written to any more, and not started on.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Stdio;

use reqwest::Method;

use super::stage::{CONNECTION, Stage};
use crate::harness::client::Http;
use crate::harness::server::ServerConfig;

const PAGE_BYTES: u64 = 4096;

/// Overwrites the last page of a database.
fn damage(database: &Path) {
    let mut file = File::options().write(true).open(database).unwrap();
    let pages = file.metadata().unwrap().len() / PAGE_BYTES;
    file.seek(SeekFrom::Start((pages - 1) * PAGE_BYTES))
        .unwrap();
    file.write_all(&[0xa5; 4096]).unwrap();
}

#[test]
fn a_damaged_database_is_named_and_written_to_no_more_while_the_server_goes_on() {
    let mut stage = Stage::set();
    // Everything is in the file itself after an orderly end.
    stage.server.terminate();
    let mut stage = Stage {
        server: stage.server.restart(),
        ..stage
    };
    stage.server.expect_errors();
    let data_dir = stage.server.data_dir().to_owned();
    let addresses = stage.addresses();
    stage.plugin.active(CONNECTION).expect(200);
    stage.plugin.get("/api/v1/jobs").expect(200);
    damage(&data_dir.join("glb.db"));

    let path = "/api/v1/jobs/store_integrity/run";
    let run = stage.plugin.authorised(Method::POST, path);
    let job = stage.plugin.send(run).expect(200).json();
    let error = job["last_error"].as_str().unwrap_or_default();
    assert!(error.contains("glb.db is damaged"), "{job}");

    let http = Http::to(addresses.http);
    let ready = http.get("/readyz").expect(503).json();
    let database = ready["database"].as_str().unwrap_or_default();
    assert!(database.contains("glb.db is damaged"), "{ready}");
    http.get("/healthz").expect(200);
    let figures = http.get("/metrics").expect(200).text();
    assert!(figures.contains("glb_db_damaged{database=\"glb.db\"} 1"));
    let refused = stage.plugin.rename(1, "Backpack").expect("it answers");
    let refused = refused.expect(503).json();
    assert_eq!(refused["error"]["reason_code"], "database_damaged");
    stage.plugin.active(CONNECTION).expect(200);

    stage.server.kill_hard();
    let mut command = ServerConfig::on(&data_dir).at(&addresses).command();
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let output = command.output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("glb.db is damaged"), "{said}");
}
