//! Which engine is this server's own relay: the embedded one, containers, or an SLS that somebody else runs.
//!
//! Invariant: chosen once, at the start. A server that was told to use Docker runs without it, and says so.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use url::Url;

use super::config::{Config, EngineKind};
use super::control::Containers;
use super::listen;
use super::ports::{self, Transport};
use crate::jobs::Tasks;
use crate::kernel::Clock;
use crate::relay::docker::{
    self, Belongings, DockerRelay, Identity, Layout, Supervision, SupervisorDeps,
};
use crate::relay::embedded::EmbeddedRelay;
use crate::relay::engine::Engine;
use crate::relay::sls::{SlsConfig, SlsEngine};

/// Calls and questions per minute that we set in the configuration of our own SLS.
const SLS_PER_MINUTE: u32 = 1000;

/// What an SLS negotiates when its configuration is not known: the bounds in the one that it ships with.
const SLS_LATENCY: RangeInclusive<Duration> = Duration::from_millis(120)..=Duration::from_secs(5);

/// This server's own relay.
#[derive(Debug, Clone)]
pub(super) struct LocalRelay {
    engine: Running,
    why: String,
    latency: RangeInclusive<Duration>,
    media: [SocketAddr; 3],
    /// Containers of an earlier time.
    earlier: Option<Belongings>,
}

#[derive(Debug, Clone)]
enum Running {
    Embedded(Arc<EmbeddedRelay>),
    Docker(DockerRelay),
    External(Arc<SlsEngine>),
}

impl LocalRelay {
    /// Chooses and makes it; nothing is carried yet.
    ///
    /// # Errors
    /// A taken port of the embedded relay, or a folder or key that cannot be used.
    pub(super) async fn choose(config: &Config, clock: &Clock) -> anyhow::Result<Self> {
        match config.engine {
            EngineKind::Embedded => Self::embedded(config, "relay.engine says so".to_owned()),
            EngineKind::Docker => Self::docker(config, clock, "relay.engine says so".to_owned()),
            EngineKind::External => Self::external(config, "relay.engine says so".to_owned()),
            EngineKind::Auto => match why_not_docker(config).await {
                None => {
                    let why = "Docker answers, and the images are named".to_owned();
                    Self::docker(config, clock, why)
                }
                Some(why) => Self::embedded(config, why),
            },
        }
    }

    fn embedded(config: &Config, why: String) -> anyhow::Result<Self> {
        let engine = listen::start_engine(&config.embedded)?;
        let bound = engine.addresses();
        Ok(Self {
            why,
            earlier: belongings(config)?,
            latency: config.embedded.latency_min..=config.embedded.latency_max,
            media: [bound.srtla, bound.publish, bound.play],
            engine: Running::Embedded(Arc::new(engine)),
        })
    }

    fn docker(config: &Config, clock: &Clock, why: String) -> anyhow::Result<Self> {
        let keys = &config.docker;
        let data_dir = std::path::absolute(&config.data_dir)?;
        let docker_config = keys.config(&data_dir);
        let identity = identity(&docker_config.folder)?;
        let key = config.sls_key()?;
        let url = |port: u16, path: &str| Url::parse(&format!("http://127.0.0.1:{port}{path}"));
        let mut sls = SlsConfig::new(url(keys.ports.api, "")?, key.clone(), &identity.instance);
        sls.api_per_minute = SLS_PER_MINUTE;
        sls.stats_per_minute = SLS_PER_MINUTE;
        if keys.ports.link_stats != 0 {
            sls.link_stats_url = Some(url(keys.ports.link_stats, "/stats")?);
        }
        let relay = DockerRelay::new(SupervisorDeps {
            config: docker_config,
            identity,
            key,
            inner: Arc::new(SlsEngine::new(&sls)?),
            clock: clock.clone(),
            port_holder,
        });
        let media = |port: u16| SocketAddr::from((keys.media_address, port));
        Ok(Self {
            why,
            earlier: None,
            latency: keys.latency_min..=keys.latency_max,
            media: [keys.ports.srtla, keys.ports.publish, keys.ports.play].map(media),
            engine: Running::Docker(relay),
        })
    }

