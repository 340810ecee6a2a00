//! The relay's sessions, its nodes and the names of slots.

use std::sync::Arc;

use crate::appliance::config::Config;
use crate::appliance::figures::Figures;
use crate::appliance::open::Opened;
use crate::http::outbound::Outbound;
use crate::http::{LimitName, Limiter};
use crate::kernel::ids::NodeId;
use crate::kernel::{self, Clock, Error};
use crate::relay::dns::cloudflare::{Cloudflare, CloudflareConfig};
use crate::relay::engine::Engine;
use crate::relay::limits::RelayLimits;
use crate::relay::nodes::{EngineFactory, ExternalApi};
use crate::relay::sls::{SlsConfig, SlsEngine};
use crate::relay::{DnsZone, LocalNode, Nodes, RelayConfig, RelayDeps, RelayService, nodes};
use crate::settings::Settings;

/// The own relay and the external nodes.
pub(super) async fn nodes(
    opened: &Opened,
    engine: &Arc<dyn Engine>,
    outbound: &Outbound,
) -> anyhow::Result<Nodes> {
    let local = LocalNode::new(Arc::clone(engine));
    let (store, clock, vault) = (&opened.store, &opened.clock, &opened.vault);
    let outbound = outbound.clone();
    let factory: EngineFactory = Arc::new(move |api, own| external_engine(api, own, &outbound));
    Ok(nodes::load(store, clock, vault, local, factory).await?)
}

/// The engine of a node that is not ours.
fn external_engine(
    api: &ExternalApi,
    own: NodeId,
    outbound: &Outbound,
) -> kernel::Result<Arc<dyn Engine>> {
    // Letters and digits alone tell our entries from those of others.
    let owner: String = own
        .to_string()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    let config = SlsConfig {
        link_stats_url: api.link_stats_url.clone(),
        api_per_minute: api.api_calls_per_minute,
        stats_per_minute: api.stats_calls_per_minute,
        outbound: Some(outbound.clone()),
        ..SlsConfig::new(api.url.clone(), api.key.clone(), owner)
    };
    let engine = SlsEngine::new(&config).map_err(Error::internal)?;
    Ok(Arc::new(engine))
}

/// Where slots have their names, when that is configured.
fn zone(config: &Config) -> anyhow::Result<Option<Arc<dyn DnsZone>>> {
    let Some(keys) = config.dns.clone() else {
        return Ok(None);
    };
    let zone = Cloudflare::new(CloudflareConfig {
        api_base: keys.api_base,
        zone_id: keys.zone_id,
        token: keys.token,
        domain: keys.domain,
    })?;
    Ok(Some(Arc::new(zone)))
}

/// The relay's sessions, which follow the plans as the slots do.
pub(super) async fn relay(
    config: &Config,
    opened: &Opened,
    settings: &Settings,
    nodes: &Nodes,
    figures: &Figures,
) -> anyhow::Result<RelayService> {
    opened.plans.load_rules().await?;
    let relay = RelayService::new(RelayDeps {
        zone: zone(config)?,
        store: opened.store.clone(),
        clock: opened.clock.clone(),
        vault: Arc::clone(&opened.vault),
        plans: opened.plans.clone(),
        slots: opened.slots.clone(),
        settings: settings.clone(),
        nodes: nodes.clone(),
        metrics: figures.provision.clone(),
        config: RelayConfig {
            shared_key: config.relay_shared_key.clone(),
            outbound: config.outbound.clone(),
            limits: relay_limits(config, &opened.clock),
            ..RelayConfig::default()
        },
    });
    opened.plans.follow(opened.slots.clone());
    opened.plans.follow(relay.follower());
    Ok(relay)
}

fn relay_limits(config: &Config, clock: &Clock) -> RelayLimits {
    let limiter = |name, allowance| Limiter::new(clock, name, allowance);
    RelayLimits {
        start: limiter(LimitName::Start, config.limits.start),
        stop: limiter(LimitName::Stop, config.limits.stop),
        active: limiter(LimitName::Active, config.limits.active),
        usage: limiter(LimitName::Usage, config.limits.usage),
    }
}
