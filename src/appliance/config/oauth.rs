//! `[oauth]`.

use std::time::Duration;

use url::{Host, Url};

use super::layers::{ConfigError, Layers};
use crate::accounts::oauth::{OAuthConfig, Provider, ProviderConfig};

pub(super) fn oauth(layers: &Layers) -> Result<OAuthConfig, ConfigError> {
    let seconds = layers.unsigned("oauth.answer_seconds")?;
    let mut config = OAuthConfig {
        providers: std::collections::BTreeMap::new(),
        answer_within: Duration::from_secs(seconds),
    };
    for name in Provider::ALL {
        if let Some(provider) = provider(layers, name)? {
            config.providers.insert(name, provider);
        }
    }
    Ok(config)
}

fn provider(layers: &Layers, name: Provider) -> Result<Option<ProviderConfig>, ConfigError> {
    let path = |key: &str| format!("oauth.{name}.{key}");
    let endpoints = [
        endpoint(layers, &path("authorize_url"))?,
        endpoint(layers, &path("token_url"))?,
        endpoint(layers, &path("user_info_url"))?,
    ];
    let scopes = layers.list(&path("scopes"))?;
    let id = layers.optional_text(&path("client_id"))?;
    let secret = layers.given_secret(&path("client_secret"))?;
    let (client_id, client_secret) = match (id, secret) {
        (None, None) => return Ok(None),
        (Some(id), Some(secret)) => (id, secret),
        (Some(_), None) => {
            let remedy = format!("give {} too", path("client_secret"));
            return Err(layers.refuse(&path("client_id"), remedy));
        }
        (None, Some(_)) => {
            let remedy = format!("give {} too", path("client_id"));
            return Err(layers.refuse(&path("client_secret"), remedy));
        }
    };
    let [authorize_url, token_url, user_info_url] = endpoints;
    Ok(Some(ProviderConfig {
        client_id,
        client_secret,
        authorize_url,
        token_url,
        user_info_url,
        scopes,
    }))
}

/// Secrets go there, so it speaks TLS unless it is this machine.
fn endpoint(layers: &Layers, path: &str) -> Result<Url, ConfigError> {
    let is_loopback = |url: &Url| match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    let url = Url::parse(&layers.text(path)?).ok().filter(|url| {
        (url.scheme() == "https" || url.scheme() == "http" && is_loopback(url))
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    });
    let remedy = "give an https address; http serves only for this machine itself";
    url.ok_or_else(|| layers.refuse(path, remedy))
}
