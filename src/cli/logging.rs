//! The log: to stderr, as text for people or JSON for machines.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::appliance::config::Config;

/// Starts logging. Once per process.
pub(super) fn start(config: &Config) {
    let filter = EnvFilter::new(&config.log_level);
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
