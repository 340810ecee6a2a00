//! The links of bonded publishers, from the statistics page of the receiver before SLS.
//!
//! `{"groups": [{"id", "connections": [{"addr", "bytes", "pkts", "last_ms_ago", "uptime_s", ...}]}]}`, with
//! counters since a link joined. A group does not say which stream it carries (but for builds that add
//! `stream_id`), and links are somebody's addresses: a wrong guess would show one user's to another.
//!
//! Source: the receiver with `--stats_port` (November 2026).
//!
//! Invariant: a group is shown for a stream only when the receiver says so, when the programs' output does for
//! its links, or when it is the only group with media, the stream the only one with media that has no group, and
//! their rates agree.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::figures::Garbage;
use crate::kernel::ids::SlotId;
use crate::relay::engine::LinkStats;
use crate::relay::inside::Origin;

/// Names of networks are shorter; what is longer is none.
const CARRIER_CHARACTERS_MAX: usize = 100;

/// A group and a stream are the same when neither rate is more than this many times the other.
const RATES_AGREE_WITHIN: u32 = 2;

/// A bonded publisher, as the receiver tells.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Group {
    id: String,
    /// The publish key, in builds that tell it.
    stream_id: Option<StreamId>,
    links: Vec<Link>,
}

/// A publish key, which is not printed.
#[derive(Clone, PartialEq, Eq)]
struct StreamId(String);

impl std::fmt::Debug for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StreamId(***)")
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Link {
    address: SocketAddr,
    bytes: u64,
    packets: u64,
    silent: Duration,
    uptime: Duration,
    /// The network's name, where the receiver has a database of its own.
    carrier: Option<String>,
}

/// Reads the receiver's answer; it answers any path with 200, so only the content proves that it is its.
pub(super) fn parse(status: u16, body: &[u8]) -> Result<Vec<Group>, Garbage> {
    if status != 200 {
        return Err(Garbage(
            "the figures of links came with an unexpected status",
        ));
    }
    let answer: Value =
        serde_json::from_slice(body).map_err(|_| Garbage("the figures of links are not JSON"))?;
    let groups = answer.get("groups").and_then(Value::as_array);
    let groups = groups.ok_or(Garbage("the figures of links name no groups"))?;
    Ok(groups
        .iter()
        .filter_map(Value::as_object)
        .map(group)
        .collect())
}

fn group(group: &Map<String, Value>) -> Group {
    let text = |name: &str| group.get(name).and_then(Value::as_str).map(str::to_owned);
    let connections = group.get("connections").and_then(Value::as_array);
    let links = connections.into_iter().flatten().filter_map(link);
    Group {
        id: text("id").unwrap_or_default(),
        stream_id: text("stream_id").filter(|id| !id.is_empty()).map(StreamId),
        links: links.collect(),
    }
}

fn link(link: &Value) -> Option<Link> {
    let whole = |name: &str| link.get(name).and_then(Value::as_u64).unwrap_or(0);
    // At most a year, so that sums cannot overflow.
    let bounded = |number: u64| number.min(365 * 24 * 3_600_000);
    Some(Link {
        address: link.get("addr")?.as_str()?.parse().ok()?,
        bytes: whole("bytes"),
        packets: whole("pkts"),
        silent: Duration::from_millis(bounded(whole("last_ms_ago"))),
        uptime: Duration::from_secs(bounded(whole("uptime_s"))),
        carrier: link
            .get("asn_org")
            .and_then(Value::as_str)
            .map(|name| name.chars().take(CARRIER_CHARACTERS_MAX).collect())
            .filter(|name: &String| !name.is_empty()),
    })
}

/// What is known of a stream that may be one of the groups.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate<'a> {
    pub(super) slot_id: SlotId,
    pub(super) publish_key: &'a str,
    pub(super) bitrate_kbps: u32,
}

/// The newest groups with their rates.
#[derive(Debug, Default)]
pub(super) struct LinkBook {
    groups: Vec<Rated>,
    read_at: Option<Instant>,
    joined: HashMap<String, SlotId>,
    /// Publish keys of links, where somebody else than the receiver told them.
    origins: Origins,
    has_unknown: bool,
}

/// Keys are not printed.
#[derive(Default)]
struct Origins(HashMap<SocketAddr, String>);

impl std::fmt::Debug for Origins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Origins(***)")
    }
}

#[derive(Debug)]
struct Rated {
    group: Group,
    /// Bytes per second of each link since the reading before.
    rates_kbps: Vec<u32>,
}

impl LinkBook {
    /// Takes a reading.
    pub(super) fn take(&mut self, groups: Vec<Group>, now: Instant) {
        let gap = self
            .read_at
            .map(|at| now.saturating_duration_since(at))
            .filter(|gap| !gap.is_zero());
        let rated: Vec<_> = groups
            .into_iter()
            .map(|group| {
                let before = self.groups.iter().find(|rated| rated.group.id == group.id);
                let rates_kbps = rates(&group, before.map(|rated| &rated.group), gap);
                Rated { group, rates_kbps }
            })
            .collect();
        self.groups = rated;
        self.read_at = Some(now);
        let groups = &self.groups;
        self.joined
            .retain(|id, _| groups.iter().any(|rated| rated.group.id == *id));
    }

