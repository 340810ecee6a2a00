//! The only code that holds the container engine's socket: typed calls, and no others.
//!
//! Write access to the socket is as good as root, so the list of calls is short and fixed: version, events,
//! containers (list, inspect, logs, stats, create, start, stop, restart, delete), images (inspect, pull) and
//! networks (list, inspect, create, delete).
//!
//! Invariant: before every call that changes a container or a network, its label was read and carries our
//! instance id. The id that was inspected is the one that is changed, never a name.

mod read;

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::models::{ContainerInspectResponse, NetworkCreateRequest};
use bollard::query_parameters as query;
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::{Stream, StreamExt, TryStreamExt};
use jiff::Timestamp;

use super::error::DockerError;
use super::origins::Line;
use super::template::{ContainerSpec, INSTANCE_LABEL, Part};
use read::{parse_api, pull_step, read_container, read_usage, redact};

/// How long a call may take.
const CALL_SECONDS: u64 = 20;
/// How long an engine may take to say who it is.
const GREETING_PATIENCE: Duration = Duration::from_secs(3);
/// How long a container may take to end before it is killed, in seconds.
const STOP_SECONDS: i32 = 5;
/// The oldest API with all that the template uses. Source: docs.docker.com/reference/api/engine/version/v1.40.
const OLDEST_API: (u32, u32) = (1, 40);

/// Lines of one look at a container's output.
const RAW_LINES: &str = "5000";

type Result<T> = std::result::Result<T, DockerError>;

/// What a container does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activity {
    /// Made, and not started: its start failed, or has not come yet.
    Created,
    /// Its program runs.
    Running,
    /// The engine is about to start it again after a crash.
    Restarting,
    /// It has ended, or is being removed.
    Ended,
}

/// A container of ours, as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) id: String,
    /// What its label calls it; none of ours any more when we know no such part.
    pub(super) part: Option<Part>,
    pub(super) spec_hash: String,
    pub(super) image_id: String,
    pub(super) activity: Activity,
    pub(super) exit_code: i64,
    /// The engine's own complaint about its last start.
    pub(super) error: String,
    /// Starts by the engine itself, after crashes.
    pub(super) restarts: u64,
    pub(super) created_at: Option<Timestamp>,
    pub(super) started_at: Option<Timestamp>,
    /// Its address on our network.
    pub(super) ip: String,
}

/// An image on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) id: String,
    pub(super) architecture: String,
}

/// What a container uses at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// CPU time since its start.
    pub(super) cpu: Duration,
    /// Memory without the cache of files.
    pub(super) memory_bytes: u64,
}

/// A connection to the container engine.
#[derive(Debug, Clone)]
pub(super) struct DockerClient {
    docker: Docker,
    instance: String,
    /// The engine's version, for people.
    pub(super) version: String,
}

impl DockerClient {
    /// Connects and asks who answers.
    pub(super) async fn connect(socket: &str, instance: &str) -> Result<Self> {
        let is_remote = ["http://", "tcp://"]
            .iter()
            .any(|scheme| socket.starts_with(scheme));
        let connect = if is_remote {
            Docker::connect_with_http
        } else {
            Docker::connect_with_unix
        };
        let docker = connect(socket, CALL_SECONDS, API_DEFAULT_VERSION)
            .map_err(|error| DockerError::of(error, socket))?;
        let asked = tokio::time::timeout(GREETING_PATIENCE, docker.version()).await;
        let told = asked
            .map_err(|_| DockerError::Unreachable("it did not say who it is in time".to_owned()))?
            .map_err(|error| DockerError::of(error, "version"))?;
        let api = told.api_version.unwrap_or_default();
        if parse_api(&api) < Some(OLDEST_API) {
            return Err(DockerError::TooOld { found: api });
        }
        Ok(Self {
            docker,
            instance: instance.to_owned(),
            version: told.version.unwrap_or_default(),
        })
    }

    fn own(&self) -> HashMap<String, Vec<String>> {
        let label = format!("{INSTANCE_LABEL}={}", self.instance);
        HashMap::from([("label".to_owned(), vec![label])])
    }

