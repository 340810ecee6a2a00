//! Builds every service from the ones below it. Nothing runs yet.

mod relaying;

use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::addresses::Addresses;
use super::billing::billing;
use super::config::Config;
use super::control::Control;
use super::figures::Figures;
use super::jobs::{self, JobInputs};
use super::listen::{address_sources, local_url};
use super::open::Opened;
use super::openapi;
use super::people::People;
use super::relay::LocalRelay;
use super::state::{App, Services};
use super::stores::Stores;
use crate::accounts::oauth::OAuthService;
use crate::accounts::oauth::service::OAuthDeps;
use crate::http::outbound::Outbound;
use crate::http::{AnonymousCalls, AnonymousLimit, Around, LimitName, Limiter, StopSignal};
use crate::jobs::{Jobs, Tasks};
use crate::kernel::{self, Clock};
use crate::live::{Carriers, LiveService};
use crate::plans::billing::jobs as billing_jobs;
use crate::plugin::snapshot::Snapshots;
use crate::plugin::{PluginConfig, PluginService};
use crate::relay::engine::Engine;
use crate::relay::{Nodes, RelayEvent, RelayService};
use crate::settings::{AddressSources, Settings};
use crate::system::health::{HealthService, MetricsAccess};
use crate::system::jobs::JobControl;
use crate::system::setup::{SetupDeps, SetupService};

type Ticker = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Everything that is built before anything runs.
pub(super) struct Composed {
    pub(super) app: App,
    pub(super) control: Control,
    pub(super) around: Around,
    ticker: Option<Ticker>,
}

impl Composed {
    /// Tells the relay of the slots, recalls the past, and starts the tasks that always run.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn begin_work(&mut self, tasks: &Tasks) -> anyhow::Result<()> {
        let Services { relay, live, .. } = &*self.app.0;
        let total = relay.register_all().await?;
        let (registered, failed) = (total.registered, total.failed);
        tracing::info!(registered, failed, "slots are at the relay");
        // Before anybody asks for a place: a node that nobody asked yet takes no session.
        relay.probe_nodes().await?;
        relay.reconcile_nodes().await?;
        // What was half done when the server stopped is finished or unwound before anybody asks.
        relay.sweep_provisioning().await?;
        relay.recall_metering().await?;
        live.remember().await;
        live.look_up_carriers().await?;
        relay.recall_moves().await?;
        tell_of_moves(tasks, relay, live).await;
        tend_names(tasks, relay).await;
        let live = live.clone();
        let poll = move || {
            let live = live.clone();
            async move { live.poll().await }
        };
        tasks.spawn("poller", poll).await;
        let tended = relay.clone();
        let tend = move || {
            let relay = tended.clone();
            async move { relay.tend_nodes().await }
        };
        tasks.spawn("node_upkeep", tend).await;
        self.tend_billing(tasks).await;
        // A name that does not resolve must not hold the start.
        let settings = self.app.0.settings.clone();
        let look_up = async move { settings.resolve_public_host().await };
        tasks.run("public_host_lookup", look_up).await;
        if let Some(ticker) = self.ticker.take() {
            tasks.run("jobs", ticker).await;
        }
        Ok(())
    }

    async fn tend_billing(&self, tasks: &Tasks) {
        let Services { billing, relay, .. } = &*self.app.0;
        let (billing, relay) = (billing.clone(), relay.clone());
        let act = move || {
            let (billing, relay) = (billing.clone(), relay.clone());
            async move { billing_jobs::tend(&billing, &relay).await }
        };
        tasks.spawn("billing", act).await;
    }
}

/// Readers see at once that a session of theirs was moved.
async fn tell_of_moves(tasks: &Tasks, relay: &RelayService, live: &LiveService) {
    let (relay, live) = (relay.clone(), live.clone());
    let follow = move || {
        let (mut events, live) = (relay.events().listen(), live.clone());
        async move {
            loop {
                match events.recv().await {
                    Ok(RelayEvent::SessionMoved { slot_id, .. }) => live.touch(slot_id),
                    // The page tells of nodes when it is loaded, and of what was missed too.
                    Ok(RelayEvent::NodeLost(_) | RelayEvent::NodeBack(_))
                    | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                }
            }
        }
    };
    tasks.spawn("session_moves", follow).await;
}

async fn tend_names(tasks: &Tasks, relay: &RelayService) {
    if relay.names_status().is_none() {
        return;
    }
    let relay = relay.clone();
    let tend = move || {
        let relay = relay.clone();
        async move { relay.tend_names().await }
    };
    tasks.spawn("dns_names_upkeep", tend).await;
}

