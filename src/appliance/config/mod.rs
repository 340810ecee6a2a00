//! The configuration: read once, here and nowhere else, then typed.
//!
//! `appliance.toml` at the top of the repository is documentation and defaults in one; it is embedded.

mod billing;
mod dns;
mod docker;
mod external;
mod keys;
mod layers;
mod limits;
mod oauth;
mod people;
mod plans;
mod secrets;
mod values;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use billing::{BillingKeys, ProviderKeys};
pub use dns::DnsKeys;
pub use docker::{DockerKeys, EngineKind};
pub use external::ExternalKeys;
use layers::Layers;
pub use layers::{ConfigError, DEFAULTS, Origin};
pub use limits::LimitsConfig;
pub use people::{MailConfig, MailSecurity};
pub use plans::PlansKeys;
use secrecy::SecretString;
pub use secrets::KeyFileError;

use crate::accounts::oauth::OAuthConfig;
use crate::http::TrustedProxies;
use crate::http::outbound::Outbound;
use crate::settings::{Words, validate_host};

/// Variables that are flags of commands and no keys.
const COMMAND_VARIABLES: [&str; 2] = ["GLB_DATA_DIR", "GLB_CONFIG"];
/// The data folder when nothing names one.
const DEFAULT_DATA_DIR: &str = "glb-data";