    /// All containers of ours, running or not.
    pub(super) async fn containers(&self) -> Result<Vec<Found>> {
        let options = query::ListContainersOptions {
            all: true,
            filters: Some(self.own()),
            ..query::ListContainersOptions::default()
        };
        let listed = self.docker.list_containers(Some(options)).await;
        let listed = listed.map_err(|error| DockerError::of(error, "containers"))?;
        let mut found = Vec::new();
        for id in listed.into_iter().filter_map(|one| one.id) {
            match self.guarded(&id).await {
                Ok(one) => found.push(read_container(one)),
                // Gone between the list and the look.
                Err(DockerError::Unknown(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// A container of ours; the check before every change.
    async fn guarded(&self, id: &str) -> Result<ContainerInspectResponse> {
        let inspected = self.docker.inspect_container(id, None).await;
        let inspected = inspected.map_err(|error| DockerError::of(error, id))?;
        let labels = inspected.config.as_ref().and_then(|it| it.labels.as_ref());
        if labels.and_then(|all| all.get(INSTANCE_LABEL)) == Some(&self.instance) {
            return Ok(inspected);
        }
        let name = inspected.name.unwrap_or_else(|| id.to_owned());
        Err(DockerError::Foreign(format!("container {name}")))
    }

    /// The id of a container that is ours.
    async fn guarded_id(&self, id: &str) -> Result<String> {
        let inspected = self.guarded(id).await?;
        inspected
            .id
            .ok_or_else(|| DockerError::Refused("a container without an id".to_owned()))
    }

    /// Makes a container; answers its id.
    pub(super) async fn create(&self, spec: &ContainerSpec) -> Result<String> {
        let options = query::CreateContainerOptions {
            name: Some(spec.name.clone()),
            ..query::CreateContainerOptions::default()
        };
        let made = self
            .docker
            .create_container(Some(options), spec.body.clone());
        let made = made.await;
        Ok(made
            .map_err(|error| match DockerError::of(error, &spec.name) {
                DockerError::Unknown(_) => DockerError::Image {
                    image: spec.image.clone(),
                    reason: "it is not on this machine".to_owned(),
                },
                other => other,
            })?
            .id)
    }

    /// Starts a container of ours.
    pub(super) async fn start(&self, id: &str) -> Result<()> {
        let id = self.guarded_id(id).await?;
        let started = self.docker.start_container(&id, None).await;
        started.map_err(|error| DockerError::of(error, &id))
    }

    /// Stops a container of ours; the engine does not start it again by itself then.
    pub(super) async fn stop(&self, id: &str) -> Result<()> {
        let id = self.guarded_id(id).await?;
        let options = query::StopContainerOptions {
            t: Some(STOP_SECONDS),
            ..query::StopContainerOptions::default()
        };
        let stopped = self.docker.stop_container(&id, Some(options)).await;
        stopped.map_err(|error| DockerError::of(error, &id))
    }

    /// Restarts a container of ours.
    pub(super) async fn restart(&self, id: &str) -> Result<()> {
        let id = self.guarded_id(id).await?;
        let options = query::RestartContainerOptions {
            t: Some(STOP_SECONDS),
            ..query::RestartContainerOptions::default()
        };
        let restarted = self.docker.restart_container(&id, Some(options)).await;
        restarted.map_err(|error| DockerError::of(error, &id))
    }

    /// Removes a container of ours, running or not.
    pub(super) async fn remove(&self, id: &str) -> Result<()> {
        let id = self.guarded_id(id).await?;
        let options = query::RemoveContainerOptions {
            force: true,
            ..query::RemoveContainerOptions::default()
        };
        let removed = self.docker.remove_container(&id, Some(options)).await;
        removed.map_err(|error| DockerError::of(error, &id))
    }

    /// The last lines of a container's output.
    pub(super) async fn logs(&self, id: &str, lines: usize) -> Result<Vec<String>> {
        let options = query::LogsOptions {
            stdout: true,
            stderr: true,
            tail: lines.to_string(),
            ..query::LogsOptions::default()
        };
        let pieces = self.docker.logs(id, Some(options));
        let pieces: Vec<LogOutput> = pieces
            .try_collect()
            .await
            .map_err(|error| DockerError::of(error, id))?;
        let text: Vec<u8> = pieces.into_iter().flat_map(LogOutput::into_bytes).collect();
        let text = String::from_utf8_lossy(&text);
        let mut last: Vec<_> = text.lines().rev().take(lines).map(redact).collect();
        last.reverse();
        Ok(last)
    }

    /// Lines of a container's output from a moment on, keys and all: for nobody's eyes.
    pub(super) async fn raw_lines(&self, id: &str, since: Option<Timestamp>) -> Result<Vec<Line>> {
        let since = since.map_or(0, Timestamp::as_second);
        let options = query::LogsOptions {
            stdout: true,
            stderr: true,
            timestamps: true,
            since: i32::try_from(since).unwrap_or(0),
            tail: RAW_LINES.to_owned(),
            ..query::LogsOptions::default()
        };
        let pieces = self.docker.logs(id, Some(options));
        let pieces: Vec<LogOutput> = pieces
            .try_collect()
            .await
            .map_err(|error| DockerError::of(error, id))?;
        let text: Vec<u8> = pieces.into_iter().flat_map(LogOutput::into_bytes).collect();
        let text = String::from_utf8_lossy(&text);
        Ok(text.lines().filter_map(Line::parse).collect())
    }

    /// What a running container uses.
    pub(super) async fn usage(&self, id: &str) -> Result<Usage> {
        let options = query::StatsOptions {
            stream: false,
            one_shot: true,
        };
        let mut answers = self.docker.stats(id, Some(options)).boxed();
        match answers.next().await {
            Some(Ok(answer)) => Ok(read_usage(&answer)),
            Some(Err(error)) => Err(DockerError::of(error, id)),
            None => Err(DockerError::Unknown(id.to_owned())),
        }
    }

    /// The image of a reference, when this machine has it.
    pub(super) async fn image(&self, reference: &str) -> Result<Option<Image>> {
        match self.docker.inspect_image(reference).await {
            Ok(image) => Ok(Some(Image {
                id: image.id.unwrap_or_default(),
                architecture: image.architecture.unwrap_or_default(),
            })),
            Err(error) => match DockerError::of(error, reference) {
                DockerError::Unknown(_) => Ok(None),
                other => Err(other),
            },
        }
    }

    /// Pulls an image; each step says how far it is.
    pub(super) fn pull(&self, reference: &str) -> impl Stream<Item = Result<String>> + use<> {
        // Without a tag the engine would pull all of them.
        let is_exact = reference.contains('@')
            || reference
                .rsplit('/')
                .next()
                .is_some_and(|it| it.contains(':'));
        let options = query::CreateImageOptions {
            from_image: Some(reference.to_owned()),
            tag: (!is_exact).then(|| "latest".to_owned()),
            ..query::CreateImageOptions::default()
        };
        let image = reference.to_owned();
        let steps = self.docker.create_image(Some(options), None, None);
        steps.map(move |step| match step {
            Ok(step) => Ok(pull_step(&step)),
            Err(error) => match DockerError::of(error, &image) {
                error if error.is_connection() => Err(error),
                error => Err(DockerError::Image {
                    image: image.clone(),
                    reason: error.to_string(),
                }),
            },
        })
    }

    /// The id of our network, when it is there.
    pub(super) async fn network(&self, name: &str) -> Result<Option<String>> {
        let options = query::ListNetworksOptions {
            filters: Some(self.own()),
        };
        let listed = self.docker.list_networks(Some(options)).await;
        let listed = listed.map_err(|error| DockerError::of(error, "networks"))?;
        let ours = listed
            .into_iter()
            .find(|one| one.name.as_deref() == Some(name));
        Ok(ours.and_then(|one| one.id))
    }

    /// This machine's address on our network, when it is there.
    pub(super) async fn gateway(&self, name: &str) -> Result<Option<IpAddr>> {
        let Some(id) = self.network(name).await? else {
            return Ok(None);
        };
        let inspected = self.docker.inspect_network(&id, None).await;
        let inspected = inspected.map_err(|error| DockerError::of(error, name))?;
        let pools = inspected.ipam.and_then(|ipam| ipam.config);
        let mut gateways = pools.into_iter().flatten().filter_map(|pool| pool.gateway);
        Ok(gateways.find_map(|gateway| gateway.parse().ok()))
    }

    /// Makes our network, a bridge.
    pub(super) async fn create_network(&self, name: &str) -> Result<()> {
        let label = (INSTANCE_LABEL.to_owned(), self.instance.clone());
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".to_owned()),
            labels: Some(HashMap::from([label])),
            ..NetworkCreateRequest::default()
        };
        let made = self.docker.create_network(request).await;
        made.map(drop).map_err(|error| DockerError::of(error, name))
    }

    /// Removes our network.
    pub(super) async fn remove_network(&self, id: &str) -> Result<()> {
        let inspected = self.docker.inspect_network(id, None).await;
        let inspected = inspected.map_err(|error| DockerError::of(error, id))?;
        let label = inspected
            .labels
            .as_ref()
            .and_then(|it| it.get(INSTANCE_LABEL));
        let (Some(id), true) = (inspected.id, label == Some(&self.instance)) else {
            let name = inspected.name.unwrap_or_else(|| id.to_owned());
            return Err(DockerError::Foreign(format!("network {name}")));
        };
        let removed = self.docker.remove_network(&id).await;
        removed.map_err(|error| DockerError::of(error, &id))
    }

    /// One item for each thing that happens to a container of ours.
    pub(super) fn events(&self) -> impl Stream<Item = Result<()>> + use<> {
        let mut filters = self.own();
        filters.insert("type".to_owned(), vec!["container".to_owned()]);
        let options = query::EventsOptions {
            filters: Some(filters),
            ..query::EventsOptions::default()
        };
        let events = self.docker.events(Some(options));
        events.map(|event| {
            event
                .map(drop)
                .map_err(|error| DockerError::of(error, "events"))
        })
    }
}

#[cfg(test)]
mod tests;
