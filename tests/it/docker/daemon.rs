//! The container engine's own service goes away for good and comes back: an engine of the test's own, because
//! others use the machine's.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use glb::relay::docker::SupervisorStatus;
use glb::relay::engine::{Engine, EngineHealth};

use super::images::images;
use super::lives;
use super::stage::{Stage, UP, spawn};
use crate::harness::eventually::eventually_blocking;
use crate::net::program::{Program, require};

/// Longer than a restart or an upgrade of the engine takes, and than ports may be silent.
const GONE_FOR: Duration = Duration::from_mins(1);
/// Two looks, and what they take.
const NOTICED_WITHIN: Duration = Duration::from_secs(15);
/// As long as it takes two looks to do what is due.
const SETTLED: Duration = Duration::from_secs(12);

/// A `dockerd`. It needs root, as the real one does.
struct Daemon {
    folder: tempfile::TempDir,
    program: Option<Program>,
}

impl Daemon {
    fn start() -> Self {
        require("dockerd");
        let mut daemon = Self {
            folder: tempfile::tempdir().expect("there is room for a folder"),
            program: None,
        };
        daemon.begin(true);
        daemon
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn host(&self) -> String {
        format!("unix://{}", self.file("docker.sock"))
    }

    /// With `keeps_containers` they outlive it.
    fn begin(&mut self, keeps_containers: bool) {
        let mut command = as_root("dockerd");
        command
            .args(["--data-root", &self.file("data")])
            .args(["--exec-root", &self.file("exec")])
            .args(["--pidfile", &self.file("pid")])
            .args(["--host", &self.host()])
            // The machine's own engine has these rules. It has the default bridge, too, which this one shares:
            // with none it would remove that.
            .args(["--iptables=false", "--ip6tables=false"]);
        if keeps_containers {
            command.arg("--live-restore");
        }
        let mut program = Program::spawn(command);
        let host = self.host();
        eventually_blocking(UP, "the engine answers", || {
            assert!(program.is_running(), "dockerd ended: {}", program.stderr());
            let asked = Command::new("docker")
                .args(["--host", &host, "version"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            asked.is_ok_and(|status| status.success())
        });
        self.program = Some(program);
    }

    fn end(&mut self) {
        let Some(mut program) = self.program.take() else {
            return;
        };
        let pid = std::fs::read_to_string(self.file("pid")).unwrap_or_default();
        let ended = as_root("kill").arg(pid.trim()).status();
        assert!(ended.expect("kill runs").success(), "{}", program.stderr());
        eventually_blocking(UP, "the engine ended", || !program.is_running());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.end();
        }
        // Its files are root's.
        let removed = as_root("rm").arg("-rf").arg(self.file("data")).status();
        drop(removed);
    }
}

fn as_root(program: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_engine_has_the_same_containers() {
    let mut daemon = Daemon::start();
    images().copy_to(&daemon.host());
    let mut stage = Stage::at(&daemon.host());
    stage.supervise();
    stage.until_ready().await;
    let before = lives(&stage);

    daemon.end();
    stage
        .until("its end is told", |it| {
            it.problem
                .as_ref()
                .is_some_and(|it| it.reason.contains("Docker"))
        })
        .await;
    daemon.begin(true);
    is_back(&stage).await;
    assert_eq!(lives(&stage), before, "they outlived it");

    // One that keeps none starts those that it finds anew.
    daemon.end();
    daemon.begin(false);
    is_back(&stage).await;
    let ids = |lives: &[String]| {
        lives
            .iter()
            .map(|it| it[..64].to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        ids(&lives(&stage)),
        ids(&before),
        "they are started, not made anew"
    );
    drop(stage);
}

async fn is_back(stage: &Stage) {
    stage
        .until("the engine is back", |it| {
            let mut containers = it.containers.iter();
            it.problem.is_none() && it.is_ready && containers.all(|it| it.state == "running")
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes more than a minute; .ci/run has it run beside the made-up requests"]
async fn an_engine_that_was_gone_for_a_minute_has_the_same_containers() {
    let mut daemon = Daemon::start();
    images().copy_to(&daemon.host());
    let mut stage = Stage::at(&daemon.host());
    stage.supervise();
    stage.until_ready().await;
    let before = lives(&stage);

    daemon.end();
    let gone_at = Instant::now();
    let says_so = |it: &SupervisorStatus| {
        it.problem
            .as_ref()
            .is_some_and(|it| it.reason.contains("Docker") && !it.remedy.is_empty())
    };
    stage.until("its end is told", says_so).await;
    while gone_at.elapsed() < GONE_FOR {
        let status = stage.relay().status();
        assert!(says_so(&status), "all the time: {status:#?}");
        // It is the span itself that is tested.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    daemon.begin(true);
    let back_at = Instant::now();
    is_back(&stage).await;
    assert!(back_at.elapsed() < NOTICED_WITHIN);
    assert_eq!(lives(&stage), before, "nobody restarted them for it");
    // Nor does anything that waited do so afterwards.
    tokio::time::sleep(SETTLED).await;
    assert_eq!(lives(&stage), before);
    let status = stage.relay().status();
    assert!(
        status.containers.iter().all(|it| it.crashes == 0),
        "{status:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_takes_connections_and_says_nothing_is_waited_for() {
    let mut stage = Stage::new();
    let path = stage.folder().join("mute.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let mute = spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
        }
    });
    let target = stage.config.socket.clone();
    stage.config.socket = path.display().to_string();
    stage.supervise();
    stage
        .until("its silence is told", |it| {
            it.problem
                .as_ref()
                .is_some_and(|it| it.reason.contains("does not answer"))
        })
        .await;
    let health = stage.relay().health().await;
    assert!(matches!(health, EngineHealth::Degraded(why) if why.contains("Docker")));
    mute.abort();
    assert!(mute.await.is_err());
    std::fs::remove_file(&path).unwrap();
    let real = Path::new(target.trim_start_matches("unix://"));
    std::os::unix::fs::symlink(real, &path).unwrap();
    stage.until_ready().await;
}
