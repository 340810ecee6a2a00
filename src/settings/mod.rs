//! Values that can change at run time. One that the configuration sets wins, and a page shows it read-only.
//!
//! The public host, under which phones and OBS reach this appliance, and settings that are one of a few words.

mod public_address;
mod store;
mod words;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
pub use public_address::{AdvertisedPorts, InvalidHost, PublicAddress, validate_host};
pub use words::{SecondFactorRule, SignUpMode, Word, Words};

use crate::db::{Store, Tx};
use crate::kernel::{Clock, Error, Result};

const PUBLIC_HOST: &str = "public_host";
/// The last `host address` pair that was looked up.
const RESOLVED: &str = "public_host_resolved";
const LOOK_UP_TIME_LIMIT: Duration = Duration::from_secs(5);

/// What the configuration and the machine say about our address.
#[derive(Debug, Clone)]
pub struct AddressSources {
    /// `public_host`, when it is configured.
    pub configured_host: Option<String>,
    /// `public_url`, when it is configured, without a slash at its end.
    pub configured_url: Option<String>,
    /// The IPv4 address of the default route.
    pub detected: Ipv4Addr,
    /// The port of the main listener.
    pub http_port: u16,
    /// The ports that clients are told.
    pub ports: AdvertisedPorts,
}

/// The settings. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Settings(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    clock: Clock,
    sources: AddressSources,
    address: ArcSwap<PublicAddress>,
    configured: Words,
    words: ArcSwap<Words>,
}

impl Settings {
    /// Reads the stored settings.
    ///
    /// # Errors
    /// The store's.
    pub async fn load(store: Store, clock: Clock, sources: AddressSources) -> Result<Self> {
        Self::load_with(store, clock, sources, Words::new()).await
    }

    /// The same with the words that the configuration says, by the key of their setting.
    ///
    /// # Errors
    /// The store's.
    pub async fn load_with(
        store: Store,
        clock: Clock,
        sources: AddressSources,
        configured: Words,
    ) -> Result<Self> {
        let words = store.read(store::setting_list).await?;
        let mut address = PublicAddress::new(&sources, words.get(PUBLIC_HOST).map(String::as_str));
        if let Some(ipv4) = words
            .get(RESOLVED)
            .and_then(|text| resolved_for(&address.host, text))
        {
            address.ipv4 = ipv4;
        }
        let address = ArcSwap::from_pointee(address);
        Ok(Self(Arc::new(Inner {
            store,
            clock,
            sources,
            address,
            configured,
            words: ArcSwap::from_pointee(words),
        })))
    }

    /// How clients reach us now.
    #[must_use]
    pub fn public_address(&self) -> Arc<PublicAddress> {
        self.0.address.load_full()
    }

    /// Whether the configuration sets the public host, so that [`Self::set_public_host`] refuses.
    #[must_use]
    pub fn is_public_host_fixed(&self) -> bool {
        self.0.sources.configured_host.is_some()
    }

    /// Changes the public host: a name or an IPv4 address, without port or path.
    ///
    /// # Errors
    /// `Invalid` for anything else, `Conflict` when the configuration sets it.
    pub async fn set_public_host(&self, host: &str) -> Result<()> {
        let host = validate_host(host).map_err(|error| {
            Error::invalid_field("public_host", "invalid_host", error.to_string())
        })?;
        if self.is_public_host_fixed() {
            let message = "the public host is set by the configuration; change it there";
            return Err(Error::conflict(message));
        }
        let settings = self.clone();
        self.0
            .store
            .write(move |tx| settings.put_public_host(tx, &host))
            .await?;
        self.resolve_public_host().await;
        Ok(())
    }

    /// Stores a checked public host inside the caller's transaction; it counts from the commit on.
    ///
    /// # Errors
    /// The store's.
    pub fn put_public_host(&self, tx: &Tx<'_>, host: &str) -> Result<()> {
        store::setting_put(tx, PUBLIC_HOST, host, self.0.clock.now())?;
        let settings = self.clone();
        let address = PublicAddress::new(&self.0.sources, Some(host));
        tx.after_commit(move || settings.0.address.store(Arc::new(address)));
        Ok(())
    }

