//! Ordered start and stop of the server.
//!
//! Start: folder and databases, then every port (so that a taken one stops us before anything began), then
//! services, then tasks, then answers. Stop is the reverse: no new requests, finish those that run, end the
//! tasks, say goodbye to encoders and players, close the databases.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use secrecy::ExposeSecret;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::addresses::Addresses;
use super::compose::{Composed, compose};
use super::config::Config;
use super::listen::{self, Ports};
use super::relay::LocalRelay;
use super::signals::Signals;
use super::state::App;
use super::{control, open, routes};
use crate::accounts::AccountsService;
use crate::db::{FolderLock, Store};
use crate::http::{self, Listening};
use crate::jobs::Tasks;
use crate::kernel::error_chain;
use crate::relay::RelayService;

/// How long open requests may take to finish at the end.
const REQUEST_PATIENCE: Duration = Duration::from_secs(5);
/// How long stopping may take in all.
const STOP_TIME_LIMIT: Duration = Duration::from_secs(9);
/// How long background tasks may take to end.
const TASK_PATIENCE: Duration = Duration::from_secs(2);

/// A server that answers.
#[derive(Debug)]
pub struct Running {
    addresses: Addresses,
    setup_url: Option<String>,
    local: LocalRelay,
    relay: RelayService,
    accounts: AccountsService,
    tasks: Tasks,
    listeners: JoinSet<std::io::Result<()>>,
    stop_listening: CancellationToken,
    stores: [Store; 2],
    control_socket: PathBuf,
    _lock: FolderLock,
}

impl Running {
    /// Starts everything on `config`.
    ///
    /// # Errors
    /// The first thing that stands in the way, with its remedy.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let lock = open::lock(&config.data_dir)??;
        let opened = open::open(&config, lock)?;
        let ports = listen::bind_all(&config)?;
        let local = LocalRelay::choose(&config, &opened.clock).await?;
        let addresses = listen::addresses_of(&ports, local.media());
        let stop = CancellationToken::new();
        // Tasks end after the listeners: media flow and are metered until the last request is answered.
        let tasks = Tasks::new(CancellationToken::new());
        let mut composed = compose(&config, &opened, &local, &addresses, &stop).await?;
        let setup_url = first_setup_url(&composed.app).await?;
        local.begin_work(&tasks).await;
        composed.begin_work(&tasks).await?;
        // Every slot is at the relay now, so that a key it does not know is unknown indeed.
        local.open();
        let socket = control::socket_path(&config.data_dir);
        let mut running = Self {
            addresses,
            setup_url,
            local,
            relay: composed.app.0.relay.clone(),
            accounts: composed.app.0.accounts.clone(),
            tasks,
            listeners: JoinSet::new(),
            stop_listening: stop,
            stores: [opened.store, opened.telemetry],
            control_socket: socket,
            _lock: opened.lock,
        };
        running.listen(&config, ports, composed)?;
        addresses
            .write(&config.data_dir)
            .context("writing run/addresses.json")?;
        warn_without_tls(&config, addresses.http);
        Ok(running)
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// What a new owner must be told; `None` once the appliance is claimed.
    #[must_use]
    pub fn setup_notice(&self) -> Option<String> {
        self.setup_url.as_ref().map(|url| {
            format!(
                "\nNobody owns this appliance yet. Open this page within 30 minutes to set it up:\n\n    \
                 {url}\n\nLater, `glb setup-token` makes a new one.\n"
            )
        })
    }

    fn listen(&mut self, config: &Config, ports: Ports, composed: Composed) -> anyhow::Result<()> {
        let Composed {
            app,
            control,
            around,
            ..
        } = composed;
        self.serve(ports.http, routes::main(config, &app, &around));
        if let Some(stats) = ports.stats {
            self.serve(stats, routes::stats_only(&app, &around));
        }
        if let Some(metrics) = ports.metrics {
            self.serve(metrics, routes::metrics_only(&app, &around));
        }
        let socket = listen::listen_privately(&self.control_socket)?;
        let stopped = self.stop_listening.clone().cancelled_owned();
        let serving = axum::serve(socket, control::router(control)).with_graceful_shutdown(stopped);
        self.listeners.spawn(async move { serving.await });
        Ok(())
    }

    fn serve(&mut self, listening: Listening, router: axum::Router) {
        let stop = self.stop_listening.clone();
        self.listeners
            .spawn(http::serve(listening, router, stop, REQUEST_PATIENCE));
    }

    /// Runs until a signal, then stops in order; a second signal ends the process at once.
    ///
    /// # Errors
    /// When a listener failed.
    pub async fn until(mut self, signals: &mut Signals) -> anyhow::Result<()> {
        tokio::select! {
            signal = signals.next() => tracing::info!(signal, "stopping"),
            Some(ended) = self.listeners.join_next() => {
                ended.context("a listener's task was lost")?.context("a listener failed")?;
            }
        }
        tokio::select! {
            stopped = tokio::time::timeout(STOP_TIME_LIMIT, self.stop()) => match stopped {
                Ok(()) => Ok(()),
                Err(_) => anyhow::bail!("stopping took longer than {STOP_TIME_LIMIT:?}"),
            },
            signal = signals.next() => anyhow::bail!("a second signal ({signal}) ended the server"),
        }
    }

    async fn stop(mut self) {
        // Also ends the open live pages, which would hold their connections for ever.
        self.stop_listening.cancel();
        while let Some(ended) = self.listeners.join_next().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(error = %error, "a listener ended badly"),
                Err(error) => tracing::warn!(error = %error, "a listener's task was lost"),
            }
        }
        self.tasks.end(TASK_PATIENCE).await;
        self.local.shut_down().await;
        if let Err(error) = self.relay.shut_down().await {
            tracing::warn!(
                cause = error_chain(&error),
                "the last seconds of usage were not stored"
            );
        }
        if let Err(error) = self.accounts.write_last_seen().await {
            let cause = error_chain(&error);
            tracing::warn!(cause, "the last activity of sessions was not stored");
        }
        drop((self.relay, self.accounts));
        if let Err(error) = std::fs::remove_file(&self.control_socket) {
            tracing::warn!(error = %error, "the control socket could not be removed");
        }
        let [main, telemetry] = self.stores;
        // Waits for the writers' last commits, which would block the async runtime.
        let closed = tokio::task::spawn_blocking(move || {
            main.close();
            telemetry.close();
        });
        if let Err(error) = closed.await {
            tracing::error!(error = %error, "the databases were not closed");
        }
        tracing::info!("stopped");
    }
}

async fn first_setup_url(app: &App) -> anyhow::Result<Option<String>> {
    if app.0.accounts.has_owner().await? {
        return Ok(None);
    }
    let url = app.0.setup.setup_url_at_start().await?;
    Ok(Some(url.expose_secret().to_owned()))
}

fn warn_without_tls(config: &Config, http: SocketAddr) {
    let is_https = config
        .public_url
        .as_ref()
        .is_some_and(|url| url.starts_with("https://"));
    if !http.ip().is_loopback() && !is_https {
        tracing::warn!(
            address = %http,
            "pages and API are served without TLS: passwords and keys can be read on the way. Put a \
             proxy that speaks TLS in front, and set public_url and trusted_proxies"
        );
    }
}
