//! `glb check-config`.

use super::{ConfigArgs, output};
use crate::appliance::config::Config;
use crate::appliance::relay_memory;

/// Reads the configuration, its secrets' files included, and says whether it is good.
pub(super) fn run(args: &ConfigArgs) -> anyhow::Result<()> {
    let config = Config::load(&args.given())?;
    output::say(&format!(
        "the configuration is good: data in {}, pages and API on {}",
        config.data_dir.display(),
        config.listen
    ));
    output::say(&format!("memory of the relay: {}", relay_memory(&config)));
    Ok(())
}
