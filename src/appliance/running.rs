//! Ordered start and stop of the server.
//!
//! Start: folder and databases, then every port (so that a taken one stops us before anything began), then
//! services, then tasks, then answers. Stop is the reverse: no new requests, finish those that run, end the
//! tasks, say goodbye to encoders and players, close the databases.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use secrecy::ExposeSecret;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::addresses::Addresses;
use super::config::{Config, EmbeddedConfig as RelayKeys};
use super::control::{self, Control};
use super::detect;
use super::figures::Figures;
use super::jobs::{self, JobInputs};
use super::open::{self, Opened};
use super::ports::{self, Transport};
use super::routes::{self, Around};
use super::signals::Signals;
use super::state::App;
use crate::db::Store;
use crate::http::{self, BindError, Listening, StopSignal};
use crate::jobs::{Jobs, Tasks};
use crate::live::LiveService;
use crate::plugin::snapshot::Snapshots;
use crate::plugin::{PluginConfig, PluginService};
use crate::relay::embedded::{EmbeddedConfig, EmbeddedRelay, StartError};
use crate::relay::engine::Engine;
use crate::relay::{RelayConfig, RelayDeps, RelayService};
use crate::settings::{AddressSources, AdvertisedPorts, Settings};
use crate::system::health::{HealthService, MetricsAccess};
use crate::system::setup::{SetupDeps, SetupService};

/// How long open requests may take to finish at the end.
const REQUEST_PATIENCE: Duration = Duration::from_secs(5);
/// How long background tasks may take to end.
const TASK_PATIENCE: Duration = Duration::from_secs(2);

/// A server that answers.
#[derive(Debug)]
pub struct Running {
    addresses: Addresses,
    setup_url: Option<String>,
    engine: Arc<EmbeddedRelay>,
    tasks: Tasks,
    listeners: JoinSet<std::io::Result<()>>,
    stop_listening: CancellationToken,
    stores: [Store; 2],
    control_socket: std::path::PathBuf,
    _lock: crate::db::FolderLock,
}

struct Ports {
    http: Listening,
    stats: Option<Listening>,
    metrics: Option<Listening>,
}

impl Running {
    /// Starts everything on `config`.
    ///
    /// # Errors
    /// The first thing that stands in the way, with its remedy.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let lock = open::lock(&config.data_dir)??;
        let opened = open::open(&config, lock)?;
        let ports = bind_all(&config)?;
        let engine = Arc::new(start_engine(&config.embedded)?);
        let addresses = addresses_of(&ports, &engine);
        let stop = CancellationToken::new();
        let tasks = Tasks::new(stop.child_token());
        let mut composed = compose(&config, &opened, &engine, &addresses, &tasks).await?;
        let setup_url = first_setup_url(&composed.app).await?;
        begin_work(&mut composed, &tasks).await?;
        let socket = control::socket_path(&config.data_dir);
        let mut running = Self {
            addresses,
            setup_url,
            engine,
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
            self.serve(stats, routes::stats_only(config, &app, &around));
        }
        if let Some(metrics) = ports.metrics {
            self.serve(metrics, routes::metrics_only(config, &app, &around));
        }
        let socket = listen_privately(&self.control_socket)?;
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
            () = self.stop() => Ok(()),
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
        self.engine.shutdown().await;
        if let Err(error) = std::fs::remove_file(&self.control_socket) {
            tracing::warn!(error = %error, "the control socket could not be removed");
        }
        let [main, telemetry] = self.stores;
        main.close();
        telemetry.close();
        tracing::info!("stopped");
    }
}

fn bind_all(config: &Config) -> anyhow::Result<Ports> {
    let bind = |purpose, address, key| {
        http::bind(purpose, address).map_err(|error| {
            let hint = ports::hint(Transport::Tcp, address, &error.source, key);
            BindError { hint, ..error }
        })
    };
    Ok(Ports {
        http: bind("pages and API", config.listen, "listen")?,
        stats: config
            .stats_listen
            .map(|address| bind("statistics", address, "relay.stats_listen"))
            .transpose()?,
        metrics: config
            .metrics_listen
            .map(|address| bind("metrics", address, "metrics.listen"))
            .transpose()?,
    })
}

