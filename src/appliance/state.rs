//! What handlers can ask for.

use std::sync::Arc;

use axum::extract::FromRef;

use super::people::People;
use crate::accounts::AccountsService;
use crate::accounts::oauth::OAuthService;
use crate::accounts::service::{Outbox, SignUps};
use crate::audit::AuditLog;
use crate::http::AnonymousLimit;
use crate::live::LiveService;
use crate::plans::billing::BillingService;
use crate::plans::pages::UserParts;
use crate::plans::service::PlansService;
use crate::plugin::PluginService;
use crate::plugin::snapshot::Snapshots;
use crate::relay::RelayService;
use crate::relay::docker::Supervision;
use crate::settings::Settings;
use crate::slots::SlotsService;
use crate::system::export::Departures;
use crate::system::health::HealthService;
use crate::system::jobs::JobControl;
use crate::system::setup::SetupService;

/// Every service.
#[derive(Debug)]
pub(super) struct Services {
    pub(super) accounts: AccountsService,
    pub(super) anonymous: AnonymousLimit,
    pub(super) billing: BillingService,
    pub(super) health: HealthService,
    pub(super) jobs: JobControl,
    pub(super) live: LiveService,
    pub(super) people: People,
    pub(super) oauth: OAuthService,
    pub(super) plans: PlansService,
    pub(super) plugin: PluginService,
    pub(super) relay: RelayService,
    pub(super) settings: Settings,
    pub(super) setup: SetupService,
    pub(super) slots: SlotsService,
    pub(super) snapshots: Snapshots,
    pub(super) supervision: Supervision,
}

/// The state of the router, from which a handler takes the one service that it needs as `State<...>`.
/// axum clones the state several times a request: with the services inside, that was 5 % of a request's CPU.
#[derive(Debug, Clone)]
pub(super) struct App(pub(super) Arc<Services>);

macro_rules! offer {
    ($($field:ident: $service:ty,)*) => {
        $(impl FromRef<App> for $service {
            fn from_ref(app: &App) -> Self {
                app.0.$field.clone()
            }
        })*
    };
}

impl FromRef<App> for UserParts {
    fn from_ref(app: &App) -> Self {
        Self {
            accounts: app.0.accounts.clone(),
            plans: app.0.plans.clone(),
            relay: app.0.relay.clone(),
        }
    }
}

offer! {
    accounts: AccountsService,
    anonymous: AnonymousLimit,
    billing: BillingService,
    health: HealthService,
    jobs: JobControl,
    live: LiveService,
    oauth: OAuthService,
    plans: PlansService,
    plugin: PluginService,
    relay: RelayService,
    settings: Settings,
    setup: SetupService,
    slots: SlotsService,
    snapshots: Snapshots,
    supervision: Supervision,
}

macro_rules! offer_of_people {
    ($($field:ident: $service:ty,)*) => {
        $(impl FromRef<App> for $service {
            fn from_ref(app: &App) -> Self {
                app.0.people.$field.clone()
            }
        })*
    };
}

offer_of_people! {
    audit: AuditLog,
    departures: Departures,
    outbox: Outbox,
    sign_ups: SignUps,
}
