//! The binary: parses the command line and runs one command.

use std::process::ExitCode;

use clap::Parser;

/// Because it gives memory back that is not needed any more, and is quicker.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    glb::cli::run(glb::cli::Cli::parse())
}
