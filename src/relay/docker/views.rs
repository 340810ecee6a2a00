//! What the page of the relay shows.
//!
//! Invariant: lines of a container's output come cleaned of keys.

use askama::Template;

use super::status::{ContainerStatus, Problem, SupervisorStatus};
use super::supervision::Overview;
use super::template::Part;
use crate::http::moment::Moment;
use crate::http::page::{Shell, sentence};
use crate::kernel::UnixMillis;

/// `GET /relay`
#[derive(Debug, Template)]
#[template(path = "pages/relay/relay.html")]
pub struct RelayPage {
    /// What is around the content.
    pub shell: Shell,
    /// The engine's name.
    pub engine: &'static str,
    /// Why it was chosen.
    pub why: String,
    /// Whether every port answered.
    pub is_ready: bool,
    /// What keeps it from being ready.
    pub reason: Option<String>,
    /// What stands in the way of the container engine itself.
    pub problem: Option<Problem>,
    /// Of the containers as a whole.
    pub status: Option<SupervisorStatus>,
    /// Whether the reason above has the problem's words already.
    pub is_problem_told: bool,
    /// Each container.
    pub containers: Vec<ContainerCard>,
    /// Containers that nobody looks after since the relay runs elsewhere.
    pub left: Vec<String>,
    /// Whether a change waits for nobody to be live.
    pub has_waiting: bool,
}

/// One container.
#[derive(Debug)]
pub struct ContainerCard {
    /// What is known.
    pub status: ContainerStatus,
    /// What stands in its way.
    pub problem: Option<Problem>,
    /// What it is called.
    pub title: &'static str,
    /// Its state in words.
    pub state: &'static str,
    /// The style of the state's badge.
    pub badge: &'static str,
    /// Its memory, such as `12 MiB`.
    pub memory: String,
    /// Its use of the processor, such as `3.5 %`.
    pub cpu: String,
    /// When it was started.
    pub started: Option<Moment>,
    /// Its last lines in one text.
    pub lines: String,
}

impl RelayPage {
    /// The page of what is known.
    #[must_use]
    pub fn new(
        shell: Shell,
        overview: Overview,
        left: Vec<String>,
        logs: &[(Part, Vec<String>)],
    ) -> Self {
        let status = overview.containers;
        let each = status.iter().flat_map(|status| &status.containers);
        let containers: Vec<_> = each.map(|it| card(it.clone(), logs)).collect();
        Self {
            shell,
            engine: overview.engine,
            why: overview.why,
            is_ready: status.as_ref().is_some_and(|it| it.is_ready),
            reason: status
                .as_ref()
                .and_then(|it| it.reason.as_deref().map(sentence)),
            problem: status
                .as_ref()
                .and_then(|it| it.problem.as_ref())
                .map(shown),
            left,
            is_problem_told: status.as_ref().is_some_and(tells_its_problem),
            has_waiting: containers.iter().any(|it| it.status.waits_for_idle),
            status,
            containers,
        }
    }
}

fn tells_its_problem(status: &SupervisorStatus) -> bool {
    let told = status.reason.as_deref().unwrap_or_default();
    let problem = status.problem.as_ref();
    problem.is_some_and(|problem| told.contains(&problem.reason))
}

fn card(status: ContainerStatus, logs: &[(Part, Vec<String>)]) -> ContainerCard {
    let (state, badge) = match status.state {
        "running" => ("running", "success"),
        "restarting" => ("restarting after a crash", "reconnecting"),
        "created" => ("made, not started", "waiting"),
        "missing" => ("not made yet", "waiting"),
        "unknown" => ("not known", "waiting"),
        "crash_loop" => ("keeps crashing, left alone", "problem"),
        _ => ("ended", "offline"),
    };
    let part = Part::parse(status.part);
    let fresh = logs.iter().find(|(of, _)| Some(*of) == part);
    let lines = fresh.map_or(&status.last_lines, |(_, lines)| lines);
    ContainerCard {
        problem: status.problem.as_ref().map(shown),
        title: match part {
            Some(Part::Sls) => "SLS",
            Some(Part::Srtla) => "SRTLA receiver",
            Some(Part::Receiver) | None => "SLS and SRTLA receiver",
        },
        state,
        badge,
        memory: status.memory_bytes.map_or_else(
            || "unknown".to_owned(),
            |bytes| format!("{} MiB", bytes.div_ceil(1 << 20)),
        ),
        cpu: status
            .cpu_percent
            .map_or_else(|| "unknown".to_owned(), |percent| format!("{percent} %")),
        started: status.started_at.as_deref().and_then(moment),
        lines: lines.join("\n"),
        status,
    }
}

fn shown(problem: &Problem) -> Problem {
    Problem {
        reason: sentence(&problem.reason),
        remedy: problem.remedy.clone(),
    }
}

/// The engine tells times to the nanosecond, in RFC 3339.
fn moment(text: &str) -> Option<Moment> {
    let at: jiff::Timestamp = text.parse().ok()?;
    Some(UnixMillis(at.as_millisecond()).into())
}

#[cfg(test)]
#[path = "views_tests.rs"]
mod tests;