fn start_engine(keys: &RelayKeys) -> anyhow::Result<EmbeddedRelay> {
    let config = EmbeddedConfig {
        srtla_listen: keys.srtla_listen,
        publish_listen: keys.publish_listen,
        play_listen: keys.play_listen,
        latency_min: keys.latency_min,
        latency_max: keys.latency_max,
        publishers_max: keys.max_publishers,
        players_max: keys.max_players,
        ..EmbeddedConfig::default()
    };
    EmbeddedRelay::start(&config).map_err(|error| {
        let hint = match &error {
            StartError::Bind {
                what,
                address,
                source,
            } => {
                // The port's name ends with its key in parentheses.
                let key = what
                    .rsplit('(')
                    .next()
                    .unwrap_or(what)
                    .trim_end_matches(')');
                ports::hint(Transport::Udp, *address, source, key)
            }
            StartError::System(_) => String::new(),
        };
        anyhow::anyhow!("{error}{hint}")
    })
}

fn addresses_of(ports: &Ports, engine: &EmbeddedRelay) -> Addresses {
    let relay = engine.addresses();
    Addresses {
        http: ports.http.address,
        stats: ports.stats.as_ref().map(|listening| listening.address),
        metrics: ports.metrics.as_ref().map(|listening| listening.address),
        srtla: relay.srtla,
        srt_publish: relay.publish,
        srt_play: relay.play,
    }
}

pub(super) fn address_sources(config: &Config, addresses: &Addresses) -> AddressSources {
    let or_bound = |port: u16, bound: SocketAddr| if port == 0 { bound.port() } else { port };
    AddressSources {
        configured_host: config.public_host.clone(),
        configured_url: config.public_url.clone(),
        detected: detect::default_route_ipv4(),
        http_port: addresses.http.port(),
        ports: AdvertisedPorts {
            srtla: or_bound(config.embedded.srtla_port, addresses.srtla),
            srt_publish: or_bound(config.embedded.publish_port, addresses.srt_publish),
            srt_play: or_bound(config.embedded.play_port, addresses.srt_play),
            stats: addresses
                .stats
                .map_or(0, |bound| or_bound(config.stats_port, bound)),
        },
    }
}

/// The base of the setup address when the pages can be reached on this machine only.
pub(super) fn local_url(config: &Config, http: SocketAddr) -> Option<String> {
    (config.public_url.is_none() && http.ip().is_loopback()).then(|| format!("http://{http}"))
}

fn plugin_config(config: &Config) -> PluginConfig {
    PluginConfig {
        attempt_life: config.plugin_login_life,
        poll_interval: config.plugin_login_poll,
        complete_key: config.plugin_login_complete_key.clone(),
        ..PluginConfig::default()
    }
}

/// For commands while no server runs: the ports are those of the last run, or the configured ones.
pub(super) fn offline_addresses(config: &Config) -> Addresses {
    let configured = Addresses {
        http: config.listen,
        stats: config.stats_listen,
        metrics: config.metrics_listen,
        srtla: config.embedded.srtla_listen,
        srt_publish: config.embedded.publish_listen,
        srt_play: config.embedded.play_listen,
    };
    match Addresses::read(&config.data_dir) {
        Ok(last) if config.listen.port() == 0 => last,
        Ok(_) | Err(_) => configured,
    }
}

type Ticker = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// Everything that is built before anything runs.
struct Composed {
    app: App,
    control: Control,
    around: Around,
    ticker: Option<Ticker>,
}

/// Tells the relay of the slots, recalls the past, and starts the tasks that always run.
async fn begin_work(composed: &mut Composed, tasks: &Tasks) -> anyhow::Result<()> {
    let App { relay, live, .. } = &composed.app;
    let total = relay.register_all().await?;
    tracing::info!(
        registered = total.registered,
        failed = total.failed,
        "slots are at the relay"
    );
    live.remember().await;
    let live = live.clone();
    tasks
        .spawn("poller", move || {
            let live = live.clone();
            async move { live.poll().await }
        })
        .await;
    if let Some(ticker) = composed.ticker.take() {
        tasks.run("jobs", ticker).await;
    }
    Ok(())
}

