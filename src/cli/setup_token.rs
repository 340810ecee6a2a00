//! `glb setup-token`.

use super::{ConfigArgs, output};
use crate::appliance::config::Config;
use crate::appliance::{ControlRequest, command};

/// Makes a new one-time setup URL and prints it as one JSON line with `setup_url`.
pub(super) fn run(args: &ConfigArgs) -> anyhow::Result<()> {
    let config = Config::load(&args.given())?;
    let answer = command(config, ControlRequest::SetupToken)?;
    output::json_line(&answer)
}
