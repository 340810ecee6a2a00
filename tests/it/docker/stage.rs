//! The container engine of this machine, images of our stand-ins, and a supervisor on its own instance.
//!
//! Invariant: a machine without the engine fails the test with the package to install; what a stage made
//! carries its own label and goes with it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
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
use glb::relay::inside::Inside;
use glb::relay::sls::{SlsConfig, SlsEngine};
use tempfile::TempDir;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

pub(super) use super::images::{docker, docker_at, images, socket};
use crate::harness::eventually::eventually;
use crate::net::ports::free_udp_port;

/// The key of SLS's API.
const KEY: &str = "a-key-of-the-tests-that-is-long-enough";

/// Within this, containers are up on a busy machine.
pub(super) const UP: Duration = Duration::from_secs(60);

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

impl Inside for Quiet {}

/// A data folder, an instance, and at times a supervisor for it.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) config: DockerConfig,
    pub(super) identity: Identity,
    pub(super) inner: Arc<Quiet>,
    /// Takes the place of `inner`.
    sls: Option<Arc<SlsEngine>>,
    /// Where `docker` finds the engine, whatever way the supervisor takes.
    host: String,
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
            admission_port: None,
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
            sls: None,
            host: socket(),
            folder,
            running: None,
        }
    }

    /// A folder for the test's own files.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The same on another engine than the machine's.
    pub(super) fn at(host: &str) -> Self {
        let mut stage = Self::new();
        host.clone_into(&mut stage.config.socket);
        host.clone_into(&mut stage.host);
        stage
    }

    /// Both programs in one container.
    pub(super) fn combine(&mut self) {
        self.config.layout = Layout::Combined {
            image: images().receiver.to_owned(),
        };
    }

    /// Speaks to the SLS in the container from now on, as the server does.
    pub(super) fn speak_to_sls(&mut self) {
        let ports = self.config.ports;
        let url = |port: u16, path: &str| {
            let url = format!("http://127.0.0.1:{port}{path}");
            url.parse().expect("it is a URL")
        };
        let config = SlsConfig {
            api_per_minute: 1000,
            stats_per_minute: 1000,
            link_stats_url: Some(url(ports.link_stats, "/stats")),
            ..SlsConfig::new(url(ports.api, ""), KEY.into(), "here")
        };
        let engine = SlsEngine::new(&config).expect("there is an HTTP client");
        engine.open();
        self.sls = Some(Arc::new(engine));
    }

    fn engine(&self) -> Arc<dyn Inside> {
        match &self.sls {
            Some(sls) => Arc::clone(sls) as _,
            None => Arc::clone(&self.inner) as _,
        }
    }

    /// Makes something wrong with a stand-in while it runs; nothing heals it.
    pub(super) fn set_fault(&self, part: &str, fault: &str) {
        let name = format!("{}-{part}", self.identity.prefix());
        docker_at(&self.host, &["exec", &name, "/standin", "fault", fault]);
    }

    /// Begins to supervise, as a start of the server does.
    pub(super) fn supervise(&mut self) {
        let relay = DockerRelay::new(SupervisorDeps {
            config: self.config.clone(),
            identity: self.identity.clone(),
            key: KEY.into(),
            inner: self.engine(),
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
        docker_at(
            &self.host,
            &["inspect", "--type=container", "-f", field, &name],
        )
    }

    /// Ids of all containers and networks with this stage's label.
    pub(super) fn everything(&self) -> Vec<String> {
        let label = format!("label=io.glb.instance={}", self.identity.instance);
        let containers = ["ps", "-aq", "--no-trunc", "--filter", &label];
        let networks = ["network", "ls", "-q", "--no-trunc", "--filter", &label];
        let [containers, networks] =
            [&containers[..], &networks].map(|arguments| docker_at(&self.host, arguments));
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
        for id in (0..2).flat_map(|_| self.everything()) {
            for arguments in [&["rm", "-f", &id][..], &["network", "rm", &id]] {
                drop(
                    Command::new("docker")
                        .args(["--host", &self.host])
                        .args(arguments)
                        .stdout(Stdio::null())
                        .stderr(Stdio::null())
                        .status(),
                );
            }
        }
    }
}

pub(super) fn free_tcp_port() -> u16 {
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
