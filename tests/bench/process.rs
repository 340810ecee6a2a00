//! What the kernel counted for a process.
//!
//! Source: `man 5 proc`: `schedstat` (time on the CPU in ns) of every thread, `status` (VmRSS).

use std::fs;
use std::time::Duration;

/// Time on the CPU, user and system, of all threads that run now.
pub(crate) fn cpu_time(process_id: u32) -> Duration {
    threads(process_id)
        .into_iter()
        .map(|folder| thread_time(&folder))
        .sum()
}

/// The same of the threads whose name begins with `name`.
pub(crate) fn cpu_time_of(process_id: u32, name: &str) -> Duration {
    threads(process_id)
        .into_iter()
        .filter(|folder| {
            let comm = fs::read_to_string(format!("{folder}/comm")).unwrap_or_default();
            comm.starts_with(name)
        })
        .map(|folder| thread_time(&folder))
        .sum()
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
