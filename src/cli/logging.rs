//! The log: to stderr, as text for people or JSON for machines.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{Directive, LevelFilter};
use tracing_subscriber::fmt;

use crate::appliance::config::Config;

/// Below this its layers log whole paths, and some of ours hold a key.
const QUIETED: &str = "tower_http";

/// Starts logging. Once per process.
pub(super) fn start(config: &Config) {
    let quieted: Directive = format!("{QUIETED}={}", LevelFilter::INFO)
        .parse()
        .expect("a crate's name and a level are a directive");
    let filter = EnvFilter::new(&config.log_level).add_directive(quieted);
    let builder = fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    if config.log_is_json {
        builder.json().flatten_event(true).init();
    } else {
        builder.with_ansi(is_terminal).init();
    }
}
