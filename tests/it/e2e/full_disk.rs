//! A full disk: refused clearly, nothing lost, and good again when there is room.
//!
//! Invariant: the disk is a small file system of its own, made by the test. That needs root,
//! as the continuous integration has; without it the test fails rather than being skipped.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::stage::{CONNECTION, PATIENCE, Stage};
use crate::harness::client::Http;
use crate::harness::eventually::eventually_blocking;
use crate::harness::server::{Server, ServerConfig};

/// Room for both databases and a few seconds of figures.
const SIZE: &str = "8m";

/// A small file system, unmounted when dropped.
#[derive(Debug)]
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    fn mount() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={SIZE},mode=0700");
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(folder.path())
            .status()
            .expect("mount is part of every system");
        assert!(
            status.success(),
            "a small file system can be mounted only by root"
        );
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Takes all the room that is left.
    fn fill(&self) -> PathBuf {
        let path = self.path().join("ballast");
        let mut file = File::create(&path).unwrap();
        for size in [65_536, 4_096, 512, 1] {
            while file.write_all(&vec![7; size]).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, because a server may still be ending.
        let unmounted = Command::new("umount")
            .arg("--lazy")
            .arg(self.path())
            .status();
        if !std::thread::panicking() {
            assert!(unmounted.expect("umount is there").success());
        }
    }
}

#[test]
fn a_full_disk_answers_507_and_is_good_again_when_there_is_room() {
    let disk = SmallDisk::mount();
    let config = ServerConfig::on(&disk.path().join("data"));
    let mut stage = Stage::on(Server::start_from(&config));
    stage.server.expect_errors();
    let rename = |label: &str| stage.plugin.rename(1, label).expect("the server answers");
    let mut last = 0;
    for number in 1..=20 {
        rename(&number.to_string()).expect(204);
        last = number;
    }
    let ballast = disk.fill();
    let mut refused = rename("does not fit");
    // The journal has room for some writes that it made before.
    for number in 1..=2_000 {
        if refused.status != 204 {
            break;
        }
        last = number;
        refused = rename(&number.to_string());
    }
    assert_eq!(refused.status, 507, "{}", refused.text());
    assert_eq!(refused.error_code(), "storage_full");
    let http = Http::to(stage.addresses().http);
    http.get("/healthz").expect(200);
    assert_eq!(http.get("/readyz").status, 503);
    // What is known is still told.
    assert_eq!(stage.active()["session"]["session_id"], stage.session.id);
    let label = |stage: &Stage| {
        let slots = stage
            .plugin
            .get("/api/v1/user/stream-slots")
            .expect(200)
            .json();
        slots["stream_slots"][0]["label"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(label(&stage), last.to_string());

    fs::remove_file(ballast).unwrap();
    eventually_blocking(PATIENCE, "it writes again", || {
        rename("fits again").status == 204
    });
    assert_eq!(label(&stage), "fits again");
    eventually_blocking(PATIENCE, "it is ready again", || {
        http.get("/readyz").status == 200
    });
    stage.server.terminate();
    let stage = Stage {
        server: stage.server.restart(),
        ..stage
    };
    assert_eq!(label(&stage), "fits again");
    assert_eq!(stage.plugin.active(CONNECTION).status, 200);
}
