//! What handlers can ask for.

use axum::extract::FromRef;

use crate::accounts::AccountsService;
use crate::jobs::Jobs;
use crate::live::LiveService;
use crate::plans::service::PlansService;
use crate::plugin::PluginService;
use crate::plugin::snapshot::Snapshots;
use crate::relay::RelayService;
use crate::settings::Settings;
use crate::slots::SlotsService;
use crate::system::health::HealthService;
use crate::system::setup::SetupService;

/// Every service. A handler takes the one it needs as `State<...>`.
#[derive(Debug, Clone, FromRef)]
pub(super) struct App {
    pub(super) accounts: AccountsService,
    pub(super) health: HealthService,
    pub(super) jobs: Jobs,
    pub(super) live: LiveService,
    pub(super) plans: PlansService,
    pub(super) plugin: PluginService,
    pub(super) relay: RelayService,
    pub(super) settings: Settings,
    pub(super) setup: SetupService,
    pub(super) slots: SlotsService,
    pub(super) snapshots: Snapshots,
}
