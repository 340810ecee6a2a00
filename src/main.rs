//! The binary: parses the command line and runs one command.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    glb::cli::run(glb::cli::Cli::parse())
}
