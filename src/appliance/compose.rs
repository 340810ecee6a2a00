//! Builds every service from the ones below it. Nothing runs yet.

use std::pin::Pin;
use std::sync::Arc;

use super::addresses::Addresses;
use super::billing::billing;
use super::config::Config;
use super::control::Control;
use super::figures::Figures;
use super::jobs::{self, JobInputs};
use super::listen::{address_sources, local_url};
use super::open::Opened;
use super::relay::LocalRelay;
use super::state::{App, Services};
use tokio_util::sync::CancellationToken;

use crate::http::{Around, StopSignal};
use crate::jobs::{Jobs, Tasks};
use crate::kernel::Error;
use crate::kernel::ids::NodeId;
use crate::live::{Carriers, LiveService};
use crate::plans::billing::jobs as billing_jobs;
use crate::plugin::snapshot::Snapshots;
use crate::plugin::{PluginConfig, PluginService};
use crate::relay::engine::Engine;
use crate::relay::nodes::ExternalApi;
use crate::relay::sls::{SlsConfig, SlsEngine};
use crate::relay::{LocalNode, Nodes, RelayConfig, RelayDeps, RelayService, nodes};
use crate::settings::Settings;
use crate::system::health::{HealthService, MetricsAccess};
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
    let settings = Settings::load(opened.store.clone(), opened.clock.clone(), sources).await?;
    let figures = Figures::default();
    let nodes = nodes(opened, &engine).await?;
    let relay = relay(config, opened, &settings, &nodes).await?;
    let live = LiveService::new(
        nodes,
        Arc::new(relay.clone()),
        opened.telemetry.clone(),
        opened.clock.clone(),
        figures.relay.clone(),
        Carriers::new(config.carrier_database.clone()),
    )
    .with_latency_bounds(local.latency());
    let plugin = plugin(config, opened, &settings);
    let billing = billing(config, opened, &settings, figures.billing.clone())?;
    let inputs = JobInputs {
        billing: billing.clone(),
        accounts: opened.accounts.clone(),
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
    let control = Control {
        accounts: opened.accounts.clone(),
        setup: setup.clone(),
        relay: Some(relay.clone()),
        containers: local.containers(),
    };
    let app = App(Arc::new(Services {
        accounts: opened.accounts.clone(),
        billing,
        health: health(config, opened, &relay, &engine, &figures),
        jobs,
        live,
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
    let around = Around::new(figures.http, config.trusted_proxies.clone(), stop);
    Ok(Composed {
        app,
        control,
        around,
        ticker: Some(Box::pin(ticker)),
    })
}

/// The own relay and the external nodes.
async fn nodes(opened: &Opened, engine: &Arc<dyn Engine>) -> anyhow::Result<Nodes> {
    let local = LocalNode::new(Arc::clone(engine));
    let (store, clock, vault) = (&opened.store, &opened.clock, &opened.vault);
    Ok(nodes::load(store, clock, vault, local, Arc::new(external_engine)).await?)
}

/// The engine of a node that is not ours.
fn external_engine(api: &ExternalApi, own: NodeId) -> crate::kernel::Result<Arc<dyn Engine>> {
    // Letters and digits alone tell our entries from those of others.
    let owner: String = own
        .to_string()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    let config = SlsConfig {
        link_stats_url: api.link_stats_url.clone(),
        ..SlsConfig::new(api.url.clone(), api.key.clone(), owner)
    };
    let engine = SlsEngine::new(&config).map_err(Error::internal)?;
    Ok(Arc::new(engine))
}

/// The relay's sessions, which follow the plans as the slots do.
async fn relay(
    config: &Config,
    opened: &Opened,
    settings: &Settings,
    nodes: &Nodes,
) -> anyhow::Result<RelayService> {
    opened.plans.load_rules().await?;
    let relay = RelayService::new(RelayDeps {
        store: opened.store.clone(),
        clock: opened.clock.clone(),
        vault: Arc::clone(&opened.vault),
        plans: opened.plans.clone(),
        slots: opened.slots.clone(),
        settings: settings.clone(),
        nodes: nodes.clone(),
        config: RelayConfig {
            shared_key: config.relay_shared_key.clone(),
            ..RelayConfig::default()
        },
    });
    opened.plans.follow(opened.slots.clone());
    opened.plans.follow(relay.follower());
    Ok(relay)
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
    HealthService::new(
        opened.store.clone(),
        Arc::clone(engine),
        opened.clock.clone(),
        figures.registry(&opened.store),
        figures.before_scrape(&opened.store, relay, engine),
        MetricsAccess {
            token: config.metrics_token.clone(),
        },
    )
}
