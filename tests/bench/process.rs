//! What the kernel counted for a process.
//!
//! Source: `man 5 proc`: `schedstat` (time on the CPU in ns) of every thread and
//! `VmRSS` in `status`.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

/// Counts time on the CPU, user and system, from its start on.
#[derive(Debug, Clone)]
pub(crate) struct CpuMeter {
    process_id: u32,
    thread: &'static str,
    before: HashMap<String, Duration>,
}

impl CpuMeter {
    /// Of a whole process.
    pub(crate) fn of(process_id: u32) -> Self {
        Self::of_thread(process_id, "")
    }

    /// Of its threads whose name begins with `thread`.
    pub(crate) fn of_thread(process_id: u32, thread: &'static str) -> Self {
        let mut meter = Self {
            process_id,
            thread,
            before: HashMap::new(),
        };
        meter.before = meter.times().collect();
        meter
    }

    /// What was used since. A thread that ended takes its time with it.
    pub(crate) fn used(&self) -> Duration {
        let since = |(folder, time): (String, Duration)| {
            let before = self.before.get(&folder).copied().unwrap_or_default();
            time.saturating_sub(before)
        };
        self.times().map(since).sum()
    }

    fn times(&self) -> impl Iterator<Item = (String, Duration)> {
        threads(self.process_id)
            .into_iter()
            .filter(|folder| {
                let name = fs::read_to_string(format!("{folder}/comm")).unwrap_or_default();
                name.starts_with(self.thread)
            })
            .map(|folder| {
                let time = thread_time(&folder);
                (folder, time)
            })
    }
}

fn threads(process_id: u32) -> Vec<String> {
    let folder = format!("/proc/{process_id}/task");
    let entries = fs::read_dir(&folder).expect("the server runs");
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .map(|thread| format!("{folder}/{thread}"))
        .collect()
}

/// Zero for a thread that has just ended.
fn thread_time(folder: &str) -> Duration {
    let text = fs::read_to_string(format!("{folder}/schedstat")).unwrap_or_default();
    let on_cpu_ns = text
        .split_whitespace()
        .next()
        .and_then(|word| word.parse().ok());
    Duration::from_nanos(on_cpu_ns.unwrap_or(0))
}

/// Resident memory in KiB.
pub(crate) fn resident_kib(process_id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process_id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .expect("the kernel tells VmRSS of every process")
}
