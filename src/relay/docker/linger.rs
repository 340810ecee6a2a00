//! Who is connected: answers SLS's questions, finds out whose links are whose, and ends those who stay although
//! their keys are no longer good.
//!
//! SLS cuts nobody off. What ends somebody is a restart of its container, which ends everybody: so it is made only
//! when nobody else is live.
//!
//! Invariant: no restart for one slot's sake cuts off another.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::client::{Activity, DockerClient};
use super::error::DockerError;
use super::hook::{self, Hook};
use super::plan::Actual;
use super::supervisor::{Supervisor, lock};
use super::template::{Part, network_name};
use super::watch::Watch;
use crate::kernel::secret::{ExposeSecret, SecretString};
use crate::relay::inside::Lingering;

/// An encoder that was given a new key has left by then.
const GRACE: Duration = Duration::from_secs(10);
/// Between two restarts for somebody's sake.
const PAUSE: Duration = Duration::from_mins(1);

impl Supervisor {
    /// Does what is due about callers.
    pub(super) async fn tend_callers(
        &self,
        watch: &mut Watch,
        actual: Option<&Actual>,
        now: Duration,
    ) {
        if let (Some(client), Some(actual)) = (watch.client.clone(), actual) {
            let was_told = watch.hook_problem.is_some();
            if actual.network.is_some()
                && let Err(error) = self.open_hook(&client, watch).await
                && !was_told
            {
                tracing::warn!(error = %error, "SLS cannot ask whom to admit");
            }
            self.find_origins(&client, watch, actual).await;
        }
        self.end_lingering(watch, now);
    }

    /// Opens the listener for SLS's questions, unless it is open or switched off. Answers the URL for SLS.
    pub(super) async fn open_hook(
        &self,
        client: &DockerClient,
        watch: &mut Watch,
    ) -> Result<Option<SecretString>, DockerError> {
        let Some(port) = self.deps.config.admission_port else {
            return Ok(None);
        };
        let opened = self.try_hook(client, watch, port).await;
        watch.hook_problem = opened.as_ref().err().cloned();
        opened.map(Some)
    }

    async fn try_hook(
        &self,
        client: &DockerClient,
        watch: &mut Watch,
        port: u16,
    ) -> Result<SecretString, DockerError> {
        let name = network_name(&self.deps.identity);
        let gateway = client.gateway(&name).await?;
        let gateway = gateway.ok_or_else(|| DockerError::Unknown(format!("the network {name}")))?;
        let address = SocketAddr::new(gateway, port);
        if watch
            .hook
            .as_ref()
            .is_none_or(|hook| hook.address != address)
        {
            watch.hook = None;
            let inner = std::sync::Arc::clone(&self.deps.inner);
            let opened = Hook::open(address, &self.deps.key, inner).await;
            let failed = |error: std::io::Error| DockerError::Hook(format!("{address}: {error}"));
            watch.hook = Some(opened.map_err(failed)?);
            tracing::info!(%address, "SLS asks here whom to admit");
        }
        let path = hook::path(&self.deps.key);
        let url = format!("http://{address}{}", path.expose_secret());
        Ok(SecretString::from(url))
    }

    /// Reads what the programs wrote, when there are links of which nobody knows whose they are.
    async fn find_origins(&self, client: &DockerClient, watch: &mut Watch, actual: &Actual) {
        if !self.deps.inner.seeks_origins() {
            return;
        }
        let running = actual
            .containers
            .iter()
            .filter(|found| found.activity == Activity::Running);
        let (mut lines, mut receiver) = (Vec::new(), IpAddr::from(Ipv4Addr::LOCALHOST));
        for found in running {
            if found.part == Some(Part::Srtla)
                && let Ok(ip) = found.ip.parse()
            {
                receiver = ip;
            }
            match client.raw_lines(&found.id, watch.origins.read_to).await {
                Ok(more) => lines.extend(more),
                Err(error) => {
                    // Half of the lines would be in the wrong order.
                    tracing::debug!(error = %error, "a container's output was not read");
                    return;
                }
            }
        }
        watch.origins.take(lines, receiver);
        self.deps.inner.note_origins(watch.origins.origins());
    }

    fn end_lingering(&self, watch: &mut Watch, now: Duration) {
        let lingering = self.deps.inner.lingering();
        if !lingering.is_any() {
            watch.lingering_since = None;
            return;
        }
        let since = *watch.lingering_since.get_or_insert(now);
        let is_due = now.saturating_sub(since) >= GRACE;
        let is_too_soon = watch
            .ended_at
            .is_some_and(|at| now.saturating_sub(at) < PAUSE);
        let part = self.specs.iter().find(|spec| spec.part.has_sls());
        if lingering.is_anybody_else_live || !is_due || is_too_soon {
            return;
        }
        if let Some(spec) = part {
            tracing::info!(
                publishers = lingering.publishers,
                players = lingering.players,
                "SLS is restarted: they stay although their keys are no longer good"
            );
            watch.ended_at = Some(now);
            lock(&self.orders).mends.push(spec.part);
            self.wake();
        }
    }

    /// What operators are told of those who stay.
    pub(super) fn lingering_warning(&self) -> Option<String> {
        let Lingering {
            publishers,
            players,
            is_anybody_else_live,
        } = self.deps.inner.lingering();
        if publishers + players == 0 {
            return None;
        }
        let when = if is_anybody_else_live {
            "its container is restarted as soon as no other slot is live; to end them now, restart it and cut \
             off whoever is live"
        } else {
            "its container is restarted for that within 20 seconds, which takes about 7"
        };
        Some(format!(
            "Connected with keys that are no longer good: {publishers} publishers, {players} players. SLS cannot \
             cut anybody off: {when}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::supervisor::SupervisorDeps;
    use super::super::testing::{config, identity};
    use super::*;
    use crate::kernel::Clock;
    use crate::relay::testing::FakeEngine;

    #[test]
    fn those_who_stay_are_ended_after_a_grace_once_in_a_while_and_never_beside_others() {
        let inner = FakeEngine::new();
        let supervisor = Supervisor::new(SupervisorDeps {
            config: config("/nowhere"),
            identity: identity(),
            key: "key".into(),
            inner: Arc::clone(&inner) as _,
            clock: Clock::system(),
            port_holder: |_, _| None,
        });
        let mut watch = Watch::new(&supervisor.deps.config);
        let mut restarts = |seconds: u64| {
            supervisor.end_lingering(&mut watch, Duration::from_secs(seconds));
            std::mem::take(&mut lock(&supervisor.orders).mends)
        };
        let one = Lingering {
            publishers: 1,
            ..Lingering::default()
        };
        assert_eq!(restarts(0), []);
        inner.set_lingering(Lingering {
            is_anybody_else_live: true,
            ..one
        });
        assert_eq!((restarts(1), restarts(100)), (vec![], vec![]));
        inner.set_lingering(one);
        assert_eq!(restarts(101), [Part::Sls], "the other one has left");
        assert_eq!(restarts(150), [], "it is too soon");
        assert_eq!(restarts(161), [Part::Sls]);
        inner.set_lingering(Lingering::default());
        assert_eq!(restarts(300), []);
        inner.set_lingering(one);
        assert_eq!(
            (restarts(301), restarts(310)),
            (vec![], vec![]),
            "the grace"
        );
        assert_eq!(restarts(311), [Part::Sls]);
        let warning = supervisor.lingering_warning().unwrap();
        assert!(warning.contains("1 publishers") && warning.contains("20 seconds"));
    }
}