    /// Looks the public host up, because the plugin needs an IPv4 address, and remembers the answer for
    /// the next start. What does not resolve keeps the last known address.
    pub async fn resolve_public_host(&self) {
        let current = self.public_address();
        if current.host.parse::<IpAddr>().is_ok() {
            return;
        }
        let looked_up = tokio::net::lookup_host((current.host.as_str(), 0));
        match tokio::time::timeout(LOOK_UP_TIME_LIMIT, looked_up).await {
            Ok(Ok(found)) => {
                let ipv4 = found.filter_map(|address| match address.ip() {
                    IpAddr::V4(ip) => Some(ip),
                    IpAddr::V6(_) => None,
                });
                if let Some(ipv4) = ipv4.into_iter().next() {
                    self.note_resolved(&current.host, ipv4).await;
                }
            }
            Ok(Err(error)) => {
                tracing::warn!(host = current.host, error = %error, "the public host does not resolve");
            }
            Err(_) => tracing::warn!(
                host = current.host,
                "looking the public host up takes too long"
            ),
        }
    }

    async fn note_resolved(&self, host: &str, ipv4: Ipv4Addr) {
        let before = self.0.address.rcu(|current| {
            let mut address = (**current).clone();
            // Another host may have been set while we waited.
            if address.host == host {
                address.ipv4 = ipv4;
            }
            address
        });
        if before.ipv4 == ipv4 {
            return;
        }
        let (text, now) = (format!("{host} {ipv4}"), self.0.clock.now());
        let stored = self
            .0
            .store
            .write(move |tx| store::setting_put(tx, RESOLVED, &text, now));
        if let Err(error) = stored.await {
            tracing::warn!(error = %error, "the public host's address could not be remembered");
        }
    }
}

/// The address in a stored `host address` pair, when it is for this host.
fn resolved_for(host: &str, pair: &str) -> Option<Ipv4Addr> {
    let (stored_host, ipv4) = pair.split_once(' ')?;
    (stored_host == host).then(|| ipv4.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::testing::main_store;

    pub(super) fn sources() -> AddressSources {
        AddressSources {
            configured_host: None,
            configured_url: None,
            detected: Ipv4Addr::new(203, 0, 113, 7),
            http_port: 8080,
            ports: AdvertisedPorts {
                srtla: 5000,
                srt_publish: 4001,
                srt_play: 4000,
                stats: 8090,
            },
        }
    }

    #[tokio::test]
    async fn the_detected_address_is_used_until_one_is_set_and_that_is_kept() {
        let (_folder, store) = main_store();
        let load = || Settings::load(store.clone(), Clock::system(), sources());
        let settings = load().await.unwrap();
        assert_eq!(settings.public_address().host, "203.0.113.7");
        assert_eq!(settings.public_address().url, "http://203.0.113.7:8080");
        settings.set_public_host("198.51.100.4").await.unwrap();
        assert_eq!(
            load().await.unwrap().public_address().url,
            "http://198.51.100.4:8080"
        );
    }

    #[tokio::test]
    async fn a_configured_host_wins_and_is_read_only() {
        let (_folder, store) = main_store();
        let configured = AddressSources {
            configured_host: Some("localhost".into()),
            configured_url: Some("https://relay.example.org".into()),
            ..sources()
        };
        let load = || Settings::load(store.clone(), Clock::system(), configured.clone());
        let settings = load().await.unwrap();
        settings.resolve_public_host().await;
        assert_eq!(
            load().await.unwrap().public_address().ipv4,
            Ipv4Addr::LOCALHOST
        );
        let address = settings.public_address();
        assert_eq!(address.host, "localhost");
        assert_eq!(address.url, "https://relay.example.org");
        assert_eq!(address.ipv4, Ipv4Addr::LOCALHOST);
        assert!(settings.set_public_host("198.51.100.4").await.is_err());
    }
}
