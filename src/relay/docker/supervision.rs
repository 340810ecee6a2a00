//! What an operator sees and does about the containers, whether or not there are any.
//!
//! Invariant: only operators get in; everyone else learns nothing of the containers.

use std::sync::Arc;

use super::{Belongings, DockerRelay, Part, RestartError, SupervisorStatus};
use crate::kernel::{Actor, Error, Result};

/// The engine that runs and why, with the containers when there are some. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Supervision(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    engine: &'static str,
    why: String,
    docker: Option<DockerRelay>,
    /// Containers of a time when the relay ran in some.
    earlier: Option<Belongings>,
}

/// What an operator is shown.
#[derive(Debug, Clone)]
pub struct Overview {
    /// The engine's name.
    pub engine: &'static str,
    /// Why it was chosen.
    pub why: String,
    /// The containers, when it runs in some.
    pub containers: Option<SupervisorStatus>,
}

impl Supervision {
    /// Of the engine with this name.
    #[must_use]
    pub fn new(
        engine: &'static str,
        why: String,
        docker: Option<DockerRelay>,
        earlier: Option<Belongings>,
    ) -> Self {
        Self(Arc::new(Inner {
            engine,
            why,
            docker,
            earlier,
        }))
    }

    /// Names of containers that nobody looks after since the relay runs elsewhere. Without a container engine
    /// that answers there are none.
    ///
    /// # Errors
    /// `Forbidden` for whoever is no operator.
    pub async fn left_containers(&self, actor: &Actor) -> Result<Vec<String>> {
        require_operator(actor)?;
        let Some(earlier) = &self.0.earlier else {
            return Ok(Vec::new());
        };
        Ok(earlier.names().await.unwrap_or_else(|error| {
            tracing::debug!(error = %error, "earlier containers were not looked for");
            Vec::new()
        }))
    }

    /// Everything that is known.
    ///
    /// # Errors
    /// `Forbidden` for whoever is no operator.
    pub fn overview(&self, actor: &Actor) -> Result<Overview> {
        require_operator(actor)?;
        let docker = self.0.docker.as_ref();
        Ok(Overview {
            engine: self.0.engine,
            why: self.0.why.clone(),
            containers: docker.map(DockerRelay::status),
        })
    }

    /// The last lines of each container that has some; what cannot be asked for is left out.
    ///
    /// # Errors
    /// `Forbidden` for whoever is no operator.
    pub async fn logs(&self, actor: &Actor) -> Result<Vec<(Part, Vec<String>)>> {
        require_operator(actor)?;
        let Some(docker) = &self.0.docker else {
            return Ok(Vec::new());
        };
        let mut all = Vec::new();
        for part in Part::ALL {
            match docker.logs(part).await {
                Ok(lines) if lines.is_empty() => {}
                Ok(lines) => all.push((part, lines)),
                Err(error) => tracing::debug!(error = %error, "no lines of a container"),
            }
        }
        Ok(all)
    }

    /// Restarts a container; with `insists`, whoever is live.
    ///
    /// # Errors
    /// `Forbidden` for whoever is no operator, `NotFound` when there is no such container, `Conflict` when
    /// somebody is live.
    pub async fn restart(&self, actor: &Actor, part: &str, insists: bool) -> Result<()> {
        require_operator(actor)?;
        let part = Part::parse(part).ok_or_else(|| {
            Error::invalid_field("part", "unknown", "name sls, srtla or receiver")
        })?;
        let Some(docker) = &self.0.docker else {
            return Err(Error::not_found("container"));
        };
        match docker.restart(part, insists).await {
            Ok(()) => {
                tracing::info!(user.id = %actor.user_id, part = part.as_str(), "an operator restarts a container");
                Ok(())
            }
            Err(RestartError::UnknownPart) => Err(Error::not_found("container")),
            Err(RestartError::Busy) => Err(Error::conflict(
                "somebody is live: a restart would cut them off",
            )
            .reason("somebody_live")),
        }
    }

    /// Makes the changes now that wait for nobody to be live.
    ///
    /// # Errors
    /// `Forbidden` for whoever is no operator, `NotFound` when there are no containers.
    pub fn apply_changes(&self, actor: &Actor) -> Result<()> {
        require_operator(actor)?;
        let Some(docker) = &self.0.docker else {
            return Err(Error::not_found("container"));
        };
        docker.apply_changes();
        Ok(())
    }
}

fn require_operator(actor: &Actor) -> Result<()> {
    if actor.is_operator() {
        Ok(())
    } else {
        Err(Error::forbidden())
    }
}
