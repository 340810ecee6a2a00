//! The DNS zone in which slots have their names, as a port; [`cloudflare`] is its adapter.
//!
//! Invariant: both calls may be repeated: what a lost answer left behind is found again by its name.

pub mod cloudflare;

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use async_trait::async_trait;

/// What the provider calls a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordId(pub String);

/// Why a call came to nothing. The text stands for itself; what to do stands after its last colon.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// It does not answer, or not as documented; the call is repeated.
    #[error("the DNS provider does not answer ({0}): the change is repeated by itself")]
    Unavailable(String),
    /// It takes no more calls for now.
    #[error("the DNS provider takes no more calls for now: the change is repeated by itself")]
    Limited(Duration),
    /// It refuses our token.
    #[error("the DNS provider refuses our token: give one that may edit the zone's records")]
    TokenRefused,
    /// It refuses what we ask.
    #[error(
        "the DNS provider refuses the record ({0}): see whether zone and domain belong together"
    )]
    Refused(String),
}

/// A zone in which we keep records of type A.
#[async_trait]
pub trait DnsZone: Send + Sync + fmt::Debug {
    /// What our names end with, without a dot before it.
    fn domain(&self) -> &str;

    /// Makes `name` lead to `address`, whether or not it has a record already; `known` is the record's identity
    /// as far as we know it.
    async fn put(
        &self,
        name: &str,
        address: Ipv4Addr,
        known: Option<&RecordId>,
    ) -> Result<RecordId, DnsError>;

    /// Removes the record of `name`; one that is gone already is fine.
    async fn remove(&self, name: &str, known: Option<&RecordId>) -> Result<(), DnsError>;
}
