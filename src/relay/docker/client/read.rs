//! What the container engine's answers mean to us.
//!
//! Invariant: whatever an answer leaves out, something sensible stands in; no line leaves here with a key.

use std::time::Duration;

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum, ContainerStatsResponse, CreateImageInfo,
};
use jiff::Timestamp;

use super::super::template::{PART_LABEL, Part, SPEC_LABEL};
use super::{Activity, Found, Usage};

pub(super) fn parse_api(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

pub(super) fn read_container(found: ContainerInspectResponse) -> Found {
    let state = found.state.unwrap_or_default();
    let labels = found.config.and_then(|config| config.labels);
    let label = |name: &str| labels.as_ref()?.get(name).cloned();
    let networks = found.network_settings.and_then(|it| it.networks);
    let moment = |text: Option<String>| text?.parse::<Timestamp>().ok();
    Found {
        id: found.id.unwrap_or_default(),
        part: label(PART_LABEL).and_then(|name| Part::parse(&name)),
        spec_hash: label(SPEC_LABEL).unwrap_or_default(),
        image_id: found.image.unwrap_or_default(),
        activity: match state.status {
            Some(ContainerStateStatusEnum::CREATED) => Activity::Created,
            Some(ContainerStateStatusEnum::RESTARTING) => Activity::Restarting,
            Some(ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::PAUSED) => {
                Activity::Running
            }
            _ => Activity::Ended,
        },
        exit_code: state.exit_code.unwrap_or_default(),
        error: state.error.unwrap_or_default(),
        restarts: found
            .restart_count
            .and_then(|count| u64::try_from(count).ok())
            .unwrap_or_default(),
        created_at: moment(found.created),
        started_at: moment(state.started_at),
        ip: networks
            .into_iter()
            .flatten()
            .find_map(|(_, endpoint)| endpoint.ip_address)
            .unwrap_or_default(),
    }
}

pub(super) fn read_usage(answer: &ContainerStatsResponse) -> Usage {
    let cpu = answer.cpu_stats.as_ref();
    let nanos = cpu.and_then(|it| it.cpu_usage.as_ref()?.total_usage);
    let memory = answer.memory_stats.as_ref();
    let used = memory.and_then(|it| it.usage).unwrap_or_default();
    // The kernel gives the cache back when memory runs short. cgroup v1 and v2 name it differently.
    let cached = memory.and_then(|it| {
        let stats = it.stats.as_ref()?;
        stats
            .get("total_inactive_file")
            .or_else(|| stats.get("inactive_file"))
            .copied()
    });
    Usage {
        cpu: Duration::from_nanos(nanos.unwrap_or_default()),
        memory_bytes: used.saturating_sub(cached.unwrap_or_default()),
    }
}

pub(super) fn pull_step(step: &CreateImageInfo) -> String {
    let status = step.status.as_deref().unwrap_or_default();
    let progress = step.progress_detail.as_ref();
    let done = progress.and_then(|it| Some((it.current?, it.total.filter(|total| *total > 0)?)));
    match (step.id.as_deref(), done) {
        (Some(id), Some((current, total))) => {
            format!("{status} {id}: {} %", current.saturating_mul(100) / total)
        }
        (Some(id), None) => format!("{status} {id}"),
        (None, _) => status.to_owned(),
    }
}

/// A line without keys: SLS writes the stream ids of its callers, and long words may be keys of its API.
pub(super) fn redact(line: &str) -> String {
    const LONGEST_WORD: usize = 31;
    let is_inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let mut clean = String::with_capacity(line.len());
    let mut rest = line;
    while !rest.is_empty() {
        let word_bytes = rest.find(|c| !is_inside(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(word_bytes);
        let secret = ["live_", "play_", "stats_"]
            .iter()
            .find(|prefix| word.starts_with(*prefix) && word.len() > prefix.len());
        match secret {
            Some(prefix) => clean.extend([prefix, "***"]),
            None if word.len() > LONGEST_WORD => clean.push_str("***"),
            None => clean.push_str(word),
        }
        let other_bytes = after.find(is_inside).unwrap_or(after.len());
        let (other, next) = after.split_at(other_bytes);
        clean.extend(other.chars().filter(|c| !c.is_control()));
        rest = next;
    }
    clean
}
