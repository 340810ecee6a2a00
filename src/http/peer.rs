//! Who is at the other end: the socket's address, or what a trusted proxy says.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, Request};
use http::HeaderMap;
use http::request::Parts;

use super::error::ApiError;

/// The client of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its address, behind trusted proxies the right-most one that is not a trusted proxy's.
    pub ip: IpAddr,
    /// Whether the browser spoke TLS, with us or with a trusted proxy.
    pub is_https: bool,
    /// Whether the request carried a forwarding header, trusted or not.
    pub is_forwarded: bool,
}

impl Peer {
    /// A request from this machine itself that no proxy passed on.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.ip.is_loopback() && !self.is_forwarded
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        // Absent only on the local socket, whose peer proved itself by the file's mode.
        let local = Self {
            ip: Ipv4Addr::LOCALHOST.into(),
            is_https: false,
            is_forwarded: false,
        };
        Ok(parts.extensions.get::<Self>().copied().unwrap_or(local))
    }
}

/// The proxies whose forwarding headers count: addresses and networks such as `10.0.0.0/8`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Arc<[Network]>);

/// An address or a network such as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    address: IpAddr,
    prefix_bits: u8,
}

impl Network {
    pub(super) fn contains(self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => same_prefix(
                network.to_bits().into(),
                ip.to_bits().into(),
                self.prefix_bits,
                32,
            ),
            (IpAddr::V6(network), IpAddr::V6(ip)) => {
                same_prefix(network.to_bits(), ip.to_bits(), self.prefix_bits, 128)
            }
            _ => false,
        }
    }
}

fn same_prefix(left: u128, right: u128, prefix_bits: u8, width: u32) -> bool {
    let ignored = width - u32::from(prefix_bits);
    (left ^ right).checked_shr(ignored).unwrap_or(0) == 0
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let complaint = || format!("{text:?} is no address or network such as 10.0.0.0/8");
        let (address, bits) = text
            .split_once('/')
            .map_or((text, None), |(a, b)| (a, Some(b)));
        let address: IpAddr = address.parse().map_err(|_| complaint())?;
        let width: u8 = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = bits
            .map_or(Ok(width), str::parse)
            .map_err(|_| complaint())?;
        if prefix_bits > width {
            return Err(complaint());
        }
        Ok(Self {
            address,
            prefix_bits,
        })
    }
}

impl TrustedProxies {
    /// Parses a list of addresses and networks.
    ///
    /// # Errors
    /// A sentence that names the entry that is neither.
    pub fn parse<T: AsRef<str>>(entries: &[T]) -> Result<Self, String> {
        let networks: Result<Vec<_>, _> = entries
            .iter()
            .map(|entry| entry.as_ref().trim().parse())
            .collect();
        networks.map(|networks| Self(networks.into()))
    }

    fn trusts(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(ip))
    }

    /// Who the client of a request is, whose socket's other end is `socket`.
    #[must_use]
    pub fn identify(&self, socket: IpAddr, headers: &HeaderMap) -> Peer {
        let socket = socket.to_canonical();
        let is_forwarded = [
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-real-ip",
        ]
        .iter()
        .any(|name| headers.contains_key(*name));
        if !self.trusts(socket) {
            return Peer {
                ip: socket,
                is_https: false,
                is_forwarded,
            };
        }
        let ip = forwarded_for(headers)
            .rev()
            .take_while(Option::is_some)
            .flatten()
            .find(|ip| !self.trusts(*ip))
            .unwrap_or(socket);
        let is_https = headers
            .get("x-forwarded-proto")
            .and_then(|proto| proto.to_str().ok())
            // A chain of proxies may append: the first one speaks to the browser.
            .and_then(|protos| protos.split(',').next())
            .is_some_and(|proto| proto.trim().eq_ignore_ascii_case("https"));
        Peer {
            ip,
            is_https,
            is_forwarded,
        }
    }
}

/// The addresses of all `X-Forwarded-For` headers in order; `None` for what is no address.
fn forwarded_for(headers: &HeaderMap) -> impl DoubleEndedIterator<Item = Option<IpAddr>> {
    let entries: Vec<_> = headers
        .get_all("x-forwarded-for")
        .iter()
        .flat_map(|value| value.to_str().unwrap_or_default().split(','))
        .map(|entry| {
            entry
                .trim()
                .parse::<IpAddr>()
                .ok()
                .map(|ip| ip.to_canonical())
        })
        .collect();
    entries.into_iter()
}

/// Notes the [`Peer`] in a request that came over a socket.
pub(super) fn note_peer(proxies: &TrustedProxies, request: &mut Request) {
    let socket = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map(|info| info.0.ip());
    if let Some(socket) = socket {
        let peer = proxies.identify(socket, request.headers());
        request.extensions_mut().insert(peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap()))
            .collect()
    }

    #[test]
    fn a_stranger_cannot_claim_another_address() {
        let proxies = TrustedProxies::parse(&["10.0.0.0/8"]).unwrap();
        let claim = headers(&[
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-proto", "https"),
        ]);
        let peer = proxies.identify("203.0.113.9".parse().unwrap(), &claim);
        assert_eq!(peer.ip.to_string(), "203.0.113.9");
        assert!(!peer.is_https && peer.is_forwarded && !peer.is_local());
    }

    #[test]
    fn the_right_most_untrusted_hop_counts() {
        let proxies = TrustedProxies::parse(&["10.0.0.0/8", "::1"]).unwrap();
        let chain = headers(&[
            ("x-forwarded-for", "1.2.3.4, 203.0.113.9"),
            ("x-forwarded-for", "10.1.1.1"),
            ("x-forwarded-proto", "https"),
        ]);
        let peer = proxies.identify("::ffff:10.0.0.2".parse().unwrap(), &chain);
        assert_eq!(peer.ip.to_string(), "203.0.113.9");
        assert!(peer.is_https);
        let garbage = headers(&[("x-forwarded-for", "1.2.3.4, nonsense")]);
        assert_eq!(
            proxies
                .identify("10.0.0.2".parse().unwrap(), &garbage)
                .ip
                .to_string(),
            "10.0.0.2"
        );
    }

    #[test]
    fn networks_parse_or_are_named() {
        assert!(TrustedProxies::parse(&["10.0.0.1", "fd00::/8", "0.0.0.0/0"]).is_ok());
        for bad in ["10.0.0.0/33", "x", "10.0.0.0/", "/8", ""] {
            assert!(
                TrustedProxies::parse(&[bad]).unwrap_err().contains(bad),
                "{bad}"
            );
        }
    }
}
