//! `[dns.cloudflare]` and `[outbound]`.

use secrecy::SecretString;
use url::Url;

use super::layers::{ConfigError, Layers};
use crate::http::outbound::Outbound;
use crate::settings::validate_host;

/// `[dns.cloudflare]`: where the DNS names of slots are kept.
#[derive(Debug, Clone)]
pub struct DnsKeys {
    /// The zone.
    pub zone_id: String,
    /// A token that may edit its records.
    pub token: SecretString,
    /// What names end with, such as `relay.example.org`.
    pub domain: String,
    /// The base of the API.
    pub api_base: Url,
}

pub(super) fn dns(layers: &Layers) -> Result<Option<DnsKeys>, ConfigError> {
    let zone_id = zone_id(layers)?;
    let token = layers.secret("dns.cloudflare.token")?;
    let domain = domain(layers)?;
    let api_base = api_base(layers)?;
    match (zone_id, token, domain) {
        (None, None, None) => Ok(None),
        (Some(zone_id), Some(token), Some(domain)) => Ok(Some(DnsKeys {
            zone_id,
            token,
            domain,
            api_base,
        })),
        (zone_id, token, _) => {
            let present = match (zone_id, token) {
                (Some(_), _) => "dns.cloudflare.zone_id",
                (None, Some(_)) => "dns.cloudflare.token",
                (None, None) => "dns.cloudflare.domain",
            };
            let remedy = "zone_id, token and domain belong together: set all three, or none";
            Err(layers.refuse(present, remedy))
        }
    }
}

fn zone_id(layers: &Layers) -> Result<Option<String>, ConfigError> {
    let path = "dns.cloudflare.zone_id";
    let id = layers.optional_text(path)?;
    let is_sound = |id: &String| {
        (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    if id.as_ref().is_some_and(|id| !is_sound(id)) {
        let remedy = "give the zone's id, 32 hexadecimal digits, from its overview page";
        return Err(layers.refuse(path, remedy));
    }
    Ok(id)
}

fn domain(layers: &Layers) -> Result<Option<String>, ConfigError> {
    let path = "dns.cloudflare.domain";
    let Some(text) = layers.optional_text(path)? else {
        return Ok(None);
    };
    let remedy = "give a name such as relay.example.org";
    match validate_host(&text) {
        // Names of at most 253 bytes, eight letters and a dot among them.
        Ok(host) if host.contains('.') && host.len() <= 240 && !is_address(&host) => Ok(Some(host)),
        Ok(_) | Err(_) => Err(layers.refuse(path, remedy)),
    }
}

fn is_address(host: &str) -> bool {
    host.parse::<std::net::IpAddr>().is_ok()
}

fn api_base(layers: &Layers) -> Result<Url, ConfigError> {
    let path = "dns.cloudflare.api_base";
    let url = Url::parse(&layers.text(path)?).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
    });
    url.ok_or_else(|| {
        layers.refuse(
            path,
            "give an address such as https://api.cloudflare.com/client/v4",
        )
    })
}

pub(super) fn outbound(layers: &Layers) -> Result<Outbound, ConfigError> {
    let networks = layers.list("outbound.allow")?;
    Outbound::allowing(&networks).map_err(|remedy| layers.refuse("outbound.allow", remedy))
}
