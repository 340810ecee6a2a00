//! A node: what is stored of it, and what an operator may say of a new one.
//!
//! Invariant: a node of the pool has a unique name, a positive capacity, and a key that only memory and the
//! sealed column hold.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::sync::Arc;

use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use url::Url;

use crate::kernel::ids::NodeId;
use crate::kernel::secret::{ExposeSecret, SecretString};
use crate::kernel::{Error, Result, UnixMillis};
use crate::relay::engine::Engine;
use crate::relay::model::UnknownWord;
use crate::settings::{AdvertisedPorts, validate_host};

/// Sessions that one node may be said to take.
const CAPACITY_MAX: u32 = 100_000;
/// Calls that a node may be said to take per minute, as for the one of the configuration.
const CALLS_PER_MINUTE: RangeInclusive<u32> = 2..=1_000;
/// Characters of a node's name, a region or an alias.
const NAME_CHARS: usize = 64;
/// Bytes of a node's key.
const KEY_BYTES: usize = 512;

/// Where a node's engine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// It is the appliance's own.
    Local,
    /// It is managed over its API.
    External,
}

/// What an operator wants of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NodeStatus {
    /// It takes sessions.
    Active,
    /// It keeps those that it has and takes no others.
    Draining,
    /// It shall have none: those that it has move to other nodes.
    Inactive,
    /// It is gone; only the past refers to it.
    Removed,
}

impl NodeStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Active, Self::Draining, Self::Inactive, Self::Removed];

    /// The word in the table and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Draining => "draining",
            Self::Inactive => "inactive",
            Self::Removed => "removed",
        }
    }
}

impl FromStr for NodeStatus {
    type Err = UnknownWord;

    fn from_str(text: &str) -> std::result::Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or(UnknownWord)
    }
}

impl ToSql for NodeStatus {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.as_str()))
    }
}

impl FromSql for NodeStatus {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map_err(FromSqlError::other)
    }
}

/// The appliance's own relay, as its configuration says.
#[derive(Debug, Clone)]
pub struct LocalNode {
    /// Its engine.
    pub engine: Arc<dyn Engine>,
    /// The region that it reports.
    pub region: String,
    /// Sessions that it takes.
    pub capacity: u32,
}

impl LocalNode {
    /// The own relay as it is unless something else is said. A session without media costs a row; media are
    /// limited by the machine, not by the capacity.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self {
            engine,
            region: "local".to_owned(),
            capacity: 10_000,
        }
    }
}

/// How an external node is managed.
#[derive(Debug, Clone)]
pub struct ExternalApi {
    /// The base of its management API.
    pub url: Url,
    /// The API's key.
    pub key: SecretString,
    /// Where it tells of the links of bonded publishers; `None` when it does not.
    pub link_stats_url: Option<Url>,
    /// Calls of the API that it takes per minute (`rate_limit_api`).
    pub api_calls_per_minute: u32,
    /// Questions for figures that it takes per minute (`rate_limit_stats`).
    pub stats_calls_per_minute: u32,
}

/// Makes the engine of an external node; the identity is that of the own node, under which entries at the other
/// one are ours. It must not wait; what is wrong with the node shows in its health.
pub type EngineFactory = Arc<dyn Fn(&ExternalApi, NodeId) -> Result<Arc<dyn Engine>> + Send + Sync>;

/// What is known of a node besides its engine.
#[derive(Debug, Clone)]
pub struct NodeFacts {
    /// Its identity.
    pub id: NodeId,
    /// Where its engine runs.
    pub kind: NodeKind,
    /// What operators call it.
    pub name: String,
    /// Its region.
    pub region: String,
    /// What an operator wants of it.
    pub status: NodeStatus,
    /// Sessions that it takes.
    pub capacity: u32,
    /// When it was added.
    pub created_at: UnixMillis,
    /// Where phones and players reach an external one; the own one has the appliance's address.
    pub public: Option<NodeAddress>,
}

/// Where phones and players reach an external node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAddress {
    /// A name or an IPv4 address.
    pub host: String,
    /// Its ports.
    pub ports: AdvertisedPorts,
}

/// A region that has a node, for those who choose one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// Its identity, such as `us-central`.
    pub id: String,
    /// What people call it.
    pub label: String,
    /// Other names under which clients ask for it.
    pub aliases: Vec<String>,
}

/// A checked description of a node to add.
pub struct NewNode {
    /// What operators call it.
    pub name: String,
    /// Its region.
    pub region: String,
    /// Sessions that it takes.
    pub capacity: u32,
    /// How it is managed.
    pub api: ExternalApi,
    /// Where phones and players reach it.
    pub public: NodeAddress,
}

impl fmt::Debug for NewNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewNode({})", self.name)
    }
}

