//! The command line. Promised JSON lines go to stdout, everything else to stderr.
//!
//! Invariant: no secret is ever taken from an argument, because arguments are seen by every user.

mod admin;
mod check_config;
mod healthcheck;
mod logging;
mod node;
mod output;
mod relay;
mod serve;
mod setup_token;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::appliance::config::Given;

/// `GoLiveBro` Appliance: an IRL streamer's whole cloud in one binary.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(serve::ServeArgs),
    /// Read the configuration and say whether it is good; starts nothing.
    CheckConfig(ConfigArgs),
    /// Make a new one-time setup URL, until the appliance is claimed.
    SetupToken(ConfigArgs),
    /// Manage users, with the server running or stopped.
    Admin(admin::AdminArgs),
    /// Manage the relay nodes of the running server.
    Node(node::NodeArgs),
    /// Name a region of relay nodes.
    Region(node::RegionArgs),
    /// Manage what the relay leaves on this machine.
    Relay(relay::RelayArgs),
    /// Ask the running server whether it is alive; exit 1 when nothing answers.
    Healthcheck(ConfigArgs),
}

/// Where data and configuration are.
#[derive(Debug, Clone, Args)]
struct ConfigArgs {
    /// The data folder [variable: GLB_DATA_DIR] [default: ./glb-data]
    #[arg(long, value_name = "FOLDER", global = true)]
    data_dir: Option<PathBuf>,
    /// The configuration file [variable: GLB_CONFIG] [default: <data>/appliance.toml, if it exists]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

impl ConfigArgs {
    fn given(&self) -> Given {
        Given {
            data_dir: self.data_dir.clone(),
            config_file: self.config.clone(),
            ..Given::from_process()
        }
    }
}

/// Runs a command and answers the exit code: 0 good, 1 failed.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let outcome = match cli.command {
        Command::Serve(args) => serve::run(&args),
        Command::CheckConfig(args) => check_config::run(&args),
        Command::SetupToken(args) => setup_token::run(&args),
        Command::Admin(args) => admin::run(args),
        Command::Node(args) => node::run(args),
        Command::Region(args) => node::name_region(args),
        Command::Relay(args) => relay::run(&args),
        Command::Healthcheck(args) => healthcheck::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&error);
            ExitCode::FAILURE
        }
    }
}
