//! The container engine of this machine, images of our stand-ins, and a supervisor on its own instance.
//!
//! Invariant: a machine without the engine fails the test with the package to install; what a stage made
//! carries its own label and goes with it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use glb::kernel::Clock;
use glb::kernel::ids::SlotId;
use glb::relay::docker::{
    DockerConfig, DockerRelay, HostPorts, Identity, Layout, SupervisorDeps, SupervisorStatus,
};
use glb::relay::engine::{
    Capabilities, Engine, EngineCounters, EngineError, EngineEvent, EngineHealth, PublisherStats,
    StreamSpec, StreamStats, Target, Traffic,
};
use tempfile::TempDir;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

use crate::harness::eventually::eventually;
use crate::net::ports::free_udp_port;
use crate::net::program::require;

/// Within this, containers are up on a busy machine.
pub(super) const UP: Duration = Duration::from_secs(60);

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
    require("docker");
    let output = Command::new("docker")
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
        };
        let srtla = r#"ENTRYPOINT ["/standin","srtla"]"#;
        import(&program, &[r#"CMD ["/standin","sls"]"#], images.sls);
        import(&program, &[srtla], images.srtla);
        import(&program, &[srtla, "ENV FAULT=mute"], images.mute_srtla);
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
            "-o",
        ])
        .arg(&program)
        .arg(source)
        .status()
        .expect("rustc runs");
    assert!(status.success(), "the stand-in compiles");
    program
}

fn import(program: &Path, changes: &[&str], name: &str) {
    let folder = program.parent().expect("it is in a folder");
    let archive = folder.join("image.tar");
    let status = Command::new("tar")
        .args(["-cf"])
        .arg(&archive)
        .arg("-C")
        .arg(folder)
        .arg("standin")
        .status();
    assert!(status.expect("tar runs").success());
    let mut arguments = vec!["import"];
    for change in changes {
        arguments.extend(["-c", change]);
    }
    let archive = archive.to_str().expect("a plain path");
    arguments.extend([archive, name]);
    docker(&arguments);
}

/// An engine that carries nothing, and says that somebody publishes when it is told to.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    is_busy: Mutex<bool>,
}

impl Quiet {
    pub(super) fn set_busy(&self, is_busy: bool) {
        *self.is_busy.lock().unwrap() = is_busy;
    }
}

#[async_trait]
impl Engine for Quiet {
    fn name(&self) -> &'static str {
        "quiet"
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            can_disconnect: false,
            has_links: false,
            has_passphrase: false,
            keeps_streams: true,
        }
    }
    fn events(&self) -> broadcast::Receiver<EngineEvent> {
        broadcast::channel(1).1
    }
    async fn health(&self) -> EngineHealth {
        EngineHealth::Ready
    }
    async fn register(&self, _: StreamSpec) -> Result<(), EngineError> {
        Ok(())
    }
    async fn drop_stream(&self, _: SlotId) -> Result<(), EngineError> {
        Ok(())
    }
    async fn disconnect(&self, _: SlotId, _: Target) -> Result<usize, EngineError> {
        Ok(0)
    }
    async fn stats(&self) -> Result<Vec<StreamStats>, EngineError> {
        let publisher = self.is_busy.lock().unwrap().then(PublisherStats::default);
        Ok(vec![StreamStats {
            slot_id: SlotId::generate(),
            publisher,
            players: Vec::new(),
            received: Traffic::default(),
            sent: Traffic::default(),
        }])
    }
    async fn counters(&self) -> Result<EngineCounters, EngineError> {
        Ok(Vec::new())
    }
}

/// A data folder, an instance, and at times a supervisor for it.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) config: DockerConfig,
    pub(super) identity: Identity,
    pub(super) inner: Arc<Quiet>,
    folder: TempDir,
    running: Option<(DockerRelay, JoinHandle<()>)>,
}

