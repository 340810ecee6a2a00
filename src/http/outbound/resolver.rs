//! Resolves a name for a user's call, and lets no forbidden address through.
//!
//! Invariant: a name that leads to one forbidden address is refused whole, also when others are public.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::{Outbound, Refused};

/// How long a look-up may take.
const LOOK_UP_WITHIN: Duration = Duration::from_secs(3);

/// A name that cannot be looked up.
#[derive(Debug, thiserror::Error)]
enum LookUpError {
    #[error("the name {0} does not resolve: correct it, or its DNS")]
    Unknown(String, #[source] std::io::Error),
    #[error("the name {0} leads to no address")]
    Empty(String),
    #[error("looking the name {0} up takes too long")]
    Slow(String),
}

/// The system's resolver behind the rule.
#[derive(Debug)]
pub(super) struct CheckedResolver(Outbound);

impl CheckedResolver {
    pub(super) const fn new(outbound: Outbound) -> Self {
        Self(outbound)
    }
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (outbound, name) = (self.0.clone(), name.as_str().to_owned());
        Box::pin(async move {
            let found =
                tokio::time::timeout(LOOK_UP_WITHIN, tokio::net::lookup_host((name.as_str(), 0)));
            let found = found.await.map_err(|_| LookUpError::Slow(name.clone()))?;
            let found = found.map_err(|error| LookUpError::Unknown(name.clone(), error))?;
            let addresses: Vec<SocketAddr> = found.collect();
            check_all(&outbound, &name, &addresses)?;
            if addresses.is_empty() {
                return Err(LookUpError::Empty(name).into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// The refusal names the name: what it leads to inside a network is no business of whoever set it.
pub(super) fn check_all(
    outbound: &Outbound,
    name: &str,
    addresses: &[SocketAddr],
) -> Result<(), Refused> {
    for address in addresses {
        if let Err(Refused::Forbidden { range, .. }) = outbound.check_ip(address.ip()) {
            let host = name.to_owned();
            return Err(Refused::Forbidden { host, range });
        }
    }
    Ok(())
}
