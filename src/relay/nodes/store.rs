//! Rows of nodes and regions.
//!
//! Invariant: a node's key leaves the table sealed only.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row};
use url::Url;

use super::model::{ExternalApi, NewNode, NodeAddress, NodeFacts, NodeKind, NodeStatus, Region};
use crate::kernel::ids::NodeId;
use crate::kernel::seal::Vault;
use crate::kernel::secret::SecretString;
use crate::kernel::{Error, Result, UnixMillis};
use crate::settings::AdvertisedPorts;

fn seal_context(id: NodeId) -> String {
    format!("node.api_key:{id}")
}

/// Identity, status and age of the appliance's own node, which is made on first use and reports `region`.
pub(in crate::relay) fn local_node(
    connection: &Connection,
    region: &str,
    now: UnixMillis,
) -> rusqlite::Result<(NodeId, NodeStatus, UnixMillis)> {
    let found = connection
        .prepare_cached("SELECT id, status, created_at_ms FROM node WHERE kind = 'local'")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    if let Some(local) = found {
        connection
            .prepare_cached("UPDATE node SET region = ?1 WHERE kind = 'local' AND region <> ?1")?
            .execute([region])?;
        return Ok(local);
    }
    let id = NodeId::generate();
    connection
        .prepare_cached(
            "INSERT INTO node (id, kind, region, created_at_ms) VALUES (?1, 'local', ?2, ?3)",
        )?
        .execute((id, region, now))?;
    Ok((id, NodeStatus::Active, now))
}

/// The external nodes that were not removed, in the order in which they came.
pub(in crate::relay) fn external_nodes(
    connection: &Connection,
    vault: &Vault,
) -> Result<Vec<(NodeFacts, ExternalApi)>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, name, region, status, capacity, created_at_ms, api_url, api_key_sealed,
                link_stats_url, public_host, srtla_port, srt_publish_port, srt_play_port, stats_port,
                api_calls_per_minute, stats_calls_per_minute
         FROM node WHERE kind = 'external' AND status <> 'removed' ORDER BY created_at_ms, id",
    )?;
    let rows = statement.query_map([], |row| {
        Ok((
            facts_of(row)?,
            row.get::<_, String>("api_url")?,
            row.get::<_, Vec<u8>>("api_key_sealed")?,
            row.get::<_, Option<String>>("link_stats_url")?,
            (
                row.get("api_calls_per_minute")?,
                row.get("stats_calls_per_minute")?,
            ),
        ))
    })?;
    let mut nodes = Vec::new();
    for row in rows {
        let (facts, url, sealed, link_stats_url, (api_calls_per_minute, stats_calls_per_minute)) =
            row?;
        let api = ExternalApi {
            key: vault.open(&sealed, &seal_context(facts.id))?,
            url: parse_url(&url)?,
            link_stats_url: link_stats_url.as_deref().map(parse_url).transpose()?,
            api_calls_per_minute,
            stats_calls_per_minute,
        };
        nodes.push((facts, api));
    }
    Ok(nodes)
}

fn parse_url(text: &str) -> Result<Url> {
    Url::parse(text).map_err(Error::internal)
}

fn facts_of(row: &Row<'_>) -> rusqlite::Result<NodeFacts> {
    Ok(NodeFacts {
        id: row.get("id")?,
        kind: NodeKind::External,
        name: row.get("name")?,
        region: row.get("region")?,
        status: row.get("status")?,
        capacity: row.get("capacity")?,
        created_at: row.get("created_at_ms")?,
        public: Some(NodeAddress {
            host: row.get("public_host")?,
            ports: AdvertisedPorts {
                srtla: row.get("srtla_port")?,
                srt_publish: row.get("srt_publish_port")?,
                srt_play: row.get("srt_play_port")?,
                stats: row.get("stats_port")?,
            },
        }),
    })
}

/// How an external node is managed; `None` for one that is not there any more.
pub(in crate::relay) fn external_api(
    connection: &Connection,
    vault: &Vault,
    id: NodeId,
) -> Result<Option<ExternalApi>> {
    let nodes = external_nodes(connection, vault)?;
    let found = nodes.into_iter().find(|(facts, _)| facts.id == id);
    Ok(found.map(|(_, api)| api))
}

/// Seals another key for a node.
pub(in crate::relay) fn put_key(
    connection: &Connection,
    vault: &Vault,
    id: NodeId,
    key: &SecretString,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE node SET api_key_sealed = ?2 WHERE id = ?1 AND status <> 'removed'",
        )?
        .execute((id, vault.seal(key, &seal_context(id))))?;
    Ok(())
}

