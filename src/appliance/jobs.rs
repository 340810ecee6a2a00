//! The one table of jobs.

use crate::kernel::counted;
use std::time::Duration;

use super::config::Config;
use super::people::People;
use super::stores::{self, Stores};
use crate::accounts::AccountsService;
use crate::accounts::jobs as accounts;
use crate::accounts::oauth::OAuthService;
use crate::audit::jobs as audit_jobs;
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
use crate::system::export::jobs as export;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// What the jobs work on.
#[derive(Debug, Clone)]
pub(super) struct JobInputs {
    pub(super) accounts: AccountsService,
    pub(super) billing: BillingService,
    pub(super) people: People,
    pub(super) plans: PlansService,
    pub(super) oauth: OAuthService,
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
        of_people(&inputs.people),
        of_relay(inputs),
        of_names(config, inputs),
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
            "oauth_cleanup",
            10 * MINUTE,
            limit,
            on!(inputs.oauth, accounts::delete_old_departures),
        ),
        job(
            "retired_key_cleanup",
            HOUR,
            limit,
            on!(slots, slots::delete_expired_keys),
        ),
    ]
}

fn of_people(people: &People) -> Vec<Job> {
    let People {
        audit,
        departures,
        outbox,
        ..
    } = people;
    vec![
        job(
            "mail_delivery",
            5 * SECOND,
            MINUTE,
            on!(outbox, accounts::deliver_mails),
        ),
        job(
            "account_deletion",
            5 * SECOND,
            5 * MINUTE,
            on!(departures, export::finish_deletions),
        ),
        job(
            "audit_retention",
            HOUR,
            MINUTE,
            on!(audit, audit_jobs::forget_old_events),
        ),
    ]
}

fn of_relay(inputs: &JobInputs) -> Vec<Job> {
    let JobInputs { relay, .. } = inputs;
    let limit = MINUTE;
    vec![
        job("lease_expiry", 5 * SECOND, limit, on!(relay, relay::expire))
            .kept_on("sessions of plugins that are gone hold their places for ever"),
        job(
            "lease_writing",
            MINUTE,
            limit,
            on!(relay, relay::write_leases),
        )
        .kept_on("a restart ends sessions that are in use"),
        job(
            "provisioning_sweep",
            MINUTE,
            limit,
            on!(relay, relay::sweep_provisioning),
        )
        .kept_on("a start that was cut off never ends"),
        job(
            "relay_registration",
            MINUTE,
            limit,
            on!(relay, relay::register_slots),
        )
        .kept_on("a relay that forgot a key admits nobody with it"),
        job(
            "node_probe",
            5 * SECOND,
            limit,
            on!(relay, relay::probe_nodes),
        )
        .kept_on("sessions stay on a relay that is down"),
        job(
            "node_reconciliation",
            MINUTE,
            limit,
            on!(relay, relay::reconcile_nodes),
        )
        .kept_on("a relay that forgot a stream never learns it again"),
        job(
            "idempotency_cleanup",
            5 * MINUTE,
            limit,
            on!(relay, relay::delete_expired_idempotency),
        ),
    ]
}

/// What looks after DNS names, where there are any.
fn of_names(config: &Config, inputs: &JobInputs) -> Vec<Job> {
    let names = config.dns.as_ref().map(|_| {
        job(
            "dns_names",
            MINUTE,
            5 * MINUTE,
            on!(inputs.relay, relay::reconcile_names),
        )
        .kept_on("a name goes on leading to where its slot no longer is")
    });
    names.into_iter().collect()
}

fn of_billing(inputs: &JobInputs) -> Vec<Job> {
    let both = (inputs.billing.clone(), inputs.relay.clone());
    vec![
        job(
            "billing_events",
            MINUTE,
            5 * MINUTE,
            on!(both, act_on_billing_events),
        )
        .kept_on("who paid is not admitted, and who left is not cut off"),
        job(
            "grace_enforcement",
            5 * MINUTE,
            5 * MINUTE,
            on!(both, enforce_grace),
        )
        .kept_on("plans that nobody pays go on for ever"),
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
        )
        .kept_on("streamed seconds are lost"),
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
    let live = inputs.live.clone();
    let (relay, health_retention) = (inputs.relay.clone(), config.health_event_retention);
    let mut jobs = of_stores(inputs);
    jobs.extend([
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
        job("sample_retention", HOUR, 10 * MINUTE, move || {
            forget_samples(live.clone(), retention)
        }),
    ]);
    jobs
}

fn of_stores(inputs: &JobInputs) -> Vec<Job> {
    let stores = Stores {
        main: inputs.store.clone(),
        telemetry: inputs.telemetry.clone(),
    };
    vec![
        job(
            "store_checkpoint",
            HOUR,
            10 * MINUTE,
            on!(stores, stores::checkpoint),
        )
        .kept_on("the write-ahead log grows until the disk is full"),
        job(
            "store_optimize",
            DAY,
            10 * MINUTE,
            on!(stores, stores::optimize),
        ),
        job(
            "store_integrity",
            7 * DAY,
            HOUR,
            on!(stores, stores::check_integrity),
        ),
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

async fn forget_health(relay: RelayService, retention: Duration) -> anyhow::Result<String> {
    let deleted = relay.forget_old_health(retention).await?;
    Ok(format!(
        "{} deleted",
        counted(deleted, "heartbeat", "heartbeats")
    ))
}

async fn forget_samples(live: LiveService, retention: Duration) -> anyhow::Result<String> {
    let deleted = live.forget_old_samples(retention).await?;
    Ok(format!("{deleted} samples and broadcasts deleted"))
}
