//! Binds every port before anything else begins, so that a taken one stops us while nothing has happened.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use anyhow::Context;

use super::addresses::Addresses;
use super::config::{Config, EmbeddedConfig as RelayKeys, EngineKind};
use super::detect;
use super::ports::{self, Transport};
use crate::http::{self, BindError, Listening};
use crate::relay::embedded::{EmbeddedConfig, EmbeddedRelay, MemoryBound, StartError};
use crate::settings::{AddressSources, AdvertisedPorts};

/// The bound TCP ports.
pub(super) struct Ports {
    pub(super) http: Listening,
    pub(super) stats: Option<Listening>,
    pub(super) metrics: Option<Listening>,
}

/// Binds the TCP ports.
///
/// # Errors
/// Which port, who holds it, and which key to change.
pub(super) fn bind_all(config: &Config) -> anyhow::Result<Ports> {
    let bind = |purpose, address, key| {
        http::bind(purpose, address).map_err(|error| {
            let hint = ports::hint(Transport::Tcp, address, &error.source, key);
            BindError { hint, ..error }
        })
    };
    Ok(Ports {
        http: bind("pages and API", config.listen, "listen")?,
        stats: config
            .stats_listen
            .map(|address| bind("statistics", address, "relay.stats_listen"))
            .transpose()?,
        metrics: config
            .metrics_listen
            .map(|address| bind("metrics", address, "metrics.listen"))
            .transpose()?,
    })
}

/// Starts the embedded relay on its UDP ports.
///
/// # Errors
/// As [`bind_all`].
pub(super) fn start_engine(keys: &RelayKeys) -> anyhow::Result<EmbeddedRelay> {
    let config = relay_config(keys);
    tracing::info!("memory of the relay: {}", MemoryBound::of(&config));
    EmbeddedRelay::start(&config).map_err(|error| {
        let hint = match &error {
            StartError::Bind {
                what,
                address,
                source,
            } => {
                // The port's name ends with its key in parentheses.
                let key = what
                    .rsplit('(')
                    .next()
                    .unwrap_or(what)
                    .trim_end_matches(')');
                ports::hint(Transport::Udp, *address, source, key)
            }
            StartError::System(_) => String::new(),
        };
        anyhow::anyhow!("{error}{hint}")
    })
}

/// The relay's configuration from the keys of `[relay.embedded]`.
pub(super) fn relay_config(keys: &RelayKeys) -> EmbeddedConfig {
    EmbeddedConfig {
        srtla_listen: keys.srtla_listen,
        publish_listen: keys.publish_listen,
        play_listen: keys.play_listen,
        latency_min: keys.latency_min,
        latency_max: keys.latency_max,
        publishers_max: keys.max_publishers,
        players_max: keys.max_players,
        players_per_slot_max: keys.max_players_per_slot,
        srtla_groups_max: keys.max_srtla_groups,
        srtla_links_max: keys.max_srtla_links,
        srtla_waiting_groups_max: keys.max_waiting_groups,
        first_handshakes_per_second: keys.first_handshakes_per_second,
        handshakes_per_second: keys.handshakes_per_second,
        registrations_per_second: keys.registrations_per_second,
        publisher_buffer_bytes: keys.publisher_buffer_bytes,
        player_queue_bytes: keys.player_queue_bytes,
        ..EmbeddedConfig::default()
    }
}

/// Where everything listens.
pub(super) fn addresses_of(ports: &Ports, media: [SocketAddr; 3]) -> Addresses {
    let [srtla, srt_publish, srt_play] = media;
    Addresses {
        http: ports.http.address,
        stats: ports.stats.as_ref().map(|listening| listening.address),
        metrics: ports.metrics.as_ref().map(|listening| listening.address),
        srtla,
        srt_publish,
        srt_play,
    }
}

/// What is known of our public address. The ports of `[relay.embedded]` count for that relay alone.
pub(super) fn address_sources(
    config: &Config,
    addresses: &Addresses,
    is_embedded: bool,
) -> AddressSources {
    let or_bound = |port: u16, bound: SocketAddr| if port == 0 { bound.port() } else { port };
    let of_media =
        |port: u16, bound: SocketAddr| or_bound(if is_embedded { port } else { 0 }, bound);
    let (http_port, detected) = (addresses.http.port(), detect::default_route_ipv4());
    let (mut host, mut url) = (config.public_host.clone(), config.public_url.clone());
    if config.engine == EngineKind::External {
        // Media are on another machine than pages and API.
        let own = host.unwrap_or_else(|| detected.to_string());
        url = url.or_else(|| Some(format!("http://{own}:{http_port}")));
        host = config.external.host();
    }
    AddressSources {
        configured_host: host,
        configured_url: url,
        detected,
        http_port,
        ports: AdvertisedPorts {
            srtla: of_media(config.embedded.srtla_port, addresses.srtla),
            srt_publish: of_media(config.embedded.publish_port, addresses.srt_publish),
            srt_play: of_media(config.embedded.play_port, addresses.srt_play),
            stats: addresses
                .stats
                .map_or(0, |bound| or_bound(config.stats_port, bound)),
        },
    }
}

/// The base of the setup address when the pages can be reached on this machine only.
pub(super) fn local_url(config: &Config, http: SocketAddr) -> Option<String> {
    (config.public_url.is_none() && http.ip().is_loopback()).then(|| format!("http://{http}"))
}

/// For commands while no server runs: the ports are those of the last run, or the configured ones.
pub(super) fn offline_addresses(config: &Config) -> Addresses {
    let configured = Addresses {
        http: config.listen,
        stats: config.stats_listen,
        metrics: config.metrics_listen,
        srtla: config.embedded.srtla_listen,
        srt_publish: config.embedded.publish_listen,
        srt_play: config.embedded.play_listen,
    };
    match Addresses::read(&config.data_dir) {
        Ok(last) if config.listen.port() == 0 => last,
        Ok(_) | Err(_) => configured,
    }
}

/// Listens on the local socket, which only this user may open.
///
/// # Errors
/// The operating system's.
pub(super) fn listen_privately(path: &Path) -> anyhow::Result<tokio::net::UnixListener> {
    let bind = || {
        // Left behind by a server that was killed: we hold the folder's lock, so nobody serves it.
        if path.exists() {
            std::fs::remove_file(path)?;
        }
        // The folder is private already, so nobody can connect before the mode is set.
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        tokio::net::UnixListener::from_std(listener)
    };
    bind().with_context(|| format!("listening on {}", path.display()))
}
