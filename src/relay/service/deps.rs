//! What the service of relay sessions is built from.

use std::sync::Arc;
use std::time::Duration;

use crate::db::Store;
use crate::http::outbound::Outbound;
use crate::kernel::Clock;
use crate::kernel::seal::Vault;
use crate::kernel::secret::SecretString;
use crate::plans::PlansService;
use crate::relay::dns::DnsZone;
use crate::relay::limits::RelayLimits;
use crate::relay::metrics::ProvisionMetrics;
use crate::relay::nodes::Nodes;
use crate::settings::Settings;
use crate::slots::SlotsService;

/// What configuration says about sessions.
#[derive(Debug, Clone)]
pub struct RelayConfig {
    /// What `X-Relay-Auth` must say; `None` turns that way in off.
    pub shared_key: Option<SecretString>,
    /// How long a session lives without a sign of life.
    pub lease: Duration,
    /// How long media may be away before the broadcast is over.
    pub grace_window: Duration,
    /// How long one broadcast may be, where the plan limits it.
    pub max_session: Duration,
    /// How long `relay/start` waits for the relay before it answers `provisioning`.
    pub start_patience: Duration,
    /// How long the relay may take in the background before the session fails.
    pub provisioning_budget: Duration,
    /// How long a failed session is shown to a plugin that waits for it.
    pub failure_shown: Duration,
    /// Where calls to addresses that users set may go.
    pub outbound: Outbound,
    /// How often each call may be made.
    pub limits: RelayLimits,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            shared_key: None,
            lease: Duration::from_mins(5),
            grace_window: Duration::from_mins(10),
            max_session: Duration::from_hours(16),
            start_patience: Duration::from_secs(5),
            provisioning_budget: Duration::from_mins(1),
            failure_shown: Duration::from_mins(3),
            outbound: Outbound::default(),
            limits: RelayLimits::default(),
        }
    }
}

/// What the service is built from.
#[derive(Debug, Clone)]
pub struct RelayDeps {
    /// The main database.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// Opens keys and tokens.
    pub vault: Arc<Vault>,
    /// Entitlement and usage.
    pub plans: PlansService,
    /// The slots.
    pub slots: SlotsService,
    /// The public address.
    pub settings: Settings,
    /// The relay nodes.
    pub nodes: Nodes,
    /// Where slots have their DNS names; `None` when they have none.
    pub zone: Option<Arc<dyn DnsZone>>,
    /// Times and limits.
    pub config: RelayConfig,
    /// What is counted.
    pub metrics: ProvisionMetrics,
}
