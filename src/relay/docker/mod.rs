//! The relay in containers: SLS and an SRTLA receiver, which this server makes, watches and mends.
//!
//! [`template`](self) says what a container is, `plan` what is to be done, `supervisor` does it through
//! `client`, `probe` proves that media can flow. What SLS itself is told goes through the engine that speaks
//! its API, which [`DockerRelay`] wraps.
//!
//! Invariant: nothing that does not carry our label is ever changed, and a container that runs is adopted,
//! never made anew, unless what it was made from has changed.

mod act;
pub mod api;
mod belongings;
mod breaker;
mod client;
mod config;
mod describe;
mod error;
mod hook;
mod linger;
mod origins;
pub mod pages;
mod plan;
mod probe;
mod ready;
mod seed;
mod status;
mod supervision;
mod supervisor;
mod template;
#[cfg(test)]
mod testing;
pub mod views;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast;

pub use belongings::Belongings;
pub use config::{DockerConfig, HostPorts, Identity, Layout};
pub use error::DockerError;
pub use status::{ContainerStatus, Problem, PullStatus, SupervisorStatus};
pub use supervision::{Overview, Supervision};
pub use supervisor::{PortHolder, SupervisorDeps};
pub use template::Part;

use client::DockerClient;
use supervisor::Supervisor;

use super::engine::{
    Capabilities, Engine, EngineCounters, EngineError, EngineEvent, EngineHealth, StreamSpec,
    StreamStats, Target,
};
use crate::kernel::ids::SlotId;

/// A look takes a few seconds at most; an older one proves nothing.
const STALE: Duration = Duration::from_secs(60);
/// Lines of a container's output that the page shows.
const SHOWN_LINES: usize = 50;

/// Asks whether a container engine answers on `socket`.
///
/// # Errors
/// What stands in the way.
pub async fn try_socket(socket: &str) -> Result<(), DockerError> {
    DockerClient::connect(socket, "").await.map(drop)
}

/// Why a restart was not ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RestartError {
    /// The layout has no such container.
    #[error("there is no such container")]
    UnknownPart,
    /// Somebody publishes, or that is not known.
    #[error("somebody is live: a restart would cut them off")]
    Busy,
}

/// A relay in containers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DockerRelay(Arc<Supervisor>);

impl DockerRelay {
    /// A relay whose containers nobody looks after before [`DockerRelay::supervise`].
    #[must_use]
    pub fn new(deps: SupervisorDeps) -> Self {
        Self(Arc::new(Supervisor::new(deps)))
    }

    /// Looks after the containers for ever.
    pub async fn supervise(&self) {
        self.0.run().await;
    }

    /// What is known of the containers.
    #[must_use]
    pub fn status(&self) -> SupervisorStatus {
        self.0.status().1
    }

    /// Restarts a container. With `insists`, whoever is live.
    ///
    /// # Errors
    /// [`RestartError`].
    pub async fn restart(&self, part: Part, insists: bool) -> Result<(), RestartError> {
        if !self.0.specs.iter().any(|spec| spec.part == part) {
            return Err(RestartError::UnknownPart);
        }
        // A container that does not run carries nobody.
        let status = self.status();
        let runs = status
            .containers
            .iter()
            .any(|it| it.part == part.as_str() && it.state == "running");
        if runs && !insists && !self.0.is_idle().await {
            return Err(RestartError::Busy);
        }
        self.0.order_restart(part);
        Ok(())
    }

    /// Makes the changes now that wait for nobody to be live.
    pub fn apply_changes(&self) {
        self.0.order_changes();
    }

    /// The last lines of a container, without keys.
    ///
    /// # Errors
    /// [`DockerError`].
    pub async fn logs(&self, part: Part) -> Result<Vec<String>, DockerError> {
        let status = self.status();
        let found = status.containers.iter().find(|it| it.part == part.as_str());
        let Some(found) = found.filter(|it| !it.id.is_empty()) else {
            return Ok(Vec::new());
        };
        let client = self.client().await?;
        client.logs(&found.id, SHOWN_LINES).await
    }

    /// Removes all containers and the network of this appliance; nobody may supervise them meanwhile. The
    /// containers' folders stay.
    ///
    /// # Errors
    /// [`DockerError`].
    pub async fn remove_all(&self) -> Result<(), DockerError> {
        let deps = &self.0.deps;
        Belongings::new(&deps.config.socket, deps.identity.clone())
            .remove()
            .await
            .map(drop)
    }

    async fn client(&self) -> Result<DockerClient, DockerError> {
        let deps = &self.0.deps;
        DockerClient::connect(&deps.config.socket, &deps.identity.instance).await
    }

    fn inner(&self) -> &dyn Engine {
        self.0.deps.inner.as_ref()
    }
}

#[async_trait]
impl Engine for DockerRelay {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn capabilities(&self) -> Capabilities {
        self.inner().capabilities()
    }

    fn events(&self) -> broadcast::Receiver<EngineEvent> {
        self.inner().events()
    }

    fn takes_sessions(&self) -> bool {
        let (age, status) = self.0.status();
        status.is_ready && age <= STALE
    }

    async fn health(&self) -> EngineHealth {
        let (age, status) = self.0.status();
        match &status.reason {
            Some(reason) => EngineHealth::Degraded(format!("{reason}: {}", status.remedy())),
            None if age > STALE => {
                let why = "the containers were not looked at for a minute: start this server again";
                EngineHealth::Degraded(why.to_owned())
            }
            None => self.inner().health().await,
        }
    }

    async fn register(&self, stream: StreamSpec) -> Result<(), EngineError> {
        self.inner().register(stream).await
    }

    async fn drop_stream(&self, slot_id: SlotId) -> Result<(), EngineError> {
        self.inner().drop_stream(slot_id).await
    }

    async fn disconnect(&self, slot_id: SlotId, target: Target) -> Result<usize, EngineError> {
        self.inner().disconnect(slot_id, target).await
    }

    async fn admitted(&self) -> Result<Option<Vec<SlotId>>, EngineError> {
        self.inner().admitted().await
    }

    fn all_registered(&self) {
        self.inner().all_registered();
    }

    async fn stats(&self) -> Result<Vec<StreamStats>, EngineError> {
        self.inner().stats().await
    }

    async fn notices(&self) -> Vec<String> {
        self.inner().notices().await
    }

    async fn counters(&self) -> Result<EngineCounters, EngineError> {
        self.inner().counters().await
    }
}

#[cfg(test)]
#[path = "forward_tests.rs"]
mod tests;
