//! What the supervisor knows, for the operator's page and the API.
//!
//! Invariant: no key stands in it; lines of a container's output were cleaned before they came here.

use serde::Serialize;
use utoipa::ToSchema;

use super::error::DockerError;

/// Something that stands in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ContainerProblem)]
pub struct Problem {
    /// What is wrong.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
}

impl From<&DockerError> for Problem {
    fn from(error: &DockerError) -> Self {
        Self {
            reason: error.to_string(),
            remedy: error.remedy().into_owned(),
        }
    }
}

/// One container.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ContainerStatus {
    /// `sls`, `srtla` or `receiver`.
    pub part: &'static str,
    /// Its name.
    pub name: String,
    /// The image as configured.
    pub image: String,
    /// The id of the image that it was made from; empty when there is no container.
    pub image_id: String,
    /// Its id; empty when there is none.
    pub id: String,
    /// `missing`, `created`, `running`, `restarting`, `ended`, `crash_loop`, or `unknown` while the engine does
    /// not answer.
    pub state: &'static str,
    /// What stands in its way.
    pub problem: Option<Problem>,
    /// How often it crashed while this server watched.
    pub crashes: u64,
    /// How its program ended the last time.
    pub exit_code: i64,
    /// Processor use over the last seconds, 100 for one processor.
    pub cpu_percent: Option<f64>,
    /// Memory without the cache of files.
    pub memory_bytes: Option<u64>,
    /// When it was started, in RFC 3339.
    pub started_at: Option<String>,
    /// It was made from other settings, and is replaced when nobody publishes.
    pub waits_for_idle: bool,
    /// Its last lines before it was left alone.
    pub last_lines: Vec<String>,
}

/// An image on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PullStatus {
    /// Its reference.
    pub image: String,
    /// The last step.
    pub step: String,
}

/// Everything.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct SupervisorStatus {
    /// Whether every port answered in its own protocol.
    pub is_ready: bool,
    /// Why not.
    pub reason: Option<String>,
    /// The container engine's version.
    pub docker_version: Option<String>,
    /// What stands in the way of the container engine itself.
    pub problem: Option<Problem>,
    /// The containers, in the order in which they start.
    pub containers: Vec<ContainerStatus>,
    /// Images on their way.
    pub pulls: Vec<PullStatus>,
    /// What works and should be changed.
    pub warnings: Vec<String>,
}

impl SupervisorStatus {
    /// What to do first about what keeps it from being ready.
    #[must_use]
    pub fn remedy(&self) -> &str {
        let of_containers = self.containers.iter().filter_map(|it| it.problem.as_ref());
        let mut problems = self.problem.iter().chain(of_containers);
        problems
            .next()
            .map_or("see the page Relay", |problem| &problem.remedy)
    }
}

/// Whether what a reference names may change under us.
#[must_use]
pub(super) fn is_floating(reference: &str) -> bool {
    const MOVING: [&str; 7] = ["latest", "next", "main", "master", "edge", "stable", "dev"];
    if reference.contains('@') {
        return false;
    }
    let name = reference.rsplit('/').next().unwrap_or(reference);
    name.split_once(':')
        .is_none_or(|(_, tag)| MOVING.contains(&tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_that_moves_is_warned_of() {
        for floating in [
            "sls",
            "ghcr.io/a/sls:latest",
            "registry:5000/sls",
            "a/b:next",
        ] {
            assert!(is_floating(floating), "{floating}");
        }
        for fixed in [
            "sls:1.5.1",
            "registry:5000/a/sls:1.2",
            "sls@sha256:00",
            "sls:latest@sha256:0",
        ] {
            assert!(!is_floating(fixed), "{fixed}");
        }
    }
}
