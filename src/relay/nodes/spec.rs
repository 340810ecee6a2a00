//! A node as an operator describes it, before it is checked.
//!
//! Invariant: the key leaves this type only towards the local socket, whose file only our user can open.

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize, Serializer};
use url::Url;
use utoipa::ToSchema;

use super::model::{ExternalApi, NewNode, NodeAddress};
use crate::kernel::secret::SecretString;
use crate::kernel::{Error, Result};
use crate::settings::AdvertisedPorts;

/// What an operator says of a node to add.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct NodeSpec {
    /// What operators call it.
    #[schema(example = "kc1")]
    pub name: String,
    /// Its region, such as `us-central`.
    #[schema(example = "us-central")]
    pub region: String,
    /// The base of its management API.
    #[schema(example = "https://kc1.example.org")]
    pub url: String,
    /// The API's key.
    #[serde(serialize_with = "expose")]
    #[schema(value_type = String, example = "the key of its API")]
    pub key: SecretString,
    /// Where it tells of the links of bonded publishers.
    #[serde(default)]
    #[schema(example = "https://kc1.example.org/stats")]
    pub link_stats_url: Option<String>,
    /// Where phones and players reach it; the host of `url` when there is none.
    #[serde(default)]
    #[schema(example = "kc1.example.org")]
    pub public_host: Option<String>,
    /// Sessions that it takes.
    #[serde(default = "usual::capacity")]
    #[schema(example = 10)]
    pub capacity: u32,
    /// Bonded publishers (UDP).
    #[serde(default = "usual::srtla_port")]
    #[schema(example = 5000)]
    pub srtla_port: u16,
    /// Plain SRT publishers (UDP).
    #[serde(default = "usual::srt_publish_port")]
    #[schema(example = 4001)]
    pub srt_publish_port: u16,
    /// SRT players (UDP).
    #[serde(default = "usual::srt_play_port")]
    #[schema(example = 4000)]
    pub srt_play_port: u16,
    /// Statistics (TCP).
    #[serde(default = "usual::stats_port")]
    #[schema(example = 8090)]
    pub stats_port: u16,
    /// Calls of its API that it takes per minute; more than 30 only where its `rate_limit_api` was raised.
    #[serde(default = "usual::api_calls_per_minute")]
    #[schema(example = 30)]
    pub api_calls_per_minute: u32,
    /// Questions for figures that it takes per minute; more than 300 only where its `rate_limit_stats` was
    /// raised.
    #[serde(default = "usual::stats_calls_per_minute")]
    #[schema(example = 300)]
    pub stats_calls_per_minute: u32,
}

/// What stands for what an operator leaves out: the ports and limits that SLS and the receiver have by themselves.
pub mod usual {
    /// Sessions that a node takes.
    #[must_use]
    pub const fn capacity() -> u32 {
        10
    }

    /// Bonded publishers (UDP).
    #[must_use]
    pub const fn srtla_port() -> u16 {
        5000
    }

    /// Plain SRT publishers (UDP).
    #[must_use]
    pub const fn srt_publish_port() -> u16 {
        4001
    }

    /// SRT players (UDP).
    #[must_use]
    pub const fn srt_play_port() -> u16 {
        4000
    }

    /// Statistics (TCP).
    #[must_use]
    pub const fn stats_port() -> u16 {
        8090
    }

    /// Calls of its API per minute.
    #[must_use]
    pub const fn api_calls_per_minute() -> u32 {
        30
    }

    /// Questions for figures per minute.
    #[must_use]
    pub const fn stats_calls_per_minute() -> u32 {
        300
    }
}

/// A node's key on its way from a command to the running server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeKey(#[serde(serialize_with = "expose")] pub SecretString);

fn expose<S: Serializer>(
    key: &SecretString,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(key.expose_secret())
}

impl NodeSpec {
    /// The checked node.
    ///
    /// # Errors
    /// `Invalid`, naming the field.
    pub fn check(self) -> Result<NewNode> {
        let url = parse("url", &self.url)?;
        let host = self.public_host.as_deref().or_else(|| url.host_str());
        let new = NewNode {
            name: self.name,
            region: self.region,
            capacity: self.capacity,
            public: NodeAddress {
                host: host.unwrap_or_default().to_owned(),
                ports: AdvertisedPorts {
                    srtla: self.srtla_port,
                    srt_publish: self.srt_publish_port,
                    srt_play: self.srt_play_port,
                    stats: self.stats_port,
                },
            },
            api: ExternalApi {
                key: self.key,
                link_stats_url: self
                    .link_stats_url
                    .as_deref()
                    .map(|text| parse("link_stats_url", text))
                    .transpose()?,
                url,
                api_calls_per_minute: self.api_calls_per_minute,
                stats_calls_per_minute: self.stats_calls_per_minute,
            },
        };
        new.check()
    }
}

fn parse(field: &'static str, text: &str) -> Result<Url> {
    Url::parse(text).map_err(|_| {
        let message = "give an address such as http://198.51.100.7:8090";
        Error::invalid_field(field, "invalid_url", message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> NodeSpec {
        NodeSpec {
            name: "kc1".to_owned(),
            region: "US-Central".to_owned(),
            url: "http://198.51.100.7:8090".to_owned(),
            key: SecretString::from("a key"),
            link_stats_url: None,
            public_host: None,
            capacity: 10,
            srtla_port: 5000,
            srt_publish_port: 4001,
            srt_play_port: 4000,
            stats_port: 8090,
            api_calls_per_minute: 30,
            stats_calls_per_minute: 300,
        }
    }

    fn good() -> NodeSpec {
        NodeSpec {
            key: SecretString::from("key"),
            ..spec()
        }
    }

    fn refused(change: impl FnOnce(&mut NodeSpec), field: &str) {
        let mut spec = good();
        change(&mut spec);
        let error = spec.check().unwrap_err();
        assert!(error.to_string().contains(field), "{error}");
    }

    #[test]
    fn a_node_is_known_by_the_host_of_its_api_unless_it_says_otherwise() {
        let new = good().check().unwrap();
        assert_eq!(new.region, "us-central");
        assert_eq!(new.public.host, "198.51.100.7");
        assert!(!format!("{:?}", spec()).contains("a key"));
    }

    #[test]
    fn what_is_wrong_with_a_node_is_told_by_its_field() {
        refused(|spec| spec.key = SecretString::from("a key"), "key");
        for url in [
            "198.51.100.7",
            "ftp://x",
            "http://a:b@x",
            "http://x?y",
            "http://x#y",
        ] {
            refused(|spec| url.clone_into(&mut spec.url), "url");
        }
        refused(|spec| spec.capacity = 0, "capacity");
        refused(|spec| spec.srtla_port = 0, "srtla_port");
        refused(|spec| spec.stats_port = 0, "stats_port");
        refused(|spec| spec.api_calls_per_minute = 1, "api_calls_per_minute");
        refused(
            |spec| spec.stats_calls_per_minute = 0,
            "stats_calls_per_minute",
        );
        refused(|spec| "auto".clone_into(&mut spec.region), "region");
        refused(|spec| "  ".clone_into(&mut spec.name), "name");
        refused(
            |spec| spec.public_host = Some("a b".to_owned()),
            "public_host",
        );
    }
}
