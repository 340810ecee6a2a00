//! `[relay.external]`.

use std::net::{Ipv4Addr, SocketAddr};

use secrecy::SecretString;
use url::Url;

use super::layers::{ConfigError, Layers};
use crate::relay::sls::SlsConfig;
use crate::settings::validate_host;

/// `[relay.external]`: an SLS that somebody else runs.
#[derive(Debug, Clone)]
pub struct ExternalKeys {
    api: Option<(Url, SecretString)>,
    link_stats_url: Option<Url>,
    host: Option<String>,
    ports: [u16; 3],
    api_per_minute: u32,
    stats_per_minute: u32,
}

impl ExternalKeys {
    /// How to speak to it as `owner`; `None` while it is not configured.
    #[must_use]
    pub fn sls(&self, owner: &str) -> Option<SlsConfig> {
        let (url, key) = self.api.clone()?;
        Some(SlsConfig {
            link_stats_url: self.link_stats_url.clone(),
            api_per_minute: self.api_per_minute,
            stats_per_minute: self.stats_per_minute,
            ..SlsConfig::new(url, key, owner)
        })
    }

    /// Under which name or IPv4 address phones and OBS reach it; `None` while it is not configured.
    #[must_use]
    pub fn host(&self) -> Option<String> {
        let of_api = || Some(self.api.as_ref()?.0.host_str()?.to_owned());
        self.host.clone().or_else(of_api)
    }

    /// Its addresses for bonded publishers, publishers and players; the host is unspecified unless it is an
    /// IPv4 address.
    #[must_use]
    pub fn media(&self) -> [SocketAddr; 3] {
        let host = self.host().and_then(|host| host.parse().ok());
        let host = host.unwrap_or(Ipv4Addr::UNSPECIFIED);
        self.ports.map(|port| SocketAddr::from((host, port)))
    }
}

pub(super) fn external(layers: &Layers) -> Result<ExternalKeys, ConfigError> {
    let url = http_url(layers, "relay.external.url")?;
    let key = layers.secret("relay.external.key")?;
    Ok(ExternalKeys {
        api: url.zip(key),
        link_stats_url: http_url(layers, "relay.external.link_stats_url")?,
        host: host(layers)?,
        ports: [
            layers.unsigned("relay.external.srtla_port")?,
            layers.unsigned("relay.external.publish_port")?,
            layers.unsigned("relay.external.play_port")?,
        ],
        api_per_minute: layers.unsigned("relay.external.api_calls_per_minute")?,
        stats_per_minute: layers.unsigned("relay.external.stats_calls_per_minute")?,
    })
}

/// Refuses `relay.engine = "external"` as long as nothing says where it is.
pub(super) fn require(layers: &Layers) -> Result<(), ConfigError> {
    if external(layers)?.api.is_some() {
        return Ok(());
    }
    let remedy = "say where it is with relay.external.url and relay.external.key";
    Err(layers.refuse("relay.engine", remedy))
}

fn http_url(layers: &Layers, path: &str) -> Result<Option<Url>, ConfigError> {
    let Some(text) = layers.optional_text(path)? else {
        return Ok(None);
    };
    let url = Url::parse(&text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.host_str().is_some_and(|host| !host.is_empty())
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    });
    let remedy = "give an address such as http://10.0.0.2:8080, without user or query";
    url.map(Some).ok_or_else(|| layers.refuse(path, remedy))
}

fn host(layers: &Layers) -> Result<Option<String>, ConfigError> {
    let path = "relay.external.host";
    let Some(text) = layers.optional_text(path)? else {
        return Ok(None);
    };
    let host = validate_host(&text);
    host.map(Some)
        .map_err(|error| layers.refuse(path, error.to_string()))
}
