//! The supervisor's knowledge as the page and the API show it.

use std::time::Duration;

use super::breaker::Verdict;
use super::client::Activity;
use super::config::Layout;
use super::error::DockerError;
use super::plan::Actual;
use super::status::{ContainerStatus, Problem, PullStatus, SupervisorStatus, is_floating};
use super::supervisor::{Supervisor, of_part};
use super::template::ContainerSpec;
use super::watch::Watch;

impl Supervisor {
    pub(super) fn describe(
        &self,
        watch: &mut Watch,
        looked: &Result<Actual, DockerError>,
        silent: &[String],
    ) -> SupervisorStatus {
        let now = self.deps.clock.monotonic();
        let actual = looked.as_ref().ok();
        let each = self.specs.iter();
        let containers: Vec<_> = each
            .map(|spec| describe_container(spec, actual, watch, now))
            .collect();
        let problem = looked.as_ref().err().map(Problem::from);
        let problem = problem
            .or_else(|| unset_images(&self.deps.config.layout))
            .or_else(|| watch.hook_problem.as_ref().map(Problem::from))
            .or_else(|| pull_problem(watch));
        let mut reasons = Vec::new();
        reasons.extend(unset_images(&self.deps.config.layout).map(|it| it.reason));
        // Containers outlive the engine's service under `live-restore`: then their ports decide.
        let is_blind = looked.is_err() && !watch.was_connected;
        if is_blind || (looked.is_err() && !silent.is_empty()) {
            reasons.extend(problem.as_ref().map(|it| it.reason.clone()));
        }
        if looked.is_ok() {
            reasons.extend(containers.iter().filter_map(why_not));
        }
        reasons.extend(watch.hook_problem.iter().map(ToString::to_string));
        reasons.extend_from_slice(silent);
        let pulls = pulls_of(watch);
        let floating = self.specs.iter().filter(|spec| is_floating(&spec.image));
        SupervisorStatus {
            is_ready: reasons.is_empty(),
            reason: (!reasons.is_empty()).then(|| reasons.join("; ")),
            docker_version: watch.client.as_ref().map(|client| client.version.clone()),
            problem,
            containers,
            pulls,
            warnings: floating
                .map(|spec| format!("{} is not pinned: what it names may change", spec.image))
                .chain(self.lingering_warning())
                .collect(),
        }
    }
}

pub(super) fn pulls_of(watch: &Watch) -> Vec<PullStatus> {
    let running = watch.pulls.iter().filter(|(_, pull)| pull.is_running);
    running
        .map(|(image, pull)| PullStatus {
            image: image.clone(),
            step: pull.step.clone(),
        })
        .collect()
}

fn unset_images(layout: &Layout) -> Option<Problem> {
    match layout {
        Layout::Unset(keys) => Some(Problem {
            reason: "Docker has no images for the relay".to_owned(),
            remedy: format!("set {keys}"),
        }),
        Layout::Two { .. } | Layout::Combined { .. } => None,
    }
}

fn pull_problem(watch: &Watch) -> Option<Problem> {
    let failed = watch.pulls.values().find_map(|pull| pull.problem.as_ref());
    failed.map(Problem::from)
}

fn describe_container(
    spec: &ContainerSpec,
    actual: Option<&Actual>,
    watch: &mut Watch,
    now: Duration,
) -> ContainerStatus {
    let found = actual.and_then(|actual| of_part(actual, spec.part));
    let seen = watch.part(spec.part);
    let is_tripped = seen.breaker.verdict(now) == Verdict::Tripped;
    let state = match found.map(|found| found.activity) {
        _ if is_tripped => "crash_loop",
        None if actual.is_none() => "unknown",
        None => "missing",
        Some(Activity::Created) => "created",
        Some(Activity::Running) => "running",
        Some(Activity::Restarting) => "restarting",
        Some(Activity::Ended) => "ended",
    };
    ContainerStatus {
        part: spec.part.as_str(),
        name: spec.name.clone(),
        image: spec.image.clone(),
        image_id: found.map_or_else(String::new, |found| found.image_id.clone()),
        id: found.map_or_else(String::new, |found| found.id.clone()),
        state,
        problem: seen
            .problem
            .as_ref()
            .or(seen.silence.as_ref())
            .map(Problem::from)
            .or_else(|| is_tripped.then(left_alone)),
        crashes: seen.crashes,
        exit_code: found.map_or(0, |found| found.exit_code),
        cpu_percent: seen.cpu_percent,
        memory_bytes: seen.memory_bytes,
        // One that was never started has the year 1.
        started_at: found
            .and_then(|found| found.started_at)
            .filter(|at| at.as_second() > 0)
            .map(|at| at.to_string()),
        waits_for_idle: seen.waits_for_idle,
        last_lines: seen.last_lines.clone(),
    }
}

fn left_alone() -> Problem {
    Problem {
        reason: "it keeps crashing, so it is not started any more".to_owned(),
        remedy: "read its last lines, mend what they tell of, and restart it".to_owned(),
    }
}

/// Why a container keeps the relay from being ready.
fn why_not(container: &ContainerStatus) -> Option<String> {
    if container.state == "running" && container.problem.is_none() {
        return None;
    }
    let name = container.part;
    let why = container.problem.as_ref().map(|it| it.reason.as_str());
    Some(match (container.state, why) {
        ("crash_loop", _) => format!("the container {name} keeps crashing and is left alone"),
        ("running", Some(_)) => return None,
        (state, Some(why)) => format!("the container {name} is {state}: {why}"),
        (state, None) => format!("the container {name} is {state}"),
    })
}
