//! The reconciler: looks, decides, acts, proves; every five seconds and whenever the engine tells of a
//! change.
//!
//! Invariant: it never ends and never gives up; whatever goes wrong is a state with a reason and a remedy,
//! and is looked at again. Only [`super::client`] changes anything.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::{Notify, mpsc};

use super::client::{Activity, DockerClient, Found};
use super::config::{DockerConfig, Identity};
use super::describe::pulls_of;
use super::error::DockerError;
use super::plan::{Action, Actual, Circumstances, plan};
use super::status::{SupervisorStatus, is_floating};
use super::template::{ContainerSpec, Part, containers, network_name};
use super::watch::Watch;
use crate::kernel::secret::SecretString;
use crate::kernel::{Clock, UnixMillis};
use crate::relay::inside::Inside;

/// How often it looks when nothing happens.
const PERIOD: Duration = Duration::from_secs(5);
/// How long it lets events gather: a crash is told in several.
const GATHER: Duration = Duration::from_millis(200);
/// How long the engine may take to say who publishes.
const STATS_PATIENCE: Duration = Duration::from_secs(2);
/// Lines that are kept of a container that is left alone.
const LAST_LINES: usize = 50;

/// Who holds a port of this machine: whether it is UDP, and its number.
pub type PortHolder = fn(bool, u16) -> Option<String>;

/// What a supervisor needs.
#[derive(Debug)]
pub struct SupervisorDeps {
    /// What an operator set.
    pub config: DockerConfig,
    /// Who we are.
    pub identity: Identity,
    /// The key of SLS's API.
    pub key: SecretString,
    /// Speaks to SLS inside the containers.
    pub inner: Arc<dyn Inside>,
    /// Time.
    pub clock: Clock,
    /// Names the program that holds a port.
    pub port_holder: PortHolder,
}

/// What an operator asked for.
#[derive(Debug, Default)]
pub(super) struct Orders {
    pub(super) restarts: Vec<Part>,
    /// Restarts that we give ourselves: they do not wipe out what a breaker knows.
    pub(super) mends: Vec<Part>,
    is_forced: bool,
}

/// What pulls and events tell the loop.
#[derive(Debug)]
pub(super) enum News {
    Changed,
    EventsEnded,
    PullStep(String, String),
    PullEnded(String, Result<(), DockerError>),
}

/// Supervises the containers.
#[derive(Debug)]
pub(super) struct Supervisor {
    pub(super) deps: SupervisorDeps,
    pub(super) specs: Vec<ContainerSpec>,
    status: Mutex<(Duration, SupervisorStatus)>,
    pub(super) orders: Mutex<Orders>,
    wake: Notify,
}

