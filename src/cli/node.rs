//! `glb node` and `glb region`: the pool of relay nodes, from the command line. The server must run.

use std::io::Read;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use secrecy::SecretString;

use super::{ConfigArgs, output};
use crate::appliance::config::Config;
use crate::appliance::{ControlRequest, command};
use crate::relay::nodes::{NodeKey, NodeSpec, usual};

/// Arguments of `node`.
#[derive(Debug, Args)]
pub(super) struct NodeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(subcommand)]
    command: NodeCommand,
}

#[derive(Debug, Subcommand)]
enum NodeCommand {
    /// List the nodes with their health and load.
    List,
    /// Add a node; the key of its API is the first line of stdin.
    Add(Box<AddArgs>),
    /// Let a node take sessions again.
    Activate(WhichArgs),
    /// Let a node keep its sessions and take no others.
    Drain(WhichArgs),
    /// Move all sessions off a node.
    Deactivate(WhichArgs),
    /// Replace the key of a node's API, and try it; the new one is the first line of stdin.
    RotateKey(RotateKeyArgs),
    /// Remove a node that has no sessions.
    Remove(WhichArgs),
}

#[derive(Debug, Args)]
struct AddArgs {
    /// What to call it.
    #[arg(long)]
    name: String,
    /// Its region, such as us-central.
    #[arg(long)]
    region: String,
    /// The base of its management API, such as <http://198.51.100.7:8090>
    #[arg(long)]
    url: String,
    /// Read the API's key from the first line of stdin.
    #[arg(long, required = true)]
    key_stdin: bool,
    /// Where it tells of the links of bonded publishers.
    #[arg(long, value_name = "URL")]
    link_stats_url: Option<String>,
    /// Where phones and players reach it [default: the host of the API]
    #[arg(long, value_name = "HOST")]
    public_host: Option<String>,
    /// Sessions that it takes.
    #[arg(long, default_value_t = 10)]
    capacity: u32,
    /// UDP port of bonded publishers.
    #[arg(long, value_name = "PORT", default_value_t = 5000)]
    srtla_port: u16,
    /// UDP port of plain SRT publishers.
    #[arg(long, value_name = "PORT", default_value_t = 4001)]
    srt_publish_port: u16,
    /// UDP port of SRT players.
    #[arg(long, value_name = "PORT", default_value_t = 4000)]
    srt_play_port: u16,
    /// TCP port of its statistics.
    #[arg(long, value_name = "PORT", default_value_t = 8090)]
    stats_port: u16,
    /// Calls of its API that it takes per minute, where its `rate_limit_api` was raised.
    #[arg(long, value_name = "CALLS", default_value_t = usual::api_calls_per_minute())]
    api_calls_per_minute: u32,
    /// Questions for figures that it takes per minute, where its `rate_limit_stats` was raised.
    #[arg(long, value_name = "CALLS", default_value_t = usual::stats_calls_per_minute())]
    stats_calls_per_minute: u32,
}

#[derive(Debug, Args)]
struct WhichArgs {
    /// The node's id, as `list` shows it.
    id: String,
}

#[derive(Debug, Args)]
struct RotateKeyArgs {
    /// The node's id, as `list` shows it.
    id: String,
    /// Read the new key from the first line of stdin.
    #[arg(long, required = true)]
    key_stdin: bool,
}

/// Longest first line of stdin that is read.
const STDIN_LIMIT_BYTES: u64 = 4096;

fn key_from_stdin() -> anyhow::Result<SecretString> {
    let mut text = String::new();
    std::io::stdin()
        .take(STDIN_LIMIT_BYTES)
        .read_to_string(&mut text)
        .context("reading the key from stdin")?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(SecretString::from(line.to_owned())),
        _ => bail!("stdin holds no key: pipe it in"),
    }
}

/// Runs a `node` command and prints one JSON line.
pub(super) fn run(args: NodeArgs) -> anyhow::Result<()> {
    let config = Config::load(&args.config.given())?;
    let put = |id: String, status: &str| ControlRequest::SetNodeStatus {
        id,
        status: status.to_owned(),
    };
    let request = match args.command {
        NodeCommand::List => ControlRequest::ListNodes,
        NodeCommand::Add(add) => ControlRequest::AddNode(Box::new(spec(*add)?)),
        NodeCommand::Activate(which) => put(which.id, "active"),
        NodeCommand::Drain(which) => put(which.id, "draining"),
        NodeCommand::Deactivate(which) => put(which.id, "inactive"),
        NodeCommand::RotateKey(which) => ControlRequest::RotateNodeKey {
            id: which.id,
            key: NodeKey(key_from_stdin()?),
        },
        NodeCommand::Remove(which) => ControlRequest::RemoveNode { id: which.id },
    };
    output::json_line(&command(config, request)?)
}

fn spec(add: AddArgs) -> anyhow::Result<NodeSpec> {
    Ok(NodeSpec {
        key: key_from_stdin()?,
        name: add.name,
        region: add.region,
        url: add.url,
        link_stats_url: add.link_stats_url,
        public_host: add.public_host,
        capacity: add.capacity,
        srtla_port: add.srtla_port,
        srt_publish_port: add.srt_publish_port,
        srt_play_port: add.srt_play_port,
        stats_port: add.stats_port,
        api_calls_per_minute: add.api_calls_per_minute,
        stats_calls_per_minute: add.stats_calls_per_minute,
    })
}

/// Arguments of `region`.
#[derive(Debug, Args)]
pub(super) struct RegionArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The region, as nodes name it.
    id: String,
    /// What people call it.
    #[arg(long)]
    label: String,
    /// Another name under which clients ask for it; may be given several times.
    #[arg(long = "alias", value_name = "NAME")]
    aliases: Vec<String>,
}

/// Names a region and prints one JSON line.
pub(super) fn name_region(args: RegionArgs) -> anyhow::Result<()> {
    let config = Config::load(&args.config.given())?;
    let request = ControlRequest::NameRegion {
        id: args.id,
        label: args.label,
        aliases: args.aliases,
    };
    output::json_line(&command(config, request)?)
}
