//! Calls to the world outside: where they may go, and how.
//!
//! An address that a user set is checked twice: as a URL when it is set, and by every address that its name
//! leads to at each connect. A name that leads to one place at the check and to another at the connect finds
//! no gap, because the connection is made to the very addresses that were checked.
//!
//! ```text
//! address of a user ─► check (scheme, length, literal address) ─► to_user_set (resolve, check all, connect)
//! address of the configuration ─────────────────────────────────► to_configured
//! ```
//!
//! Invariant: no client here follows a redirect or uses a proxy, each knows Mozilla's roots besides the
//! system's, and one for users' addresses connects to no address that [`Outbound::permits`] refuses.

mod ranges;
mod resolver;

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub use ranges::special_range;
use reqwest::{Certificate, Client, ClientBuilder, redirect};
use url::{Host, Url};

use self::resolver::CheckedResolver;
use super::peer::Network;

/// The longest address that a user may set, in bytes.
pub const URL_BYTES_MAX: usize = 1024;
/// How long a connection may take to come about, TLS included.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long an answer may take in all when a request sets no limit of its own.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Servers close idle connections; one that is kept for longer may be gone when it is used.
const KEEP_IDLE: Duration = Duration::from_secs(3);

/// Why an address is refused. The text stands for itself, with its remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Another scheme than http or https.
    #[error("give an address that begins with http:// or https://")]
    Scheme,
    /// Too many bytes.
    #[error("give an address of at most {URL_BYTES_MAX} bytes")]
    TooLong,
    /// A user, a password, a query or a fragment.
    #[error("give an address without user, password, query or fragment")]
    NotPlain,
    /// It leads to a place of which outsiders shall not make us a caller.
    #[error(
        "{host} is no public address but {range}: if it is yours, add its network to outbound.allow"
    )]
    Forbidden {
        /// The host of the address.
        host: String,
        /// What the range that it is in is for.
        range: &'static str,
    },
}

/// Where calls may go. Cheap to clone.
#[derive(Clone, Default)]
pub struct Outbound(Arc<Inner>);

#[derive(Default)]
struct Inner {
    allowed: Vec<Network>,
    user_set: OnceLock<Client>,
    configured: OnceLock<Client>,
    unencrypted: OnceLock<Client>,
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Outbound").field(&self.0.allowed).finish()
    }
}

impl Outbound {
    /// With networks that are no public ones and may be called nevertheless, such as `10.0.0.0/8`.
    ///
    /// # Errors
    /// A sentence that names the entry that is no network.
    pub fn allowing<T: AsRef<str>>(networks: &[T]) -> Result<Self, String> {
        let parsed = networks.iter().map(|text| text.as_ref().trim().parse());
        Ok(Self(Arc::new(Inner {
            allowed: parsed.collect::<Result<_, _>>()?,
            ..Inner::default()
        })))
    }

    /// Whether a call to this address may be made for a user.
    #[must_use]
    pub fn permits(&self, ip: IpAddr) -> bool {
        self.check_ip(ip).is_ok()
    }

    /// Checks an address as it stands; a name is checked again when it is resolved.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn check(&self, url: &Url) -> Result<(), Refused> {
        if url.as_str().len() > URL_BYTES_MAX {
            return Err(Refused::TooLong);
        }
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refused::Scheme);
        }
        let is_plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if !is_plain {
            return Err(Refused::NotPlain);
        }
        match url.host() {
            Some(Host::Ipv4(ip)) => self.check_ip(ip.into()),
            Some(Host::Ipv6(ip)) => self.check_ip(ip.into()),
            Some(Host::Domain(_)) => Ok(()),
            None => Err(Refused::Scheme),
        }
    }

    /// Checks an address to which packets are to be sent for a user.
    ///
    /// # Errors
    /// [`Refused::Forbidden`].
    pub fn check_ip(&self, ip: IpAddr) -> Result<(), Refused> {
        let Some(range) = special_range(ip) else {
            return Ok(());
        };
        if self.0.allowed.iter().any(|network| network.contains(ip)) {
            return Ok(());
        }
        let host = ip.to_canonical().to_string();
        Err(Refused::Forbidden { host, range })
    }

    /// Calls addresses that a user set and that [`Self::check`] let pass. A request is over after
    /// ten seconds unless it says otherwise.
    ///
    /// # Errors
    /// When the system gives no client.
    pub fn to_user_set(&self) -> reqwest::Result<Client> {
        cached(&self.0.user_set, || {
            let resolver = CheckedResolver::new(self.clone());
            with_roots(cautious()).dns_resolver(resolver)
        })
    }

    /// Calls an address that the configuration gives, which may be anywhere.
    ///
    /// # Errors
    /// When the system gives no client.
    pub fn to_configured(&self, url: &Url) -> reqwest::Result<Client> {
        if url.scheme() == "http" {
            // The roots of some hundred authorities are memory for nothing here.
            let without_roots = || cautious().tls_certs_only([]);
            return cached(&self.0.unencrypted, without_roots);
        }
        cached(&self.0.configured, || with_roots(cautious()))
    }

    /// What was refused below an error of a client of ours, when something was.
    #[must_use]
    pub fn refusal_in<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e Refused> {
        std::iter::successors(Some(error), |cause| cause.source())
            .find_map(|cause| cause.downcast_ref::<Refused>())
    }
}

fn cached(
    place: &OnceLock<Client>,
    builder: impl FnOnce() -> ClientBuilder,
) -> reqwest::Result<Client> {
    if let Some(client) = place.get() {
        return Ok(client.clone());
    }
    let client = builder().build()?;
    Ok(place.get_or_init(|| client).clone())
}

fn cautious() -> ClientBuilder {
    Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_WITHIN)
        .timeout(ANSWER_WITHIN)
        .pool_idle_timeout(KEEP_IDLE)
}

/// Mozilla's roots besides the system's, which may have none.
fn with_roots(builder: ClientBuilder) -> ClientBuilder {
    let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    builder.tls_certs_merge(roots.filter_map(|der| Certificate::from_der(der).ok()))
}

#[cfg(test)]
mod tests;
