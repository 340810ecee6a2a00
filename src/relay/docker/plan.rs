//! What is to be done, from what should be and what is. Decides, and does nothing.
//!
//! Invariant: a pure function; a container that is as it should be is never touched, one that carries a
//! publisher is replaced only when an operator insists.

use std::collections::BTreeMap;
use std::time::Duration;

use super::breaker::{Breaker, Verdict};
use super::client::{Activity, Found};
use super::template::{ContainerSpec, Part};

/// What was seen.
#[derive(Debug, Clone, Default)]
pub(super) struct Actual {
    /// The id of our network.
    pub(super) network: Option<String>,
    /// Our containers.
    pub(super) containers: Vec<Found>,
    /// The images that this machine has, of those that are wanted.
    pub(super) images: Vec<String>,
}

/// What else counts.
#[derive(Debug)]
pub(super) struct Circumstances<'a> {
    pub(super) now: Duration,
    /// Nobody publishes.
    pub(super) is_idle: bool,
    /// An operator wants changes now, whoever publishes.
    pub(super) is_forced: bool,
    /// Parts that an operator wants restarted.
    pub(super) restarts: &'a [Part],
    /// Images that are being pulled, and those that may not be tried again yet.
    pub(super) pulls: &'a [String],
    pub(super) breakers: &'a mut BTreeMap<Part, Breaker>,
}

/// A change, in the order in which they are to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Get an image, beside everything else.
    Pull(String),
    /// Make our network.
    CreateNetwork,
    /// Remove a container of ours that nobody wants, or that another takes the place of.
    Remove(String),
    /// Make a container and start it.
    Create(Part),
    /// Start one that has ended.
    Start(Part, String),
    /// Restart one that runs.
    Restart(Part, String),
    /// Stop one that crashes again and again.
    Stop(Part, String),
    /// A change waits for the publishers to go.
    AwaitIdle(Part),
}

/// The actions that lead from `actual` to `wanted`.
pub(super) fn plan(
    wanted: &[ContainerSpec],
    actual: &Actual,
    around: &mut Circumstances<'_>,
) -> Vec<Action> {
    let mut actions = strays(wanted, actual, around);
    let mut replaces_sls = false;
    for spec in wanted {
        let found = found(actual, spec.part);
        let next = match found {
            None => create(spec, actual, around),
            Some(found) if found.spec_hash != spec.hash => replace(spec, found, actual, around),
            Some(found) => keep(spec.part, found, actual, around),
        };
        // The receiver resolves SLS once at its start, and then holds on to an address that is gone.
        let follows = spec.part == Part::Srtla
            && replaces_sls
            && next.is_empty()
            && found.is_some_and(|found| found.activity == Activity::Running);
        replaces_sls |= spec.part.has_sls() && next.contains(&Action::Create(spec.part));
        actions.extend(next);
        if let (true, Some(found)) = (follows, found) {
            actions.push(Action::Restart(spec.part, found.id.clone()));
        }
    }
    if actual.network.is_none() && actions.iter().any(|it| matches!(it, Action::Create(_))) {
        actions.insert(0, Action::CreateNetwork);
    }
    actions
}

fn found(actual: &Actual, part: Part) -> Option<&Found> {
    actual.containers.iter().find(|it| it.part == Some(part))
}

/// Containers of another layout. They hold the ports of those that are wanted.
fn strays(wanted: &[ContainerSpec], actual: &Actual, around: &Circumstances<'_>) -> Vec<Action> {
    let is_wanted = |part: Option<Part>| wanted.iter().any(|spec| Some(spec.part) == part);
    let strays = actual.containers.iter().filter(|it| !is_wanted(it.part));
    strays
        .filter(|stray| may_end(stray, around))
        .map(|stray| Action::Remove(stray.id.clone()))
        .collect()
}

fn may_end(found: &Found, around: &Circumstances<'_>) -> bool {
    around.is_idle || around.is_forced || found.activity != Activity::Running
}

fn has_image(spec: &ContainerSpec, actual: &Actual) -> bool {
    actual.images.contains(&spec.image)
}

fn pull(spec: &ContainerSpec, around: &Circumstances<'_>) -> Vec<Action> {
    if around.pulls.contains(&spec.image) {
        return Vec::new();
    }
    vec![Action::Pull(spec.image.clone())]
}

fn create(spec: &ContainerSpec, actual: &Actual, around: &mut Circumstances<'_>) -> Vec<Action> {
    if !has_image(spec, actual) {
        return pull(spec, around);
    }
    match verdict(spec.part, around) {
        Verdict::Go => vec![Action::Create(spec.part)],
        Verdict::Wait(_) | Verdict::Tripped => Vec::new(),
    }
}

/// The old one goes on until the new image is here and nobody publishes.
fn replace(
    spec: &ContainerSpec,
    found: &Found,
    actual: &Actual,
    around: &mut Circumstances<'_>,
) -> Vec<Action> {
    if !has_image(spec, actual) {
        return pull(spec, around);
    }
    if !may_end(found, around) {
        return vec![Action::AwaitIdle(spec.part)];
    }
    vec![Action::Remove(found.id.clone()), Action::Create(spec.part)]
}

fn keep(part: Part, found: &Found, actual: &Actual, around: &mut Circumstances<'_>) -> Vec<Action> {
    let id = found.id.clone();
    let verdict = verdict(part, around);
    match found.activity {
        Activity::Created | Activity::Ended => match verdict {
            Verdict::Go => vec![Action::Start(part, id)],
            Verdict::Wait(_) | Verdict::Tripped => Vec::new(),
        },
        // The engine would start it for ever.
        Activity::Running | Activity::Restarting if verdict == Verdict::Tripped => {
            vec![Action::Stop(part, id)]
        }
        Activity::Running if around.restarts.contains(&part) => {
            vec![Action::Restart(part, id)]
        }
        Activity::Running if part == Part::Srtla && is_older_than_sls(found, actual) => {
            vec![Action::Restart(part, id)]
        }
        Activity::Running | Activity::Restarting => Vec::new(),
    }
}

fn is_older_than_sls(receiver: &Found, actual: &Actual) -> bool {
    let sls = found(actual, Part::Sls);
    let made = sls.and_then(|sls| sls.created_at);
    matches!((made, receiver.started_at), (Some(made), Some(started)) if started < made)
}

fn verdict(part: Part, around: &mut Circumstances<'_>) -> Verdict {
    let now = around.now;
    around
        .breakers
        .get_mut(&part)
        .map_or(Verdict::Go, |breaker| breaker.verdict(now))
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