async fn compose(
    config: &Config,
    opened: &Opened,
    engine: &Arc<EmbeddedRelay>,
    addresses: &Addresses,
    tasks: &Tasks,
) -> anyhow::Result<Composed> {
    let Opened {
        store,
        telemetry,
        clock,
        vault,
        accounts,
        plans,
        slots,
        ..
    } = opened;
    let engine: Arc<dyn Engine> = Arc::clone(engine) as _;
    let settings = Settings::load(
        store.clone(),
        clock.clone(),
        address_sources(config, addresses),
    )
    .await?;
    let relay = RelayService::new(RelayDeps {
        store: store.clone(),
        clock: clock.clone(),
        vault: Arc::clone(vault),
        plans: plans.clone(),
        slots: slots.clone(),
        settings: settings.clone(),
        engine: Arc::clone(&engine),
        config: RelayConfig {
            shared_key: config.relay_shared_key.clone(),
            ..RelayConfig::default()
        },
    });
    let figures = Figures::default();
    let live = LiveService::new(
        Arc::clone(&engine),
        Arc::new(relay.clone()),
        telemetry.clone(),
        clock.clone(),
        figures.relay.clone(),
    );
    let plugin = PluginService::new(
        store.clone(),
        clock.clone(),
        Arc::clone(vault),
        accounts.clone(),
        settings.clone(),
        plugin_config(config),
    );
    let inputs = JobInputs {
        accounts: accounts.clone(),
        plugin: plugin.clone(),
        relay: relay.clone(),
        live: live.clone(),
        settings: settings.clone(),
        store: store.clone(),
        telemetry: telemetry.clone(),
    };
    let table = jobs::table(config, &inputs);
    let (jobs, ticker) =
        Jobs::new(table, store.clone(), clock.clone(), figures.jobs.clone()).await?;
    let health = HealthService::new(
        store.clone(),
        Arc::clone(&engine),
        clock.clone(),
        figures.registry(store),
        figures.before_scrape(store, &relay, &engine),
        MetricsAccess {
            token: config.metrics_token.clone(),
        },
    );
    let setup = SetupService::new(SetupDeps {
        store: store.clone(),
        clock: clock.clone(),
        vault: Arc::clone(vault),
        accounts: accounts.clone(),
        settings: settings.clone(),
        data_dir: config.data_dir.clone(),
        local_url: local_url(config, addresses.http),
    });
    let control = Control {
        accounts: accounts.clone(),
        setup: setup.clone(),
    };
    let snapshots = Snapshots::new(accounts.clone(), slots.clone(), relay.clone());
    let app = App {
        accounts: accounts.clone(),
        health,
        jobs,
        live,
        plans: plans.clone(),
        plugin,
        relay,
        settings,
        setup,
        slots: slots.clone(),
        snapshots,
    };
    let around = Around {
        metrics: figures.http,
        stop: StopSignal::new(tasks.stop_signal()),
    };
    Ok(Composed {
        app,
        control,
        around,
        ticker: Some(Box::pin(ticker)),
    })
}

async fn first_setup_url(app: &App) -> anyhow::Result<Option<String>> {
    if app.accounts.has_owner().await? {
        return Ok(None);
    }
    let url = app.setup.renew_setup_token().await?;
    Ok(Some(url.expose_secret().to_owned()))
}

fn listen_privately(path: &Path) -> anyhow::Result<tokio::net::UnixListener> {
    let bind = || {
        // Left behind by a server that was killed: we hold the folder's lock, so nobody serves it.
        if path.exists() {
            std::fs::remove_file(path)?;
        }
        // The folder is private already, so nobody can connect before the mode is set.
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        tokio::net::UnixListener::from_std(listener)
    };
    bind().with_context(|| format!("listening on {}", path.display()))
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