    fn external(config: &Config, why: String) -> anyhow::Result<Self> {
        let folder = std::path::absolute(&config.data_dir)?.join("relay");
        let sls = config.external.sls(&identity(&folder)?.instance);
        let sls = sls.context("relay.external.url and relay.external.key are not set")?;
        Ok(Self {
            why,
            earlier: belongings(config)?,
            latency: SLS_LATENCY,
            media: config.external.media(),
            engine: Running::External(Arc::new(SlsEngine::new(&sls)?)),
        })
    }

    /// As the rest of the server knows it.
    pub(super) fn engine(&self) -> Arc<dyn Engine> {
        match &self.engine {
            Running::Embedded(engine) => Arc::clone(engine) as _,
            Running::Docker(relay) => Arc::new(relay.clone()),
            Running::External(sls) => Arc::clone(sls) as _,
        }
    }

    /// As operators know it.
    pub(super) fn supervision(&self) -> Supervision {
        let docker = match &self.engine {
            Running::Embedded(_) | Running::External(_) => None,
            Running::Docker(relay) => Some(relay.clone()),
        };
        Supervision::new(
            self.engine().name(),
            self.why.clone(),
            docker,
            self.earlier.clone(),
        )
    }

    /// As commands may treat its containers.
    pub(super) fn containers(&self) -> Containers {
        match &self.engine {
            Running::Docker(_) => Containers::Supervised,
            Running::Embedded(_) | Running::External(_) => Containers::left(self.earlier.clone()),
        }
    }

    /// Whether it runs inside this process.
    pub(super) const fn is_embedded(&self) -> bool {
        match self.engine {
            Running::Embedded(_) => true,
            Running::Docker(_) | Running::External(_) => false,
        }
    }

    /// Bounds of the negotiated latency.
    pub(super) fn latency(&self) -> RangeInclusive<Duration> {
        self.latency.clone()
    }

    /// Where bonded publishers, publishers and players find it.
    pub(super) const fn media(&self) -> [SocketAddr; 3] {
        self.media
    }

    /// Begins to look after containers, before anybody is registered with them.
    pub(super) async fn begin_work(&self, tasks: &Tasks) {
        tracing::info!(engine = self.engine().name(), why = self.why, "the relay");
        let Running::Docker(relay) = &self.engine else {
            return;
        };
        let relay = relay.clone();
        let supervise = move || {
            let relay = relay.clone();
            async move { relay.supervise().await }
        };
        tasks.spawn("relay_supervisor", supervise).await;
    }

    /// Every slot is registered now, so that a key it does not know is unknown indeed.
    pub(super) fn open(&self) {
        self.engine().all_registered();
    }

    /// Says goodbye to encoders and players. What is no part of this process goes on without us.
    pub(super) async fn shut_down(&self) {
        match &self.engine {
            Running::Embedded(engine) => engine.shutdown().await,
            Running::Docker(_) | Running::External(_) => {}
        }
    }
}

fn identity(folder: &Path) -> anyhow::Result<Identity> {
    Identity::load(folder).with_context(|| format!("reading {}", folder.join("instance").display()))
}

/// What this appliance may have at a container engine.
///
/// # Errors
/// When its identity cannot be read.
pub(super) fn belongings(config: &Config) -> anyhow::Result<Option<Belongings>> {
    let data_dir = std::path::absolute(&config.data_dir)?;
    let docker_config = config.docker.config(&data_dir);
    Belongings::of(&docker_config)
        .with_context(|| format!("reading the identity in {}", docker_config.folder.display()))
}

/// Whether a server with this configuration would run the embedded relay, as far as the configuration tells.
pub(super) fn is_embedded_by(config: &Config) -> bool {
    match config.engine {
        EngineKind::Embedded => true,
        EngineKind::Docker | EngineKind::External => false,
        EngineKind::Auto => matches!(config.docker.layout, Layout::Unset(_)),
    }
}

/// Why `auto` does not take Docker, or `None` when it does.
async fn why_not_docker(config: &Config) -> Option<String> {
    if let Layout::Unset(keys) = config.docker.layout {
        return Some(format!("{keys} name no images, so Docker is not used"));
    }
    let answer = docker::try_socket(&config.docker.socket).await;
    answer
        .err()
        .map(|error| format!("{error}: {}", error.remedy()))
}

fn port_holder(is_udp: bool, port: u16) -> Option<String> {
    let transport = if is_udp {
        Transport::Udp
    } else {
        Transport::Tcp
    };
    ports::holder(transport, port)
}
