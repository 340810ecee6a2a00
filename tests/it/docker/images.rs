//! Images of our stand-ins, built FROM scratch, and the container engine of this machine that has them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::net::program::require;

/// The socket of the engine, as `docker` itself finds it.
pub(super) fn socket() -> String {
    let given = std::env::var_os("DOCKER_HOST").and_then(|it| it.into_string().ok());
    given.unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned())
}

/// Runs `docker` and answers what it printed.
///
/// # Panics
/// When it is missing or fails.
#[track_caller]
pub(super) fn docker(arguments: &[&str]) -> String {
    docker_at(&socket(), arguments)
}

/// The same of another engine than the machine's.
#[track_caller]
pub(super) fn docker_at(host: &str, arguments: &[&str]) -> String {
    require("docker");
    let output = Command::new("docker")
        .args(["--host", host])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("it was found above");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "docker {arguments:?}: {complaint}\nThese tests need Docker's engine: apt-get install docker.io, \
         and dockerd running"
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Images of our own program, made once in a run of the tests.
#[derive(Debug)]
pub(super) struct Images {
    pub(super) sls: &'static str,
    pub(super) srtla: &'static str,
    /// Runs, and says nothing on UDP.
    pub(super) mute_srtla: &'static str,
    /// Both in one.
    pub(super) receiver: &'static str,
    /// For machines that nobody runs these tests on.
    pub(super) foreign: &'static str,
}

impl Images {
    /// Gives another engine those that run.
    pub(super) fn copy_to(&self, host: &str) {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let file = folder.path().join("images.tar");
        let file = file.to_str().expect("a plain path");
        docker(&["save", "-o", file, self.sls, self.srtla]);
        docker_at(host, &["load", "-q", "-i", file]);
    }
}

/// The images, built FROM scratch.
pub(super) fn images() -> &'static Images {
    static MADE: OnceLock<Images> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let program = build(folder.path());
        let images = Images {
            sls: "glb-standin/sls:test",
            srtla: "glb-standin/srtla:test",
            mute_srtla: "glb-standin/srtla:mute",
            receiver: "glb-standin/receiver:test",
            foreign: "glb-standin/sls:foreign",
        };
        let srtla = r#"ENTRYPOINT ["/standin","srtla"]"#;
        let sls = r#"CMD ["/standin","sls"]"#;
        let receiver = r#"CMD ["/standin","receiver"]"#;
        import(&program, &["-c", sls], images.sls);
        import(&program, &["-c", srtla], images.srtla);
        import(
            &program,
            &["-c", srtla, "-c", "ENV FAULT=mute"],
            images.mute_srtla,
        );
        import(&program, &["-c", receiver], images.receiver);
        load_foreign(&program, images.foreign);
        images
    })
}

fn build(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/standins/relay.rs");
    let program = folder.join("standin");
    let status = Command::new("rustc")
        .args(["--edition", "2024", "--target", "x86_64-unknown-linux-gnu"])
        .args([
            "-C",
            "target-feature=+crt-static",
            "-C",
            "panic=abort",
            "-O",
            "-o",
        ])
        .arg(&program)
        .arg(source)
        .status()
        .expect("rustc runs");
    assert!(status.success(), "the stand-in compiles");
    program
}

/// An image that says that it is for other machines, which `docker import` cannot make.
fn load_foreign(program: &Path, name: &str) {
    let folder = program.parent().expect("it is in a folder");
    let tar = |archive: &str, files: &[&str]| {
        let mut command = Command::new("tar");
        command.arg("-cf").arg(folder.join(archive)).arg("-C");
        let status = command.arg(folder).args(files).status();
        assert!(status.expect("tar runs").success());
    };
    tar("layer.tar", &["standin"]);
    let layer = std::fs::read(folder.join("layer.tar")).expect("it was made above");
    let digest = Sha256::digest(layer);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let config = json!({
        "architecture": "s390x",
        "os": "linux",
        "config": {"Cmd": ["/standin", "sls"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
    });
    let manifest = json!([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]);
    for (file, content) in [("config.json", config), ("manifest.json", manifest)] {
        std::fs::write(folder.join(file), content.to_string()).expect("the folder is ours");
    }
    tar("image.tar", &["manifest.json", "config.json", "layer.tar"]);
    let archive = folder.join("image.tar");
    docker(&["load", "-q", "-i", archive.to_str().expect("a plain path")]);
}

fn import(program: &Path, options: &[&str], name: &str) {
    let folder = program.parent().expect("it is in a folder");
    // Without it the combined image's users could not write to theirs.
    let tmp = folder.join("tmp");
    std::fs::create_dir_all(&tmp).expect("the folder is ours");
    let for_all = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
    std::fs::set_permissions(&tmp, for_all).expect("it is ours");
    let archive = folder.join("image.tar");
    let status = Command::new("tar")
        .args(["-cf"])
        .arg(&archive)
        .arg("-C")
        .arg(folder)
        .args(["--owner=0", "--group=0", "standin", "tmp"])
        .status();
    assert!(status.expect("tar runs").success());
    let archive = archive.to_str().expect("a plain path");
    docker(&[&["import"][..], options, &[archive, name]].concat());
}
