//! `relay.engine` and `[relay.docker]`.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::external;
use super::layers::{ConfigError, Layers};
use crate::relay::docker::{DockerConfig, HostPorts, Layout};

/// `relay.engine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// Containers when they can be had, else the embedded relay.
    Auto,
    /// Containers.
    Docker,
    /// Inside this process.
    Embedded,
    /// An SLS that somebody else runs.
    External,
}

/// `[relay.docker]`.
#[derive(Debug, Clone)]
pub struct DockerKeys {
    /// The container engine's socket.
    pub socket: String,
    /// The containers, when all images that they need are named.
    pub layout: Layout,
    /// The address of the media ports.
    pub media_address: IpAddr,
    /// All ports.
    pub ports: HostPorts,
    /// Bounds of the negotiated latency.
    pub latency_min: Duration,
    /// See `latency_min`.
    pub latency_max: Duration,
    admission_port: Option<u16>,
    memory_mib: u32,
    cpu_percent: u32,
    crashes_max: usize,
    crash_window: Duration,
    data_on_host: Option<PathBuf>,
}

impl DockerKeys {
    /// The containers for the data folder `data_dir`, which is an absolute path.
    #[must_use]
    pub fn config(&self, data_dir: &Path) -> DockerConfig {
        let on_host = self.data_on_host.as_deref().unwrap_or(data_dir);
        DockerConfig {
            socket: self.socket.clone(),
            layout: self.layout.clone(),
            bind: self.media_address,
            ports: self.ports,
            latency_min: self.latency_min,
            latency_max: self.latency_max,
            admission_port: self.admission_port,
            memory_mib: self.memory_mib,
            cpu_millis: self.cpu_percent * 10,
            crashes_max: self.crashes_max,
            crash_window: self.crash_window,
            folder: data_dir.join("relay"),
            folder_on_host: on_host.join("relay"),
        }
    }
}

pub(super) fn engine_kind(layers: &Layers) -> Result<EngineKind, ConfigError> {
    match layers.choice("relay.engine")?.as_str() {
        "auto" => Ok(EngineKind::Auto),
        "docker" => Ok(EngineKind::Docker),
        "embedded" => Ok(EngineKind::Embedded),
        // The one word that is left of the key's choices.
        _ => external::require(layers).map(|()| EngineKind::External),
    }
}

pub(super) fn docker(layers: &Layers) -> Result<DockerKeys, ConfigError> {
    let millis = |path: &str| layers.unsigned::<u64>(path).map(Duration::from_millis);
    let address = layers.text("relay.docker.media_address")?;
    let media_address = address.parse().map_err(|_| {
        let remedy = "give an address of this machine such as 0.0.0.0";
        layers.refuse("relay.docker.media_address", remedy)
    })?;
    let keys = DockerKeys {
        socket: layers.text("relay.docker.socket")?,
        layout: layout(layers)?,
        media_address,
        ports: ports(layers)?,
        latency_min: millis("relay.docker.latency_min_ms")?,
        latency_max: millis("relay.docker.latency_max_ms")?,
        admission_port: match layers.choice("relay.docker.admission_hook")?.as_str() {
            "on" => Some(layers.unsigned("relay.docker.admission_port")?),
            _ => None,
        },
        memory_mib: layers.unsigned("relay.docker.memory_mib")?,
        cpu_percent: layers.unsigned("relay.docker.cpu_percent")?,
        crashes_max: layers.unsigned("relay.docker.crashes_max")?,
        crash_window: layers
            .unsigned::<u64>("relay.docker.crash_window_minutes")
            .map(|minutes| Duration::from_secs(minutes * 60))?,
        data_on_host: data_on_host(layers)?,
    };
    if keys.latency_max < keys.latency_min {
        let remedy = "must not be less than relay.docker.latency_min_ms";
        return Err(layers.refuse("relay.docker.latency_max_ms", remedy));
    }
    Ok(keys)
}

fn layout(layers: &Layers) -> Result<Layout, ConfigError> {
    let image = |name: &str| layers.optional_text(&format!("relay.docker.images.{name}"));
    let named = match layers.choice("relay.docker.layout")?.as_str() {
        "combined" => image("combined")?
            .map(|image| Layout::Combined { image })
            .ok_or("relay.docker.images.combined"),
        _ => image("sls")?
            .zip(image("srtla")?)
            .map(|(sls, srtla)| Layout::Two { sls, srtla })
            .ok_or("relay.docker.images.sls and relay.docker.images.srtla"),
    };
    Ok(named.unwrap_or_else(Layout::Unset))
}

/// Two containers cannot share a port.
fn ports(layers: &Layers) -> Result<HostPorts, ConfigError> {
    let port = |name: &str| layers.unsigned::<u16>(&format!("relay.docker.{name}_port"));
    let ports = HostPorts {
        srtla: port("srtla")?,
        publish: port("publish")?,
        play: port("play")?,
        bonded: port("bonded")?,
        api: port("api")?,
        link_stats: port("link_stats")?,
    };
    let udp = [
        ("srtla", ports.srtla),
        ("publish", ports.publish),
        ("play", ports.play),
        ("bonded", ports.bonded),
    ];
    for (index, (name, number)) in udp.iter().enumerate() {
        if udp[..index].iter().any(|(_, taken)| taken == number) {
            let remedy = "give each of the UDP ports its own number";
            return Err(layers.refuse(&format!("relay.docker.{name}_port"), remedy));
        }
    }
    if ports.api == ports.link_stats {
        let remedy = "must differ from relay.docker.api_port";
        return Err(layers.refuse("relay.docker.link_stats_port", remedy));
    }
    Ok(ports)
}

fn data_on_host(layers: &Layers) -> Result<Option<PathBuf>, ConfigError> {
    let path = layers
        .optional_text("relay.docker.data_on_host")?
        .map(PathBuf::from);
    match path {
        Some(path) if !path.is_absolute() => {
            let remedy = "give the whole path, from / on";
            Err(layers.refuse("relay.docker.data_on_host", remedy))
        }
        path => Ok(path),
    }
}
