//! How phones, OBS and browsers reach this appliance.

use std::net::Ipv4Addr;

use super::AddressSources;

/// The ports that clients are told; behind NAT or a port map they differ from the bound ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdvertisedPorts {
    /// Bonded publishers (UDP).
    pub srtla: u16,
    /// Plain SRT publishers (UDP).
    pub srt_publish: u16,
    /// SRT players (UDP).
    pub srt_play: u16,
    /// The plain statistics listener (TCP).
    pub stats: u16,
}

/// The public address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicAddress {
    /// A name or an IPv4 address.
    pub host: String,
    /// The base of links, without a slash at its end.
    pub url: String,
    /// What `host` resolves to; the detected address while it does not resolve.
    pub ipv4: Ipv4Addr,
    /// The ports.
    pub ports: AdvertisedPorts,
}

impl PublicAddress {
    pub(super) fn new(sources: &AddressSources, stored_host: Option<&str>) -> Self {
        let host = sources
            .configured_host
            .as_deref()
            .or(stored_host)
            .map_or_else(|| sources.detected.to_string(), str::to_owned);
        let url = sources
            .configured_url
            .clone()
            .unwrap_or_else(|| format!("http://{host}:{}", sources.http_port));
        let ipv4 = host.parse().unwrap_or(sources.detected);
        Self {
            host,
            url,
            ipv4,
            ports: sources.ports,
        }
    }
}

/// A text that is no host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("give a name such as relay.example.org or an IPv4 address, without port or path")]
pub struct InvalidHost;

/// Checks a host name (RFC 1123) or IPv4 address and answers it trimmed and in lower case.
///
/// # Errors
/// [`InvalidHost`].
pub fn validate_host(text: &str) -> Result<String, InvalidHost> {
    let host = text.trim().to_ascii_lowercase();
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let labels: Vec<_> = host.split('.').collect();
    let looks_numeric = labels
        .last()
        .is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
    let is_host = host.len() <= 253 && labels.iter().all(|label| is_label(label));
    // What ends in a number is an address or nothing: browsers and libsrt agree on that.
    if !is_host || (looks_numeric && host.parse::<Ipv4Addr>().is_err()) {
        return Err(InvalidHost);
    }
    Ok(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_ipv4_addresses() {
        assert_eq!(
            validate_host(" Relay.Example.org "),
            Ok("relay.example.org".into())
        );
        assert_eq!(validate_host("203.0.113.7"), Ok("203.0.113.7".into()));
        assert!(validate_host("localhost").is_ok());
        for bad in [
            "",
            "a b",
            "http://x",
            "x:80",
            "x/y",
            "-x",
            "x.",
            "1.2.3",
            "1.2.3.400",
            "::1",
        ] {
            assert_eq!(validate_host(bad), Err(InvalidHost), "{bad}");
        }
    }
}