impl Stage {
    /// Nothing runs yet.
    pub(super) fn new() -> Self {
        let images = images();
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let relay = folder.path().join("relay");
        let config = DockerConfig {
            socket: socket(),
            layout: Layout::Two {
                sls: images.sls.to_owned(),
                srtla: images.srtla.to_owned(),
            },
            bind: "127.0.0.1".parse().expect("an address"),
            ports: HostPorts {
                srtla: free_udp_port(),
                publish: free_udp_port(),
                play: free_udp_port(),
                bonded: free_udp_port(),
                api: free_tcp_port(),
                link_stats: free_tcp_port(),
            },
            latency_min: Duration::from_millis(120),
            latency_max: Duration::from_secs(5),
            memory_mib: 128,
            cpu_millis: 1_000,
            crashes_max: 5,
            crash_window: Duration::from_secs(300),
            folder_on_host: relay.clone(),
            folder: relay.clone(),
        };
        Self {
            identity: Identity::load(&relay).expect("the folder is ours"),
            config,
            inner: Arc::default(),
            folder,
            running: None,
        }
    }

    /// A folder for the test's own files.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Begins to supervise, as a start of the server does.
    pub(super) fn supervise(&mut self) {
        let relay = DockerRelay::new(SupervisorDeps {
            config: self.config.clone(),
            identity: self.identity.clone(),
            key: "a-key-of-the-tests-that-is-long-enough".into(),
            inner: Arc::clone(&self.inner) as _,
            clock: Clock::system(),
            port_holder: |_, port| Some(format!("the program of {port}")),
        });
        let supervised = relay.clone();
        let task = spawn(async move { supervised.supervise().await });
        self.running = Some((relay, task));
    }

    /// Ends it in the middle of whatever it does, as a kill does; the containers stay.
    pub(super) async fn kill(&mut self) {
        if let Some((_, task)) = self.running.take() {
            task.abort();
            assert!(task.await.is_err_and(|error| error.is_cancelled()));
        }
    }

    /// The supervised relay.
    pub(super) fn relay(&self) -> &DockerRelay {
        &self.running.as_ref().expect("it is supervised").0
    }

    /// Waits for a state.
    pub(super) async fn until(&self, what: &str, is_so: impl Fn(&SupervisorStatus) -> bool) {
        let deadline = std::time::Instant::now() + UP;
        eventually(UP + Duration::from_secs(1), what, async || {
            let status = self.relay().status();
            let reached = is_so(&status);
            let is_late = std::time::Instant::now() > deadline;
            assert!(reached || !is_late, "{what} was not reached: {status:#?}");
            reached
        })
        .await;
    }

    /// Waits until every port has answered.
    pub(super) async fn until_ready(&self) {
        self.until("ready", |status| status.is_ready).await;
    }

    /// A field of a container as the engine tells it.
    pub(super) fn inspect(&self, part: &str, field: &str) -> String {
        let name = format!("{}-{part}", self.identity.prefix());
        docker(&["inspect", "--type=container", "-f", field, &name])
    }

    /// Ids of all containers and networks with this stage's label.
    pub(super) fn everything(&self) -> Vec<String> {
        let label = format!("label=io.glb.instance={}", self.identity.instance);
        let containers = docker(&["ps", "-aq", "--no-trunc", "--filter", &label]);
        let networks = docker(&["network", "ls", "-q", "--no-trunc", "--filter", &label]);
        [containers, networks]
            .iter()
            .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some((_, task)) = self.running.take() {
            task.abort();
        }
        // A supervisor that was in the middle of a call may still make one container more; twice is enough.
        for id in self.everything().into_iter().chain(self.everything()) {
            for arguments in [&["rm", "-f", &id][..], &["network", "rm", &id]] {
                drop(
                    Command::new("docker")
                        .args(arguments)
                        .stdout(Stdio::null())
                        .stderr(Stdio::null())
                        .status(),
                );
            }
        }
    }
}

fn free_tcp_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr();
    address.expect("a bound socket has an address").port()
}

/// A task of the test's, which ends with it.
#[expect(
    clippy::disallowed_methods,
    reason = "a test owns its tasks and ends them"
)]
pub(super) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(task)
}