/// What the process was given: the only place that reads the environment.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// The environment.
    pub variables: BTreeMap<String, String>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--config`.
    pub config_file: Option<PathBuf>,
    /// `--listen`.
    pub listen: Option<String>,
}

impl Given {
    /// With the process's environment. Variables that are not UTF-8 are none of ours.
    #[must_use]
    pub fn from_process() -> Self {
        let pairs = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self {
            variables: pairs.collect(),
            ..Self::default()
        }
    }

    /// The data folder.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        let variable = || self.variables.get("GLB_DATA_DIR").map(PathBuf::from);
        self.data_dir
            .clone()
            .or_else(variable)
            .unwrap_or_else(|| DEFAULT_DATA_DIR.into())
    }

    fn config_file(&self, data_dir: &Path) -> Option<PathBuf> {
        let variable = || self.variables.get("GLB_CONFIG").map(PathBuf::from);
        let beside = || Some(data_dir.join("appliance.toml")).filter(|path| path.exists());
        self.config_file.clone().or_else(variable).or_else(beside)
    }
}

/// `[relay.embedded]`.
#[derive(Debug, Clone)]
pub struct EmbeddedConfig {
    /// Bonded publishers.
    pub srtla_listen: SocketAddr,
    /// Plain publishers.
    pub publish_listen: SocketAddr,
    /// Players.
    pub play_listen: SocketAddr,
    /// Advertised ports; 0 is the bound one.
    pub srtla_port: u16,
    /// See `srtla_port`.
    pub publish_port: u16,
    /// See `srtla_port`.
    pub play_port: u16,
    /// Bounds of the negotiated latency.
    pub latency_min: Duration,
    /// See `latency_min`.
    pub latency_max: Duration,
    /// Publishers at most.
    pub max_publishers: usize,
    /// Players at most.
    pub max_players: usize,
    /// Players of one slot at most.
    pub max_players_per_slot: usize,
    /// SRTLA groups at most.
    pub max_srtla_groups: usize,
    /// Links of one SRTLA group at most.
    pub max_srtla_links: usize,
    /// SRTLA groups of one address without an admitted stream at most.
    pub max_waiting_groups: usize,
    /// Answers to what proves no address yet, per address.
    pub first_handshakes_per_second: u32,
    /// Connection attempts per address.
    pub handshakes_per_second: u32,
    /// SRTLA registrations per address.
    pub registrations_per_second: u32,
    /// Media that one publisher may make the relay hold.
    pub publisher_buffer_bytes: usize,
    /// Media that may wait for one player.
    pub player_queue_bytes: usize,
}

/// The configuration, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The data folder.
    pub data_dir: PathBuf,
    /// The main listener.
    pub listen: SocketAddr,
    /// `public_host`.
    pub public_host: Option<String>,
    /// `public_url`, without a slash at its end.
    pub public_url: Option<String>,
    /// Whose forwarding headers count.
    pub trusted_proxies: TrustedProxies,
    /// Where calls to users' addresses may go.
    pub outbound: Outbound,
    /// The DNS names of slots; `None` while they are not configured.
    pub dns: Option<DnsKeys>,
    /// Heartbeats with `X-Relay-Auth`.
    pub relay_shared_key: Option<SecretString>,
    /// `login/complete` with `X-Plugin-Login-Auth`.
    pub plugin_login_complete_key: Option<SecretString>,
    jwt_key: Option<SecretString>,
    sealing_key: Option<SecretString>,
    /// The log's filter.
    pub log_level: String,
    /// Whether the log is JSON.
    pub log_is_json: bool,
    /// A listener of its own for `/metrics`.
    pub metrics_listen: Option<SocketAddr>,
    /// A bearer token for `/metrics`.
    pub metrics_token: Option<SecretString>,
    /// Life of an access token.
    pub access_token_life: Duration,
    /// Life of a sign-in after its last refresh.
    pub refresh_token_life: Duration,
    /// Life of a plugin's attempt to sign in.
    pub plugin_login_life: Duration,
    /// How often the plugin polls.
    pub plugin_login_poll: Duration,
    /// Settings that the configuration says, by their key.
    pub words: Words,
    /// The server that takes mails.
    pub mail: Option<MailConfig>,
    /// How long the audit log is kept.
    pub audit_retention: Duration,
    /// Sign-in providers.
    pub oauth: OAuthConfig,
    /// What carries the media.
    pub engine: EngineKind,
    /// The containers.
    pub docker: DockerKeys,
    /// An SLS that somebody else runs.
    pub external: ExternalKeys,
    /// The plain statistics listener.
    pub stats_listen: Option<SocketAddr>,
    /// Its advertised port; 0 is the bound one.
    pub stats_port: u16,
    /// A database of carriers' names.
    pub carrier_database: Option<PathBuf>,
    /// The embedded relay.
    pub embedded: EmbeddedConfig,
    /// How often callers may call.
    pub limits: LimitsConfig,
    /// How long samples are kept.
    pub sample_retention: Duration,
    /// Who takes money, and what for.
    pub billing: BillingKeys,
    /// How long heartbeats are kept.
    pub health_event_retention: Duration,
    /// What holds for all plans.
    pub plans: PlansKeys,
}

const MINUTE: u64 = 60;
const DAY: u64 = 24 * 60 * MINUTE;

impl Config {
    /// Reads and checks everything. Touches no file but the configuration and `*_FILE` secrets.
    ///
    /// # Errors
    /// [`ConfigError`] for the first thing that is wrong.
    pub fn load(given: &Given) -> Result<Self, ConfigError> {
        let data_dir = given.data_dir();
        let mut layers = Layers::defaults();
        if let Some(file) = given.config_file(&data_dir) {
            layers.add_file(&file)?;
        }
        layers.add_variables(&given.variables, &COMMAND_VARIABLES)?;
        layers.add_flag("--listen", "listen", given.listen.clone());
        Self::from_layers(data_dir, &layers)
    }

    fn from_layers(data_dir: PathBuf, layers: &Layers) -> Result<Self, ConfigError> {
        let seconds = |path: &str, unit: u64| {
            layers
                .unsigned::<u64>(path)
                .map(|number| Duration::from_secs(number * unit))
        };
        Ok(Self {
            data_dir,
            listen: layers.address("listen")?,
            public_host: public_host(layers)?,
            public_url: public_url(layers)?,
            trusted_proxies: trusted_proxies(layers)?,
            outbound: dns::outbound(layers)?,
            dns: dns::dns(layers)?,
            relay_shared_key: layers.secret("relay_shared_key")?,
            plugin_login_complete_key: layers.secret("plugin_login_complete_key")?,
            jwt_key: layers.secret("jwt_key")?,
            sealing_key: sealing_key(layers)?,
            log_level: log_level(layers)?,
            log_is_json: layers.choice("log.format")? == "json",
            metrics_listen: layers.optional_address("metrics.listen")?,
            metrics_token: layers.secret("metrics.token")?,
            access_token_life: seconds("auth.access_token_minutes", MINUTE)?,
            refresh_token_life: seconds("auth.refresh_token_days", DAY)?,
            plugin_login_life: seconds("auth.plugin_login_minutes", MINUTE)?,
            plugin_login_poll: seconds("auth.plugin_login_poll_seconds", 1)?,
            words: people::words(layers)?,
            mail: people::mail(layers)?,
            audit_retention: seconds("audit.retention_days", DAY)?,
            oauth: oauth::oauth(layers)?,
            engine: docker::engine_kind(layers)?,
            docker: docker::docker(layers)?,
            external: external::external(layers)?,
            stats_listen: layers.address_or_off("relay.stats_listen")?,
            stats_port: layers.unsigned("relay.stats_port")?,
            carrier_database: layers
                .optional_text("relay.carrier_database")?
                .map(PathBuf::from),
            embedded: embedded(layers)?,
            limits: limits::limits(layers)?,
            sample_retention: seconds("telemetry.sample_days", DAY)?,
            billing: billing::billing(layers)?,
            health_event_retention: seconds("telemetry.health_event_days", DAY)?,
            plans: plans::plans(layers)?,
        })
    }

    /// The key that signs access tokens, made when there is none.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn jwt_key(&self) -> Result<SecretString, KeyFileError> {
        match &self.jwt_key {
            Some(key) => Ok(key.clone()),
            None => secrets::read_or_make(&self.data_dir.join("jwt.key")),
        }
    }

    /// The key of SLS's API in our containers, made when there is none.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn sls_key(&self) -> Result<SecretString, KeyFileError> {
        secrets::read_or_make(&self.data_dir.join("sls.key"))
    }

    /// The key that seals stream keys, made when there is none.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn sealing_key(&self) -> Result<[u8; 32], KeyFileError> {
        match &self.sealing_key {
            Some(key) => secrets::sealing_bytes(key),
            None => {
                secrets::sealing_bytes(&secrets::read_or_make(&self.data_dir.join("sealing.key"))?)
            }
        }
    }
}

fn public_host(layers: &Layers) -> Result<Option<String>, ConfigError> {
    let Some(text) = layers.optional_text("public_host")? else {
        return Ok(None);
    };
    let host = validate_host(&text);
    host.map(Some)
        .map_err(|error| layers.refuse("public_host", error.to_string()))
}

fn public_url(layers: &Layers) -> Result<Option<String>, ConfigError> {
    let Some(text) = layers.optional_text("public_url")? else {
        return Ok(None);
    };
    let is_base = url::Url::parse(&text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.host_str().is_some_and(|host| !host.is_empty())
            && url.query().is_none()
            && url.fragment().is_none()
            && url.path() == "/"
            && url.username().is_empty()
    });
    if !is_base {
        let remedy = "give the base of links such as https://relay.example.org, without a path";
        return Err(layers.refuse("public_url", remedy));
    }
    Ok(Some(text.trim_end_matches('/').to_owned()))
}

fn trusted_proxies(layers: &Layers) -> Result<TrustedProxies, ConfigError> {
    let entries = layers.list("trusted_proxies")?;
    TrustedProxies::parse(&entries).map_err(|remedy| layers.refuse("trusted_proxies", remedy))
}

fn sealing_key(layers: &Layers) -> Result<Option<SecretString>, ConfigError> {
    let Some(key) = layers.secret("sealing_key")? else {
        return Ok(None);
    };
    match secrets::sealing_bytes(&key) {
        Ok(_) => Ok(Some(key)),
        Err(error) => Err(layers.refuse("sealing_key", error.to_string())),
    }
}

fn log_level(layers: &Layers) -> Result<String, ConfigError> {
    let level = layers.text("log.level")?;
    match tracing_subscriber::EnvFilter::try_new(&level) {
        Ok(_) => Ok(level),
        Err(_) => Err(layers.refuse(
            "log.level",
            "give error, warn, info, debug, trace or a filter",
        )),
    }
}

fn embedded(layers: &Layers) -> Result<EmbeddedConfig, ConfigError> {
    let millis = |path: &str| layers.unsigned::<u64>(path).map(Duration::from_millis);
    let megabytes = |path: &str| layers.unsigned::<usize>(path).map(|mb| mb * 1_000_000);
    let config = EmbeddedConfig {
        srtla_listen: layers.address("relay.embedded.srtla_listen")?,
        publish_listen: layers.address("relay.embedded.publish_listen")?,
        play_listen: layers.address("relay.embedded.play_listen")?,
        srtla_port: layers.unsigned("relay.embedded.srtla_port")?,
        publish_port: layers.unsigned("relay.embedded.publish_port")?,
        play_port: layers.unsigned("relay.embedded.play_port")?,
        latency_min: millis("relay.embedded.latency_min_ms")?,
        latency_max: millis("relay.embedded.latency_max_ms")?,
        max_publishers: layers.unsigned("relay.embedded.max_publishers")?,
        max_players: layers.unsigned("relay.embedded.max_players")?,
        max_players_per_slot: layers.unsigned("relay.embedded.max_players_per_slot")?,
        max_srtla_groups: layers.unsigned("relay.embedded.max_srtla_groups")?,
        max_srtla_links: layers.unsigned("relay.embedded.max_srtla_links")?,
        max_waiting_groups: layers.unsigned("relay.embedded.max_waiting_groups_per_address")?,
        first_handshakes_per_second: layers
            .unsigned("relay.embedded.first_handshakes_per_second")?,
        handshakes_per_second: layers.unsigned("relay.embedded.handshakes_per_second")?,
        registrations_per_second: layers.unsigned("relay.embedded.registrations_per_second")?,
        publisher_buffer_bytes: megabytes("relay.embedded.publisher_buffer_mb")?,
        player_queue_bytes: megabytes("relay.embedded.player_queue_mb")?,
    };
    if config.latency_max < config.latency_min {
        let remedy = "must not be less than relay.embedded.latency_min_ms";
        return Err(layers.refuse("relay.embedded.latency_max_ms", remedy));
    }
    Ok(config)
}

#[cfg(test)]
mod tests;
