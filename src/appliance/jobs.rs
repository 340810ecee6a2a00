//! The one table of jobs.

use std::time::Duration;

use super::config::Config;
use crate::accounts::AccountsService;
use crate::accounts::jobs as accounts;
use crate::db::Store;
use crate::jobs::{Job, job};
use crate::live::{LiveService, Looked};
use crate::plans::billing::{BillingService, jobs as billing};
use crate::plans::{PlansService, jobs as plans_jobs};
use crate::plugin::PluginService;
use crate::plugin::jobs as plugin;
use crate::relay::RelayService;
use crate::relay::jobs as relay;
use crate::settings::Settings;
use crate::slots::{SlotsService, jobs as slots};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// What the jobs work on.
#[derive(Debug, Clone)]
pub(super) struct JobInputs {
    pub(super) accounts: AccountsService,
    pub(super) billing: BillingService,
    pub(super) plans: PlansService,
    pub(super) plugin: PluginService,
    pub(super) relay: RelayService,
    pub(super) live: LiveService,
    pub(super) settings: Settings,
    pub(super) slots: SlotsService,
    pub(super) store: Store,
    pub(super) telemetry: Store,
}

macro_rules! on {
    ($input:expr, $call:expr) => {{
        let input = $input.clone();
        move || {
            let input = input.clone();
            async move { $call(&input).await }
        }
    }};
}

/// Every job: name, period, time limit, what it does.
pub(super) fn table(config: &Config, inputs: &JobInputs) -> Vec<Job> {
    [
        of_accounts(inputs),
        of_relay(inputs),
        of_billing(inputs),
        of_usage(inputs),
        of_house(config, inputs),
    ]
    .concat()
}

fn of_accounts(inputs: &JobInputs) -> Vec<Job> {
    let JobInputs {
        accounts,
        plugin,
        slots,
        ..
    } = inputs;
    let limit = MINUTE;
    vec![
        job(
            "session_activity",
            MINUTE,
            limit,
            on!(accounts, accounts::write_last_seen),
        ),
        job(
            "session_cleanup",
            HOUR,
            limit,
            on!(accounts, accounts::delete_ended_sessions),
        ),
        job(
            "login_attempt_cleanup",
            MINUTE,
            limit,
            on!(plugin, plugin::delete_old_attempts),
        ),
        job(
            "retired_key_cleanup",
            HOUR,
            limit,
            on!(slots, slots::delete_expired_keys),
        ),
    ]
}

fn of_relay(inputs: &JobInputs) -> Vec<Job> {
    let JobInputs { relay, .. } = inputs;
    let limit = MINUTE;
    vec![
        job("lease_expiry", 5 * SECOND, limit, on!(relay, relay::expire)),
        job(
            "lease_writing",
            MINUTE,
            limit,
            on!(relay, relay::write_leases),
        ),
        job(
            "provisioning_sweep",
            MINUTE,
            limit,
            on!(relay, relay::sweep_provisioning),
        ),
        job(
            "relay_registration",
            MINUTE,
            limit,
            on!(relay, relay::register_slots),
        ),
        job(
            "node_probe",
            5 * SECOND,
            limit,
            on!(relay, relay::probe_nodes),
        ),
        job(
            "node_reconciliation",
            MINUTE,
            limit,
            on!(relay, relay::reconcile_nodes),
        ),
        job(
            "idempotency_cleanup",
            5 * MINUTE,
            limit,
            on!(relay, relay::delete_expired_idempotency),
        ),
    ]
}

fn of_billing(inputs: &JobInputs) -> Vec<Job> {
    let both = (inputs.billing.clone(), inputs.relay.clone());
    vec![
        job(
            "billing_events",
            MINUTE,
            5 * MINUTE,
            on!(both, act_on_billing_events),
        ),
        job(
            "grace_enforcement",
            5 * MINUTE,
            5 * MINUTE,
            on!(both, enforce_grace),
        ),
        job(
            "subscription_reconciliation",
            HOUR,
            30 * MINUTE,
            on!(both, reconcile_subscriptions),
        ),
        job(
            "billing_event_retention",
            24 * HOUR,
            MINUTE,
            on!(inputs.billing, billing::forget_bodies),
        ),
    ]
}

fn of_usage(inputs: &JobInputs) -> Vec<Job> {
    let JobInputs { relay, plans, .. } = inputs;
    let limit = MINUTE;
    vec![
        job(
            "cycle_roll_over",
            HOUR,
            10 * MINUTE,
            on!(plans, plans_jobs::roll_over),
        ),
        job(
            "usage_metering",
            MINUTE,
            limit,
            on!(relay, relay::write_usage),
        ),
        job(
            "health_event_writing",
            MINUTE,
            limit,
            on!(relay, relay::write_health),
        ),
        job(
            "outage_reconciliation",
            2 * MINUTE,
            limit,
            on!(relay, relay::reconcile_outages),
        ),
    ]
}

async fn act_on_billing_events(
    (events, relay): &(BillingService, RelayService),
) -> anyhow::Result<String> {
    billing::act(events, relay).await
}

async fn enforce_grace((plans, relay): &(BillingService, RelayService)) -> anyhow::Result<String> {
    billing::enforce_grace(plans, relay).await
}

async fn reconcile_subscriptions(
    (plans, relay): &(BillingService, RelayService),
) -> anyhow::Result<String> {
    billing::reconcile(plans, relay).await
}

fn of_house(config: &Config, inputs: &JobInputs) -> Vec<Job> {
    let retention = config.sample_retention;
    let stores = [inputs.store.clone(), inputs.telemetry.clone()];
    let live = inputs.live.clone();
    let (relay, health_retention) = (inputs.relay.clone(), config.health_event_retention);
    vec![
        job("health_event_retention", HOUR, 10 * MINUTE, move || {
            forget_health(relay.clone(), health_retention)
        }),
        job(
            "public_host_lookup",
            5 * MINUTE,
            MINUTE,
            on!(inputs.settings, look_up_public_host),
        ),
        job(
            "carrier_database",
            MINUTE,
            MINUTE,
            on!(inputs.live, look_up_carriers),
        ),
        job("store_checkpoint", HOUR, MINUTE, move || {
            checkpoint(stores.clone())
        }),
        job("sample_retention", HOUR, 10 * MINUTE, move || {
            forget_samples(live.clone(), retention)
        }),
    ]
}

async fn look_up_public_host(settings: &Settings) -> anyhow::Result<String> {
    settings.resolve_public_host().await;
    Ok(format!(
        "the public address is {}",
        settings.public_address().ipv4
    ))
}

async fn look_up_carriers(live: &LiveService) -> anyhow::Result<String> {
    let said = match live.look_up_carriers().await? {
        Looked::Off => "no database is configured",
        Looked::Same => "the database is as it was",
        Looked::Read => "the database was read",
        // It is no failure of ours: operators see a notice.
        Looked::Trouble => "the database cannot be read",
    };
    Ok(said.to_owned())
}

async fn checkpoint(stores: [Store; 2]) -> anyhow::Result<String> {
    for store in stores {
        store.checkpoint().await?;
    }
    Ok("the write-ahead logs are cut back".to_owned())
}

async fn forget_health(relay: RelayService, retention: Duration) -> anyhow::Result<String> {
    let deleted = relay.forget_old_health(retention).await?;
    Ok(format!("{deleted} heartbeats deleted"))
}

async fn forget_samples(live: LiveService, retention: Duration) -> anyhow::Result<String> {
    let deleted = live.forget_old_samples(retention).await?;
    Ok(format!("{deleted} samples deleted"))
}
