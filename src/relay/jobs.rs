//! Upkeep of relay sessions, for the table of jobs.

use anyhow::Context;

use super::service::RelayService;
use crate::kernel::counted;

/// Ends sessions whose lease or grace ran out. Every five seconds.
///
/// # Errors
/// The store's.
pub async fn expire(relay: &RelayService) -> anyhow::Result<String> {
    let expired = relay.expire().await?;
    Ok(format!(
        "{} and {} over",
        counted(expired.leases, "lease", "leases"),
        counted(expired.graces, "grace window", "grace windows")
    ))
}

/// Takes up sessions that were being brought up when the server stopped. At the start and every minute.
///
/// # Errors
/// The store's.
pub async fn sweep_provisioning(relay: &RelayService) -> anyhow::Result<String> {
    let count = relay.sweep_provisioning().await?;
    Ok(format!(
        "{} taken up",
        counted(count, "session", "sessions")
    ))
}

/// Tells the relay of every slot again, for those it did not take before. Every minute.
///
/// # Errors
/// The store's.
pub async fn register_slots(relay: &RelayService) -> anyhow::Result<String> {
    let total = relay.register_all().await?;
    Ok(format!(
        "{} registered, {} dropped, {} failed",
        counted(total.registered, "slot", "slots"),
        total.dropped,
        total.failed
    ))
}

/// Writes counted seconds of ingest. Every minute; what ends a session or a broadcast writes its own at once.
///
/// # Errors
/// The store's.
pub async fn write_usage(relay: &RelayService) -> anyhow::Result<String> {
    let slots = relay.flush().await?;
    Ok(format!("{} had seconds", counted(slots, "slot", "slots")))
}

/// Makes good what was not counted in outages. Every two minutes.
///
/// # Errors
/// The store's.
pub async fn reconcile_outages(relay: &RelayService) -> anyhow::Result<String> {
    let seconds = relay.reconcile_outages().await?;
    Ok(format!(
        "{} made good",
        counted(seconds, "second", "seconds")
    ))
}

/// Writes what heartbeats told. Every minute.
///
/// # Errors
/// The store's.
pub async fn write_health(relay: &RelayService) -> anyhow::Result<String> {
    let events = relay.write_health().await?;
    Ok(format!(
        "{} written",
        counted(events, "heartbeat", "heartbeats")
    ))
}

/// Writes when leases end. Every minute.
///
/// # Errors
/// The store's.
pub async fn write_leases(relay: &RelayService) -> anyhow::Result<String> {
    let leases = relay.write_leases().await?;
    Ok(format!("{} renewed", counted(leases, "lease", "leases")))
}

/// Deletes idempotency keys that expired. Every five minutes.
///
/// # Errors
/// The store's.
pub async fn delete_expired_idempotency(relay: &RelayService) -> anyhow::Result<String> {
    let rows = relay.delete_expired_idempotency().await?;
    Ok(format!("{} deleted", counted(rows, "key", "keys")))
}

/// Asks relay nodes how they are and moves sessions off those that are down. Every five seconds.
///
/// # Errors
/// The store's.
pub async fn probe_nodes(relay: &RelayService) -> anyhow::Result<String> {
    let probed = relay.probe_nodes().await?;
    Ok(format!(
        "{} up, {} down, {} moved",
        counted(probed.up, "node", "nodes"),
        probed.down,
        counted(probed.moved, "session", "sessions")
    ))
}

/// Brings external nodes in line with the sessions that have a place there. Every minute.
///
/// # Errors
/// The store's.
pub async fn reconcile_nodes(relay: &RelayService) -> anyhow::Result<String> {
    let done = relay.reconcile_nodes().await?;
    Ok(format!(
        "{} registered, {} dropped, {} failed",
        counted(done.registered, "slot", "slots"),
        done.dropped,
        counted(done.failed, "call", "calls")
    ))
}

/// Brings DNS names in line with where slots are. Every minute; a change that somebody makes is carried out at once.
///
/// # Errors
/// The store's; what the provider refuses is told and tried again.
pub async fn reconcile_names(relay: &RelayService) -> anyhow::Result<String> {
    let done = relay.reconcile_names().await?;
    let status = relay.names_status().context("no names are kept")?;
    let changed = format!(
        "{} records made or changed, {} removed",
        done.put, done.removed
    );
    Ok(if status.waiting == 0 {
        format!("{changed}; {} names lead to their relay", status.known)
    } else {
        format!(
            "{changed}; {} changes wait: {}",
            status.waiting, status.trouble
        )
    })
}
