//! `glb relay`: what the relay leaves on this machine.

use clap::{Args, Subcommand};

use super::{ConfigArgs, output};
use crate::appliance::config::Config;
use crate::appliance::{ControlRequest, command};

/// Arguments of `relay`.
#[derive(Debug, Args)]
pub(super) struct RelayArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(subcommand)]
    command: RelayCommand,
}

#[derive(Debug, Subcommand)]
enum RelayCommand {
    /// Remove the relay's containers and their network, with the server stopped or on another engine. Their
    /// folders stay.
    RemoveContainers,
}

/// Runs a `relay` command and prints one JSON line with `removed`, the names of the containers.
pub(super) fn run(args: &RelayArgs) -> anyhow::Result<()> {
    let config = Config::load(&args.config.given())?;
    let request = match args.command {
        RelayCommand::RemoveContainers => ControlRequest::RemoveContainers,
    };
    output::json_line(&command(config, request)?)
}
