//! The supervisor on the machine's real container engine, with stand-ins of our own in the containers.

mod bad_input;
mod callers;
mod contract;
mod daemon;
mod images;
mod server;
mod stage;
mod whole;

use std::net::UdpSocket;
use std::time::Duration;

use glb::relay::docker::{Layout, Part, RestartError};
use glb::relay::engine::{Engine, EngineHealth};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use crate::net::ports::free_udp_port;
use crate::net::program::{Program, command};
use stage::{Stage, docker, images, socket};

const BOTH: [&str; 2] = ["sls", "srtla"];

/// Ids and moments of start of both containers.
fn lives(stage: &Stage) -> Vec<String> {
    BOTH.map(|part| stage.inspect(part, "{{.Id}} {{.State.StartedAt}}"))
        .to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_are_made_adopted_after_a_kill_replaced_when_idle_and_removed() {
    let mut stage = Stage::new();
    stage.supervise();
    stage.until_ready().await;
    assert_eq!(stage.relay().health().await, EngineHealth::Ready);
    let host = |field: &str| stage.inspect("sls", &format!("{{{{.HostConfig.{field}}}}}"));
    assert_eq!(
        [host("ReadonlyRootfs"), host("Privileged")],
        ["true", "false"]
    );
    // Engines tell in words of their own what they dropped; the kernel tells what is left.
    let status = format!("/proc/{}/status", stage.inspect("sls", "{{.State.Pid}}"));
    let status = std::fs::read_to_string(status).unwrap();
    assert!(status.contains("CapBnd:\t0000000000000000\n"), "{status}");
    let first = lives(&stage);

    stage.kill().await;
    stage.supervise();
    stage.until_ready().await;
    assert_eq!(lives(&stage), first, "they are adopted");

    stage.kill().await;
    stage.config.latency_max = Duration::from_secs(4);
    stage.inner.set_busy(true);
    stage.supervise();
    let waits = "the change waits for the publisher";
    stage
        .until(waits, |it| {
            it.containers.iter().any(|one| one.waits_for_idle)
        })
        .await;
    assert_eq!(lives(&stage), first);
    let refused = stage.relay().restart(Part::Sls, false).await;
    assert_eq!(refused, Err(RestartError::Busy));

    stage.inner.set_busy(false);
    let is_old = |id: &str| first[0].starts_with(id);
    stage
        .until("SLS is replaced", |it| {
            it.is_ready && !is_old(&it.containers[0].id)
        })
        .await;
    let second = lives(&stage);
    assert_ne!(second[1], first[1], "the receiver was restarted");
    assert_eq!(second[1][..64], first[1][..64], "and not made anew");

    let relay = stage.relay().clone();
    stage.kill().await;
    relay.remove_all().await.unwrap();
    assert_eq!(stage.everything(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_keeps_crashing_is_left_alone_and_shows_its_last_words() {
    let mut stage = Stage::new();
    let data = stage.config.folder.join("sls/data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("fault"), "crash").unwrap();
    stage.supervise();
    stage
        .until("the crash loop is seen", |it| {
            let mut containers = it.containers.iter();
            containers.any(|one| one.state == "crash_loop" && !one.last_lines.is_empty())
        })
        .await;
    let sls = &stage.relay().status().containers[0];
    assert_eq!(sls.last_lines.len(), 50);
    let words = sls.last_lines.join("\n");
    assert!(words.contains("key_stream_name=live_***") && !words.contains("planted"));
    let health = stage.relay().health().await;
    assert!(matches!(health, EngineHealth::Degraded(why) if why.contains("keeps crashing")));
    stage
        .until("Docker does not go on with it", |_| {
            stage.inspect("sls", "{{.State.Status}}") == "exited"
        })
        .await;

    std::fs::remove_file(data.join("fault")).unwrap();
    stage.relay().restart(Part::Sls, false).await.unwrap();
    stage.until_ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_runs_and_is_mute_is_found_out() {
    let mut stage = Stage::new();
    stage.config.layout = Layout::Two {
        sls: images().sls.to_owned(),
        srtla: images().mute_srtla.to_owned(),
    };
    stage.supervise();
    stage
        .until("the mute receiver is told", |it| {
            let why = it.reason.as_deref().unwrap_or_default();
            let receiver = it.containers.get(1);
            assert!(!it.is_ready, "not for a moment: {it:#?}");
            receiver.is_some_and(|it| it.state == "running") && why.contains("SRTLA receiver")
        })
        .await;
    assert!(!stage.relay().status().is_ready);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_a_stranger_has_is_named_and_taken_when_it_is_free() {
    let mut stage = Stage::new();
    let port = stage.config.ports.publish;
    let stranger = UdpSocket::bind(("127.0.0.1", port)).unwrap();
    stage.supervise();
    let named = format!("port {port}/udp is taken by the program of {port}");
    stage
        .until("the port is named", |it| {
            let problem = it.containers.first().and_then(|it| it.problem.as_ref());
            problem.is_some_and(|it| it.reason == named && it.remedy.contains("[relay.docker]"))
        })
        .await;
    drop(stranger);
    stage.until_ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_pulled_from_its_registry() {
    let mut stage = Stage::new();
    let port = free_udp_port();
    let folder = stage.folder().join("registry");
    let settings = format!(
        "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n",
        folder.display()
    );
    let file = stage.folder().join("registry.yml");
    std::fs::write(&file, settings).unwrap();
    let mut registry = command("docker-registry");
    registry.arg("serve").arg(&file);
    let registry = Program::spawn(registry);
    let name = format!("127.0.0.1:{port}/sls:1");
    docker(&["tag", images().sls, &name]);
    let address = format!("127.0.0.1:{port}");
    crate::harness::eventually::eventually(stage::UP, "the registry listens", async || {
        tokio::net::TcpStream::connect(&address).await.is_ok()
    })
    .await;
    docker(&["push", "-q", &name]);
    docker(&["rmi", &name]);

    stage.config.layout = Layout::Two {
        sls: name.clone(),
        srtla: images().srtla.to_owned(),
    };
    stage.supervise();
    stage.until_ready().await;
    assert_eq!(stage.inspect("sls", "{{.Config.Image}}"), name);
    drop(registry);
    drop(stage);
    docker(&["rmi", &name]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_goes_away_and_comes_back_finds_the_same_containers() {
    let mut stage = Stage::new();
    let path = stage.folder().join("proxy.sock");
    let target = socket().trim_start_matches("unix://").to_owned();
    let proxy = Proxy::start(&path, &target);
    stage.config.socket = path.display().to_string();
    stage.supervise();
    stage.until_ready().await;
    let before = lives(&stage);

    proxy.stop(&path).await;
    stage
        .until("the missing engine is told", |it| {
            let problem = it.problem.as_ref();
            problem.is_some_and(|it| it.reason.contains("Docker"))
        })
        .await;
    assert!(
        stage.relay().status().is_ready,
        "the ports still answer: media flow without the engine's service"
    );

    let proxy = Proxy::start(&path, &target);
    stage
        .until("the engine is back", |it| {
            it.problem.is_none() && it.is_ready && it.containers[0].state == "running"
        })
        .await;
    assert_eq!(lives(&stage), before);
    proxy.stop(&path).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_engine_the_reason_names_docker() {
    let mut stage = Stage::new();
    stage.config.socket = stage.folder().join("nobody.sock").display().to_string();
    stage.supervise();
    stage
        .until("the missing socket is told", |it| it.problem.is_some())
        .await;
    let health = stage.relay().health().await;
    assert!(matches!(health, EngineHealth::Degraded(why) if why.contains("Docker has no socket")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_speaks_too_old_an_api_is_told_and_taken_once_it_is_newer() {
    let mut stage = Stage::new();
    let path = stage.folder().join("old.sock");
    let target = socket().trim_start_matches("unix://").to_owned();
    // The engine's own answers, but for the number.
    let old = Proxy::start_as(&path, &target, Some("1.24"));
    stage.config.socket = path.display().to_string();
    stage.supervise();
    stage
        .until("its age is told", |it| {
            it.problem.as_ref().is_some_and(|it| {
                it.reason.contains("API 1.24") && it.remedy.contains("install a newer Docker")
            })
        })
        .await;
    assert!(!stage.relay().takes_sessions());
    assert_eq!(stage.everything(), Vec::<String>::new());
    let health = stage.relay().health().await;
    assert!(matches!(health, EngineHealth::Degraded(why) if why.contains("too old")));

    old.stop(&path).await;
    let proxy = Proxy::start(&path, &target);
    stage.until_ready().await;
    proxy.stop(&path).await;
}

/// Passes connections on to the engine's socket until it is stopped.
struct Proxy(tokio::task::JoinHandle<()>);

impl Proxy {
    fn start(path: &std::path::Path, target: &str) -> Self {
        Self::start_as(path, target, None)
    }

    /// The engine says that this is the newest API it speaks.
    fn start_as(path: &std::path::Path, target: &str, api: Option<&'static str>) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let target = target.to_owned();
        Self(stage::spawn(async move {
            let mut conversations = tokio::task::JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let target = target.clone();
                conversations.spawn(async move {
                    let mut far = UnixStream::connect(target).await.unwrap();
                    match api {
                        None => drop(tokio::io::copy_bidirectional(&mut near, &mut far).await),
                        Some(api) => pass_on_as(near, far, api).await,
                    }
                });
            }
        }))
    }

    /// Ends it with all that it carries.
    async fn stop(self, path: &std::path::Path) {
        self.0.abort();
        assert!(self.0.await.is_err());
        std::fs::remove_file(path).unwrap();
    }
}

/// Passes a conversation on, with another number of the API in the answers.
async fn pass_on_as(near: UnixStream, far: UnixStream, api: &str) {
    const NAME: &str = "\"ApiVersion\":\"";
    let (mut from_near, mut to_near) = near.into_split();
    let (mut from_far, mut to_far) = far.into_split();
    let answers = async {
        let mut piece = vec![0; 1 << 16];
        while let Ok(length @ 1..) = from_far.read(&mut piece).await {
            let mut text = String::from_utf8_lossy(&piece[..length]).into_owned();
            let named: Vec<_> = text.match_indices(NAME).map(|(at, _)| at).collect();
            for at in named {
                // As long as what it replaces, so that the answer's length stays right.
                let number = at + NAME.len()..at + NAME.len() + api.len();
                text.replace_range(number, api);
            }
            if to_near.write_all(text.as_bytes()).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = answers => {}
        _ = tokio::io::copy(&mut from_near, &mut to_far) => {}
    }
}
