//! What was measured, and on what, line by line as it is known.

use std::fmt::Display;
use std::fs;
use std::io::{Stdout, Write};

/// The table on stdout.
#[derive(Debug)]
pub(crate) struct Table {
    stdout: Stdout,
}

impl Table {
    /// Begins it with what the machine is.
    pub(crate) fn of_this_machine() -> Self {
        let cpu = line_of("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
        let memory = line_of("/proc/meminfo", "MemTotal").unwrap_or_else(|| "unknown".to_owned());
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let mut table = Self {
            stdout: std::io::stdout(),
        };
        table.say(&format!(
            "machine: {cpu}, {cores} cores, {memory}, Linux {}",
            kernel.trim()
        ));
        table.say(&format!("load at the start: {}", load.trim()));
        table.say(&format!("{:<66} {:>22}  {}", "figure", "measured", "goal"));
        table
    }

    /// Adds a figure.
    pub(crate) fn row(&mut self, figure: &str, measured: impl Display, goal: &str) {
        self.say(&format!(
            "{figure:<66} {:>22}  {goal}",
            measured.to_string()
        ));
    }

    fn say(&mut self, line: &str) {
        writeln!(self.stdout, "{line}").expect("somebody reads the table");
    }
}

/// The value behind a name in a file of `/proc`.
fn line_of(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