    /// Nothing is known any more, but for what the programs' output told.
    pub(super) fn forget(&mut self) {
        let origins = std::mem::take(&mut self.origins);
        *self = Self {
            origins,
            ..Self::default()
        };
    }

    /// Everything that is known of links from elsewhere.
    pub(super) fn note_origins(&mut self, origins: Vec<Origin>) {
        let origins = origins.into_iter().map(|it| (it.link, it.publish_key));
        self.origins = Origins(origins.collect());
    }

    /// Whether a group has media and nobody knows whose they are.
    pub(super) fn has_unknown(&self) -> bool {
        self.has_unknown
    }

    /// Whose a group is: as the receiver says, else as all of its links that were told of agree.
    fn key_of<'a>(&'a self, group: &'a Group) -> Option<&'a str> {
        if let Some(StreamId(key)) = &group.stream_id {
            return Some(key);
        }
        let links = group.links.iter();
        let mut told = links.filter_map(|link| self.origins.0.get(&link.address));
        let first = told.next()?;
        told.all(|key| key == first).then_some(first)
    }

    /// Finds out which group is which stream. `live` has every stream with media.
    pub(super) fn join(&mut self, live: &[Candidate<'_>]) {
        self.joined
            .retain(|_, slot_id| live.iter().any(|stream| stream.slot_id == *slot_id));
        let mut told = Vec::new();
        for rated in &self.groups {
            let Some(key) = self.key_of(&rated.group) else {
                continue;
            };
            let stream = live.iter().find(|stream| stream.publish_key == key);
            told.push((rated.group.id.clone(), stream.map(|stream| stream.slot_id)));
        }
        for (id, slot_id) in told {
            // What was guessed before counts no more.
            self.joined.remove(&id);
            if let Some(slot_id) = slot_id {
                self.joined.retain(|_, other| *other != slot_id);
                self.joined.insert(id, slot_id);
            }
        }
        let mut groups = self.groups.iter().filter(|rated| {
            rated.total_kbps() > 0
                && self.key_of(&rated.group).is_none()
                && !self.joined.contains_key(&rated.group.id)
        });
        let mut streams = live
            .iter()
            .filter(|stream| !self.joined.values().any(|id| *id == stream.slot_id));
        if let (Some(rated), None, Some(stream), None) =
            (groups.next(), groups.next(), streams.next(), streams.next())
            && agree(rated.total_kbps(), stream.bitrate_kbps)
        {
            self.joined.insert(rated.group.id.clone(), stream.slot_id);
        }
        self.has_unknown = self.groups.iter().any(|rated| {
            rated.total_kbps() > 0
                && self.key_of(&rated.group).is_none()
                && !self.joined.contains_key(&rated.group.id)
        });
    }

    /// The links of a slot's publisher; empty while they are not known.
    pub(super) fn links(&self, slot_id: SlotId, now: Instant) -> Vec<LinkStats> {
        let age = self
            .read_at
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.groups
            .iter()
            .filter(|rated| self.joined.get(&rated.group.id) == Some(&slot_id))
            .flat_map(|rated| rated.links(age))
            .collect()
    }
}

impl Rated {
    fn total_kbps(&self) -> u32 {
        let sum: u64 = self.rates_kbps.iter().copied().map(u64::from).sum();
        u32::try_from(sum).unwrap_or(u32::MAX)
    }

    fn links(&self, age: Duration) -> impl Iterator<Item = LinkStats> {
        let total = f64::from(self.total_kbps()).max(1.0);
        let links = self.group.links.iter().zip(&self.rates_kbps);
        links.map(move |(link, rate_kbps)| LinkStats {
            address: link.address,
            bytes: link.bytes,
            packets: link.packets,
            share_percent: f64::from(*rate_kbps) * 100.0 / total,
            bitrate_kbps: *rate_kbps,
            since_last_packet: link.silent + age,
            uptime: link.uptime + age,
            sender: None,
            carrier: link.carrier.clone(),
        })
    }
}

/// The rate of each link. One that is new counts from its joining.
fn rates(group: &Group, before: Option<&Group>, gap: Option<Duration>) -> Vec<u32> {
    let of = |link: &Link| {
        let old = before.and_then(|group| {
            let same = |old: &&Link| old.address == link.address && old.bytes <= link.bytes;
            group.links.iter().find(same)
        });
        let (bytes, span) = match (old, gap) {
            (Some(old), Some(gap)) => (link.bytes - old.bytes, gap),
            _ => (link.bytes, link.uptime.max(Duration::from_secs(1))),
        };
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
        u32::try_from(bytes.saturating_mul(8) / millis).unwrap_or(u32::MAX)
    };
    group.links.iter().map(of).collect()
}

fn agree(group_kbps: u32, stream_kbps: u32) -> bool {
    let (group, stream) = (u64::from(group_kbps), u64::from(stream_kbps));
    let factor = u64::from(RATES_AGREE_WITHIN);
    group.min(stream) > 0 && group <= stream * factor && stream <= group * factor
}

#[cfg(test)]
#[path = "links_tests.rs"]
mod tests;