/// Whether another node than `id` has this name.
pub(in crate::relay) fn is_name_taken(
    connection: &Connection,
    name: &str,
    id: NodeId,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM node WHERE name = ?1 AND status <> 'removed' AND id <> ?2)",
        )?
        .query_row((name, id), |row| row.get(0))
}

/// Changes what an external node is called, or how many sessions it takes.
pub(in crate::relay) fn put_facts(
    connection: &Connection,
    id: NodeId,
    name: Option<&str>,
    capacity: Option<u32>,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE node SET name = coalesce(?2, name), capacity = coalesce(?3, capacity) WHERE id = ?1",
        )?
        .execute((id, name, capacity))?;
    Ok(())
}

/// Stores a node. Answers `None` when another one has its name.
pub(in crate::relay) fn insert(
    connection: &Connection,
    vault: &Vault,
    new: &NewNode,
    now: UnixMillis,
) -> rusqlite::Result<Option<NodeFacts>> {
    let is_taken: bool = connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM node WHERE name = ?1 AND status <> 'removed')",
        )?
        .query_row([&new.name], |row| row.get(0))?;
    if is_taken {
        return Ok(None);
    }
    let id = NodeId::generate();
    let ports = new.public.ports;
    connection
        .prepare_cached(
            "INSERT INTO node (id, kind, name, region, capacity, created_at_ms, api_url,
                 api_key_sealed, link_stats_url, public_host, srtla_port, srt_publish_port,
                 srt_play_port, stats_port, api_calls_per_minute, stats_calls_per_minute)
             VALUES (?1, 'external', ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?
        .execute((
            id,
            &new.name,
            &new.region,
            new.capacity,
            now,
            new.api.url.as_str(),
            vault.seal(&new.api.key, &seal_context(id)),
            new.api.link_stats_url.as_ref().map(Url::as_str),
            &new.public.host,
            ports.srtla,
            ports.srt_publish,
            ports.srt_play,
            ports.stats,
            new.api.api_calls_per_minute,
            new.api.stats_calls_per_minute,
        ))?;
    Ok(Some(NodeFacts {
        id,
        kind: NodeKind::External,
        name: new.name.clone(),
        region: new.region.clone(),
        status: NodeStatus::Active,
        capacity: new.capacity,
        created_at: now,
        public: Some(new.public.clone()),
    }))
}

/// Says what an operator wants of a node. One that is removed loses its key.
pub(in crate::relay) fn put_status(
    connection: &Connection,
    id: NodeId,
    status: NodeStatus,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE node SET status = ?2,
                 api_key_sealed = CASE WHEN ?2 = 'removed' THEN NULL ELSE api_key_sealed END
             WHERE id = ?1",
        )?
        .execute((id, status))?;
    Ok(())
}

/// The regions that an operator named.
pub(in crate::relay) fn regions(connection: &Connection) -> rusqlite::Result<Vec<Region>> {
    let mut aliases: HashMap<String, Vec<String>> = HashMap::new();
    let mut statement =
        connection.prepare_cached("SELECT region, alias FROM region_alias ORDER BY alias")?;
    for row in statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))? {
        let (region, alias): (String, String) = row?;
        aliases.entry(region).or_default().push(alias);
    }
    let mut statement = connection.prepare_cached("SELECT id, label FROM region ORDER BY id")?;
    let rows = statement.query_map([], |row| {
        let id: String = row.get(0)?;
        Ok(Region {
            aliases: aliases.remove(&id).unwrap_or_default(),
            label: row.get(1)?,
            id,
        })
    })?;
    rows.collect()
}

/// Names a region; an alias of another region becomes one of this.
pub(in crate::relay) fn put_region(
    connection: &Connection,
    region: &Region,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO region (id, label) VALUES (?1, ?2)
             ON CONFLICT (id) DO UPDATE SET label = excluded.label",
        )?
        .execute((&region.id, &region.label))?;
    connection
        .prepare_cached("DELETE FROM region_alias WHERE region = ?1")?
        .execute([&region.id])?;
    for alias in &region.aliases {
        connection
            .prepare_cached(
                "INSERT INTO region_alias (alias, region) VALUES (?1, ?2)
                 ON CONFLICT (alias) DO UPDATE SET region = excluded.region",
            )?
            .execute((alias, &region.id))?;
    }
    Ok(())
}
