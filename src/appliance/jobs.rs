//! The one table of jobs.

use std::time::Duration;

use super::config::Config;
use crate::accounts::AccountsService;
use crate::accounts::jobs as accounts;
use crate::db::Store;
use crate::jobs::{Job, job};
use crate::live::LiveService;
use crate::plugin::PluginService;
use crate::plugin::jobs as plugin;
use crate::relay::RelayService;
use crate::relay::jobs as relay;
use crate::settings::Settings;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// What the jobs work on.
#[derive(Debug, Clone)]
pub(super) struct JobInputs {
    pub(super) accounts: AccountsService,
    pub(super) plugin: PluginService,
    pub(super) relay: RelayService,
    pub(super) live: LiveService,
    pub(super) settings: Settings,
    pub(super) store: Store,
    pub(super) telemetry: Store,
}

/// Every job: name, period, time limit, what it does.
pub(super) fn table(config: &Config, inputs: &JobInputs) -> Vec<Job> {
    let retention = config.sample_retention;
    macro_rules! on {
        ($input:ident, $call:expr) => {{
            let $input = inputs.$input.clone();
            move || {
                let $input = $input.clone();
                async move { $call(&$input).await }
            }
        }};
    }
    vec![
        job(
            "session_activity",
            MINUTE,
            10 * SECOND,
            on!(accounts, accounts::write_last_seen),
        ),
        job(
            "session_cleanup",
            HOUR,
            MINUTE,
            on!(accounts, accounts::delete_ended_sessions),
        ),
        job(
            "login_attempt_cleanup",
            10 * MINUTE,
            MINUTE,
            on!(plugin, plugin::delete_old_attempts),
        ),
        job(
            "idempotency_cleanup",
            5 * MINUTE,
            MINUTE,
            on!(relay, relay::delete_expired_idempotency),
        ),
        job(
            "lease_expiry",
            10 * SECOND,
            MINUTE,
            on!(relay, relay::expire),
        ),
        job(
            "provisioning_sweep",
            MINUTE,
            MINUTE,
            on!(relay, relay::sweep_provisioning),
        ),
        job(
            "usage_metering",
            10 * SECOND,
            MINUTE,
            on!(relay, relay::write_usage),
        ),
        job(
            "lease_writing",
            MINUTE,
            MINUTE,
            on!(relay, relay::write_leases),
        ),
        job(
            "relay_registration",
            MINUTE,
            MINUTE,
            on!(relay, relay::register_slots),
        ),
        job(
            "public_host_lookup",
            5 * MINUTE,
            MINUTE,
            on!(settings, look_up_public_host),
        ),
        job("store_checkpoint", HOUR, MINUTE, {
            let stores = [inputs.store.clone(), inputs.telemetry.clone()];
            move || checkpoint(stores.clone())
        }),
        job("sample_retention", HOUR, 10 * MINUTE, {
            let live = inputs.live.clone();
            move || forget_samples(live.clone(), retention)
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

async fn checkpoint(stores: [Store; 2]) -> anyhow::Result<String> {
    for store in stores {
        store.checkpoint().await?;
    }
    Ok("the write-ahead logs are cut back".to_owned())
}

async fn forget_samples(live: LiveService, retention: Duration) -> anyhow::Result<String> {
    let deleted = live.forget_old_samples(retention).await?;
    Ok(format!("{deleted} samples deleted"))
}
