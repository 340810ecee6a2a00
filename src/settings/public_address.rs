//! How phones, OBS and browsers reach this appliance.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
    /// A name, an IPv4 address or an IPv6 address without brackets.
    pub host: String,
    /// The base of links, without a slash at its end.
    pub url: String,
    /// What `host` resolves to; the detected address while it does not resolve, or is of IPv6.
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
            .unwrap_or_else(|| format!("http://{}:{}", bracketed(&host), sources.http_port));
        let ipv4 = host.parse().unwrap_or(sources.detected);
        Self {
            host,
            url,
            ipv4,
            ports: sources.ports,
        }
    }

    /// The host as it stands before the port in a URL: an IPv6 address in brackets (RFC 3986, 3.2.2).
    #[must_use]
    pub fn url_host(&self) -> String {
        bracketed(&self.host)
    }
}

fn bracketed(host: &str) -> String {
    match host.parse::<Ipv6Addr>() {
        Ok(address) => format!("[{address}]"),
        Err(_) => host.to_owned(),
    }
}

/// A text that is no host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("give a name such as relay.example.org, an IPv4 or an IPv6 address, without port or path")]
pub struct InvalidHost;

/// Checks a host name (RFC 1123) or an address and answers it trimmed and in lower case; an IPv6 address in
/// its shortest form (RFC 5952), without brackets.
///
/// # Errors
/// [`InvalidHost`].
pub fn validate_host(text: &str) -> Result<String, InvalidHost> {
    let host = text.trim().to_ascii_lowercase();
    let inner = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if let Ok(address) = inner.unwrap_or(&host).parse::<Ipv6Addr>() {
        return Ok(IpAddr::V6(address).to_canonical().to_string());
    }
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
    fn hosts_are_names_or_addresses() {
        assert_eq!(
            validate_host(" Relay.Example.org "),
            Ok("relay.example.org".into())
        );
        assert_eq!(validate_host("203.0.113.7"), Ok("203.0.113.7".into()));
        assert!(validate_host("localhost").is_ok());
        for ipv6 in ["2001:DB8:0::1", "[2001:db8::1]"] {
            assert_eq!(validate_host(ipv6), Ok("2001:db8::1".into()));
        }
        assert_eq!(
            validate_host("::ffff:203.0.113.7"),
            Ok("203.0.113.7".into())
        );
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
            "[1.2.3.4]",
            "[relay.example.org]",
            "[2001:db8::1",
            "[2001:db8::1]:80",
            "2001:db8::1%eth0",
            "2001:db8:::1",
        ] {
            assert_eq!(validate_host(bad), Err(InvalidHost), "{bad}");
        }
    }

    #[test]
    fn an_ipv6_host_stands_in_brackets_in_urls_and_leaves_the_ipv4_address_detected() {
        let sources = AddressSources {
            configured_host: Some("2001:db8::1".to_owned()),
            configured_url: None,
            detected: Ipv4Addr::new(203, 0, 113, 7),
            http_port: 8080,
            ports: AdvertisedPorts {
                srtla: 5000,
                srt_publish: 4001,
                srt_play: 4000,
                stats: 8090,
            },
        };
        let address = PublicAddress::new(&sources, None);
        assert_eq!(address.url, "http://[2001:db8::1]:8080");
        assert_eq!(address.url_host(), "[2001:db8::1]");
        assert_eq!(address.ipv4, sources.detected);
    }
}
