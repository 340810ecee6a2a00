//! `glb serve`.

use anyhow::Context;
use clap::Args;

use super::{ConfigArgs, logging, output};
use crate::appliance::config::Config;
use crate::appliance::{Running, Signals};

/// Arguments of `serve`.
#[derive(Debug, Clone, Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Address and port of the pages and the API; port 0 lets the system choose.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
}

/// Runs the server until SIGTERM or SIGINT; a second signal ends it at once.
pub(super) fn run(args: &ServeArgs) -> anyhow::Result<()> {
    let mut given = args.config.given();
    given.listen.clone_from(&args.listen);
    let config = Config::load(&given)?;
    logging::start(&config);
    // One worker: the media has its own thread, the store another, and hashing and reads run on blocking
    // threads. With two, a profile of requests showed the workers waking each other first of all.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("glb-async")
        .enable_all()
        .build()
        .context("starting the async runtime")?;
    let outcome = runtime.block_on(serve(config));
    // Blocking work that is still going on (a hash, a read) must not hold the exit.
    runtime.shutdown_timeout(std::time::Duration::from_millis(500));
    outcome
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let mut signals = Signals::install().context("watching for signals")?;
    let running = Running::start(config).await?;
    output::json_line(running.addresses())?;
    if let Some(notice) = running.setup_notice() {
        output::say(&notice);
    }
    running.until(&mut signals).await
}