/// Builds everything.
///
/// # Errors
/// The store's.
pub(super) async fn compose(
    config: &Config,
    opened: &Opened,
    local: &LocalRelay,
    addresses: &Addresses,
    stop: &CancellationToken,
) -> anyhow::Result<Composed> {
    let engine = local.engine();
    let sources = address_sources(config, addresses, local.is_embedded());
    let settings = settings(config, opened, sources).await?;
    opened.accounts.second_factors().follow(&settings);
    let figures = Figures::default();
    let nodes = relaying::nodes(opened, &engine, &config.outbound).await?;
    let relay = relaying::relay(config, opened, &settings, &nodes, &figures).await?;
    let live = live(config, opened, local, nodes, &relay, &figures);
    let plugin = plugin(config, opened, &settings);
    let oauth = oauth(config, opened, &settings);
    let people = People::new(config, opened, &settings, &relay, &live, &oauth)?;
    let billing = billing(config, opened, &settings, figures.billing.clone())?;
    let inputs = JobInputs {
        billing: billing.clone(),
        oauth: oauth.clone(),
        accounts: opened.accounts.clone(),
        people: people.clone(),
        plans: opened.plans.clone(),
        plugin: plugin.clone(),
        relay: relay.clone(),
        live: live.clone(),
        settings: settings.clone(),
        slots: opened.slots.clone(),
        store: opened.store.clone(),
        telemetry: opened.telemetry.clone(),
    };
    let table = jobs::table(config, &inputs);
    let (store, clock) = (opened.store.clone(), opened.clock.clone());
    let (jobs, ticker) = Jobs::new(table, store, clock, figures.jobs.clone()).await?;
    let setup = setup(config, opened, &settings, addresses);
    let control = control(opened, local, &setup, &people, &settings, &relay);
    let anonymous = anonymous(config, &opened.clock);
    let app = App(Arc::new(Services {
        accounts: opened.accounts.clone(),
        anonymous: anonymous.clone(),
        billing,
        health: health(config, opened, &relay, &engine, &figures),
        jobs: JobControl::new(jobs, opened.store.clone(), opened.clock.clone()),
        live,
        people,
        oauth,
        plans: opened.plans.clone(),
        plugin,
        snapshots: Snapshots::new(opened.accounts.clone(), opened.slots.clone(), relay.clone()),
        relay,
        settings,
        setup,
        slots: opened.slots.clone(),
        supervision: local.supervision(),
    }));
    let stop = StopSignal::new(stop.clone());
    Ok(Composed {
        app,
        control,
        around: around(config, figures, anonymous, stop),
        ticker: Some(Box::pin(ticker)),
    })
}

fn anonymous(config: &Config, clock: &Clock) -> AnonymousLimit {
    let allowance = config.limits.anonymous;
    AnonymousLimit::new(Limiter::new(clock, LimitName::Anonymous, allowance))
}

/// What the command line asks of the running server.
fn control(
    opened: &Opened,
    local: &LocalRelay,
    setup: &SetupService,
    people: &People,
    settings: &Settings,
    relay: &RelayService,
) -> Control {
    Control {
        accounts: opened.accounts.clone(),
        setup: setup.clone(),
        departures: Some(people.departures.clone()),
        settings: settings.clone(),
        sign_ups: people.sign_ups.clone(),
        relay: Some(relay.clone()),
        containers: local.containers(),
    }
}

/// What stands around every handler.
fn around(config: &Config, figures: Figures, limit: AnonymousLimit, stop: StopSignal) -> Around {
    let anonymous = AnonymousCalls {
        routes: openapi::anonymous_routes(),
        limit,
    };
    Around::new(
        figures.http,
        config.trusted_proxies.clone(),
        anonymous,
        stop,
    )
}

/// The settings, with what the configuration says of them.
///
/// # Errors
/// The store's.
pub(super) async fn settings(
    config: &Config,
    opened: &Opened,
    sources: AddressSources,
) -> kernel::Result<Settings> {
    let (store, clock) = (opened.store.clone(), opened.clock.clone());
    Settings::load_with(store, clock, sources, config.words.clone()).await
}

fn live(
    config: &Config,
    opened: &Opened,
    local: &LocalRelay,
    nodes: Nodes,
    relay: &RelayService,
    figures: &Figures,
) -> LiveService {
    LiveService::new(
        nodes,
        Arc::new(relay.clone()),
        opened.telemetry.clone(),
        opened.clock.clone(),
        figures.relay.clone(),
        Carriers::new(config.carrier_database.clone()),
    )
    .with_latency_bounds(local.latency())
}

fn oauth(config: &Config, opened: &Opened, settings: &Settings) -> OAuthService {
    OAuthService::new(OAuthDeps {
        store: opened.store.clone(),
        clock: opened.clock.clone(),
        vault: Arc::clone(&opened.vault),
        accounts: opened.accounts.clone(),
        settings: settings.clone(),
        // The addresses are the configuration's own.
        outbound: Outbound::default(),
        address_allowance: config.limits.login,
        config: config.oauth.clone(),
    })
}

fn plugin(config: &Config, opened: &Opened, settings: &Settings) -> PluginService {
    PluginService::new(
        opened.store.clone(),
        opened.clock.clone(),
        Arc::clone(&opened.vault),
        opened.accounts.clone(),
        settings.clone(),
        PluginConfig {
            attempt_life: config.plugin_login_life,
            poll_interval: config.plugin_login_poll,
            complete_key: config.plugin_login_complete_key.clone(),
            address_allowance: config.limits.login,
            ..PluginConfig::default()
        },
    )
}

/// Also for commands while no server runs.
pub(super) fn setup(
    config: &Config,
    opened: &Opened,
    settings: &Settings,
    addresses: &Addresses,
) -> SetupService {
    SetupService::new(SetupDeps {
        store: opened.store.clone(),
        clock: opened.clock.clone(),
        vault: Arc::clone(&opened.vault),
        accounts: opened.accounts.clone(),
        settings: settings.clone(),
        data_dir: config.data_dir.clone(),
        local_url: local_url(config, addresses.http),
    })
}

fn health(
    config: &Config,
    opened: &Opened,
    relay: &RelayService,
    engine: &Arc<dyn Engine>,
    figures: &Figures,
) -> HealthService {
    let stores = Stores {
        main: opened.store.clone(),
        telemetry: opened.telemetry.clone(),
    };
    HealthService::new(
        [opened.store.clone(), opened.telemetry.clone()],
        Arc::clone(engine),
        opened.clock.clone(),
        figures.registry(&stores),
        figures.before_scrape(&stores, relay, engine),
        MetricsAccess {
            token: config.metrics_token.clone(),
        },
    )
}