impl Supervisor {
    pub(super) fn new(deps: SupervisorDeps) -> Self {
        let specs = containers(&deps.config, &deps.identity);
        let status = SupervisorStatus {
            reason: Some("the containers have not been looked at yet".to_owned()),
            ..SupervisorStatus::default()
        };
        Self {
            status: Mutex::new((deps.clock.monotonic(), status)),
            deps,
            specs,
            orders: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// What is known, and how long ago that was.
    pub(super) fn status(&self) -> (Duration, SupervisorStatus) {
        let (at, status) = &*lock(&self.status);
        let age = self.deps.clock.monotonic().saturating_sub(*at);
        (age, status.clone())
    }

    /// Restarts a part, and gives it a new beginning when it was left alone.
    pub(super) fn order_restart(&self, part: Part) {
        lock(&self.orders).restarts.push(part);
        self.wake.notify_one();
    }

    /// Looks at once.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Makes changes now that wait for the publishers to go.
    pub(super) fn order_changes(&self) {
        lock(&self.orders).is_forced = true;
        self.wake.notify_one();
    }

    /// Whether nobody publishes. Unknown counts as somebody.
    pub(super) async fn is_idle(&self) -> bool {
        let asked = tokio::time::timeout(STATS_PATIENCE, self.deps.inner.stats()).await;
        matches!(asked, Ok(Ok(streams)) if streams.iter().all(|stream| stream.publisher.is_none()))
    }

    /// Runs for ever.
    pub(super) async fn run(&self) {
        for spec in self.specs.iter().filter(|spec| is_floating(&spec.image)) {
            tracing::warn!(
                image = spec.image,
                "the image is not pinned: what it names may change"
            );
        }
        let mut watch = Watch::new(&self.deps.config);
        let (tell, mut news) = mpsc::channel(64);
        let mut has_events = false;
        loop {
            self.tick(&mut watch, &tell).await;
            if !has_events && let Some(client) = &watch.client {
                let (client, tell) = (client.clone(), tell.clone());
                watch.tasks.spawn(listen(client, tell));
                has_events = true;
            }
            let period = tokio::time::sleep(PERIOD);
            tokio::pin!(period);
            loop {
                tokio::select! {
                    () = &mut period => break,
                    () = self.wake.notified() => break,
                    Some(_) = watch.tasks.join_next() => {}
                    Some(told) = news.recv() => {
                        has_events &= !matches!(told, News::EventsEnded);
                        if self.note_news(&mut watch, told) {
                            period.as_mut().reset(tokio::time::Instant::now() + GATHER);
                        }
                    }
                }
            }
        }
    }

    /// Answers whether it is time for a look.
    fn note_news(&self, watch: &mut Watch, news: News) -> bool {
        match news {
            News::Changed => return true,
            News::EventsEnded => {}
            News::PullStep(image, step) => {
                if let Some(pull) = watch.pulls.get_mut(&image) {
                    pull.step = step;
                }
                lock(&self.status).1.pulls = pulls_of(watch);
            }
            News::PullEnded(image, result) => {
                match &result {
                    Ok(()) => tracing::info!(image, "an image was pulled"),
                    Err(error) => tracing::warn!(image, error = %error, "an image was not pulled"),
                }
                if let Some(pull) = watch.pulls.get_mut(&image) {
                    pull.is_running = false;
                    pull.problem = result.err();
                }
                return true;
            }
        }
        false
    }

    async fn tick(&self, watch: &mut Watch, tell: &mpsc::Sender<News>) {
        let looked = self.reconcile(watch, tell).await;
        if let Err(error) = &looked {
            if error.is_connection() {
                watch.client = None;
            }
            tracing::debug!(error = %error, "the container engine could not be asked");
        }
        let now = self.deps.clock.monotonic();
        self.tend_callers(watch, looked.as_ref().ok(), now).await;
        let silent = self.probe(watch, looked.as_ref().ok(), now).await;
        let status = self.describe(watch, &looked, &silent);
        let mut known = lock(&self.status);
        if known.1.is_ready != status.is_ready {
            let reason = status.reason.as_deref().unwrap_or_default();
            tracing::info!(is_ready = status.is_ready, reason, "the relay's containers");
        }
        *known = (self.deps.clock.monotonic(), status);
    }

    async fn reconcile(
        &self,
        watch: &mut Watch,
        tell: &mpsc::Sender<News>,
    ) -> Result<Actual, DockerError> {
        let client = match watch.client.clone() {
            Some(client) => client,
            None => self.connect(watch).await?,
        };
        let actual = self.look(&client, watch).await?;
        self.note_containers(&client, watch, &actual).await;
        let actions = self.decide(watch, &actual).await;
        if actions.is_empty() {
            self.note_usage(&client, watch, &actual).await;
            return Ok(actual);
        }
        for action in &actions {
            self.perform(&client, watch, &actual, action, tell).await?;
        }
        self.look(&client, watch).await
    }

    async fn connect(&self, watch: &mut Watch) -> Result<DockerClient, DockerError> {
        let socket = &self.deps.config.socket;
        let client = DockerClient::connect(socket, &self.deps.identity.instance).await?;
        tracing::info!(
            version = client.version,
            "connected to the container engine"
        );
        watch.client = Some(client.clone());
        watch.was_connected = true;
        Ok(client)
    }

    async fn look(&self, client: &DockerClient, watch: &mut Watch) -> Result<Actual, DockerError> {
        let mut actual = Actual {
            network: client.network(&network_name(&self.deps.identity)).await?,
            containers: client.containers().await?,
            images: Vec::new(),
        };
        for spec in &self.specs {
            let Some(image) = client.image(&spec.image).await? else {
                continue;
            };
            let seen = watch.part(spec.part);
            if image.architecture.is_empty() || image.architecture == machine() {
                if matches!(seen.problem, Some(DockerError::Architecture { .. })) {
                    seen.problem = None;
                }
                actual.images.push(spec.image.clone());
            } else {
                seen.problem = Some(DockerError::Architecture {
                    image: spec.image.clone(),
                    found: image.architecture,
                    wanted: machine().to_owned(),
                });
            }
        }
        Ok(actual)
    }

    /// Counts crashes; the last lines of a container that is left alone from now on are kept.
    async fn note_containers(&self, client: &DockerClient, watch: &mut Watch, actual: &Actual) {
        let now = self.deps.clock.monotonic();
        for spec in &self.specs {
            let Some(found) = of_part(actual, spec.part) else {
                watch.part(spec.part).forget_container();
                continue;
            };
            if watch.part(spec.part).began_anew(found) && spec.part.has_sls() {
                self.deps.inner.note_restarted();
            }
            let has_moved = watch.part(spec.part).has_moved(found);
            if has_moved && spec.part == Part::Sls {
                // The receiver holds on to the address that SLS had.
                lock(&self.orders).mends.push(Part::Srtla);
            }
            let trips =
                watch
                    .part(spec.part)
                    .note(found, now, uptime(found, self.deps.clock.now()));
            if trips {
                let lines = client.logs(&found.id, LAST_LINES).await;
                watch.part(spec.part).last_lines = lines.unwrap_or_default();
                let exit_code = found.exit_code;
                tracing::error!(
                    part = spec.part.as_str(),
                    exit_code,
                    "a container keeps crashing and is left alone"
                );
            }
        }
    }

    async fn decide(&self, watch: &mut Watch, actual: &Actual) -> Vec<Action> {
        let now = self.deps.clock.monotonic();
        let orders = std::mem::take(&mut *lock(&self.orders));
        for part in &orders.restarts {
            let seen = watch.part(*part);
            seen.breaker.reset();
            seen.last_lines.clear();
        }
        let restarts = [orders.restarts, orders.mends].concat();
        let runs_sls = actual.containers.iter().any(|found| {
            found.part.is_some_and(Part::has_sls) && found.activity == Activity::Running
        });
        let pulls = self.unwanted_pulls(watch, now);
        let mut breakers = watch
            .parts
            .iter()
            .map(|(part, seen)| (*part, seen.breaker.clone()))
            .collect();
        let mut around = Circumstances {
            now,
            is_idle: !runs_sls || self.is_idle().await,
            is_forced: orders.is_forced,
            restarts: &restarts,
            pulls: &pulls,
            breakers: &mut breakers,
        };
        let actions = plan(&self.specs, actual, &mut around);
        for (part, breaker) in breakers {
            watch.part(part).breaker = breaker;
        }
        for (part, seen) in &mut watch.parts {
            seen.waits_for_idle = actions.contains(&Action::AwaitIdle(*part));
        }
        actions
    }

    /// Images that are pulled already, may not be tried again yet, or would not run here.
    fn unwanted_pulls(&self, watch: &mut Watch, now: Duration) -> Vec<String> {
        let mut pulls = watch.busy_pulls(now);
        for spec in &self.specs {
            let problem = &watch.part(spec.part).problem;
            if matches!(problem, Some(DockerError::Architecture { .. })) {
                pulls.push(spec.image.clone());
            }
        }
        pulls
    }

    async fn note_usage(&self, client: &DockerClient, watch: &mut Watch, actual: &Actual) {
        for spec in &self.specs {
            let found = of_part(actual, spec.part);
            let running = found.filter(|found| found.activity == Activity::Running);
            let usage = match running {
                Some(found) => client.usage(&found.id).await.ok(),
                None => None,
            };
            watch
                .part(spec.part)
                .note_usage(self.deps.clock.monotonic(), usage);
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics with it")
}

async fn listen(client: DockerClient, tell: mpsc::Sender<News>) {
    let mut events = Box::pin(client.events());
    while let Some(Ok(())) = events.next().await {
        if tell.send(News::Changed).await.is_err() {
            return;
        }
    }
    // The loop is gone when nobody hears it.
    drop(tell.send(News::EventsEnded).await);
}

pub(super) fn of_part(actual: &Actual, part: Part) -> Option<&Found> {
    actual.containers.iter().find(|it| it.part == Some(part))
}

fn uptime(found: &Found, now: UnixMillis) -> Duration {
    let started = found.started_at.map(jiff::Timestamp::as_millisecond);
    let millis = started.and_then(|started| now.0.checked_sub(started));
    let millis = millis.and_then(|millis| u64::try_from(millis).ok());
    Duration::from_millis(millis.unwrap_or_default())
}

/// This machine's architecture in the words of images.
fn machine() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
#[path = "supervisor_tests.rs"]
mod tests;