impl NewNode {
    /// Checks what an operator said.
    ///
    /// # Errors
    /// `Invalid`, naming the field.
    pub fn check(self) -> Result<Self> {
        let name = name_like("name", &self.name)?;
        let region = region_id("region", &self.region)?;
        check_capacity(self.capacity)?;
        check_url("url", &self.api.url)?;
        if let Some(url) = &self.api.link_stats_url {
            check_url("link_stats_url", url)?;
        }
        check_key(&self.api.key)?;
        check_calls("api_calls_per_minute", self.api.api_calls_per_minute)?;
        check_calls("stats_calls_per_minute", self.api.stats_calls_per_minute)?;
        let host = validate_host(&self.public.host).map_err(|error| {
            Error::invalid_field("public_host", "invalid_host", error.to_string())
        })?;
        let ports = self.public.ports;
        check_ports(ports)?;
        let public = NodeAddress { host, ports };
        Ok(Self {
            name,
            region,
            public,
            ..self
        })
    }
}

fn check_ports(ports: AdvertisedPorts) -> Result<()> {
    let named = [
        ("srtla_port", ports.srtla),
        ("srt_publish_port", ports.srt_publish),
        ("srt_play_port", ports.srt_play),
        ("stats_port", ports.stats),
    ];
    match named.iter().find(|(_, port)| *port == 0) {
        Some((field, _)) => {
            let message = "use a port from 1 to 65535";
            Err(Error::invalid_field(field, "out_of_range", message))
        }
        None => Ok(()),
    }
}

fn check_calls(field: &'static str, per_minute: u32) -> Result<()> {
    if CALLS_PER_MINUTE.contains(&per_minute) {
        return Ok(());
    }
    let message = "use 2 to 1000 calls a minute, which is the most that an SLS can be set to";
    Err(Error::invalid_field(field, "out_of_range", message))
}

/// Checks how many sessions a node is said to take.
pub(super) fn check_capacity(capacity: u32) -> Result<u32> {
    if (1..=CAPACITY_MAX).contains(&capacity) {
        return Ok(capacity);
    }
    let message = "use 1 to 100000 sessions";
    Err(Error::invalid_field("capacity", "out_of_range", message))
}

/// Checks that a key can stand in a header.
///
/// # Errors
/// `Invalid`, naming the field.
pub(in crate::relay) fn check_key(key: &SecretString) -> Result<()> {
    let text = key.expose_secret();
    let is_header = text.bytes().all(|byte| byte.is_ascii_graphic());
    if !text.is_empty() && text.len() <= KEY_BYTES && is_header {
        return Ok(());
    }
    let message = "give the key of the node's API: up to 512 visible ASCII characters";
    Err(Error::invalid_field("key", "invalid_format", message))
}

fn check_url(field: &'static str, url: &Url) -> Result<()> {
    let is_plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if is_plain && url.as_str().len() <= 1024 {
        return Ok(());
    }
    let message = "give an http or https address without user, query or fragment";
    Err(Error::invalid_field(field, "invalid_url", message))
}

pub(super) fn name_like(field: &'static str, text: &str) -> Result<String> {
    let text = text.trim();
    let is_clean =
        (1..=NAME_CHARS).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if !is_clean {
        let message = "use 1 to 64 visible characters";
        return Err(Error::invalid_field(field, "invalid_format", message));
    }
    Ok(text.to_owned())
}

/// Checks the identity of a region, or another name of one, and answers it in lower case.
///
/// # Errors
/// `Invalid`, naming the field.
pub(in crate::relay) fn region_id(field: &'static str, text: &str) -> Result<String> {
    let id = text.trim().to_ascii_lowercase();
    let is_clean = (1..=NAME_CHARS).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        && id != AUTO;
    if !is_clean {
        let message = "use 1 to 64 letters, digits, hyphens and underscores, and not \"auto\"";
        return Err(Error::invalid_field(field, "invalid_format", message));
    }
    Ok(id)
}

/// What clients say when any region will do.
pub(in crate::relay) const AUTO: &str = "auto";

impl Region {
    /// A checked region.
    ///
    /// # Errors
    /// `Invalid`, naming the field.
    pub fn check(id: &str, label: &str, aliases: &[String]) -> Result<Self> {
        let aliases = aliases.iter().map(|alias| region_id("aliases", alias));
        Ok(Self {
            id: region_id("region", id)?,
            label: name_like("label", label)?,
            aliases: aliases.collect::<Result<_>>()?,
        })
    }

    /// Whether a client that says `text` means this region.
    #[must_use]
    pub fn is_meant_by(&self, text: &str) -> bool {
        self.id.eq_ignore_ascii_case(text)
            || self
                .aliases
                .iter()
                .any(|alias| alias.eq_ignore_ascii_case(text))
    }
}
