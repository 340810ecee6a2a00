//! External programs under a test's control.
//!
//! Invariant: a program ends with its [`Program`], by its own process id. A missing program
//! fails the test; nothing is skipped.

use std::io::{ErrorKind, Read};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::eventually::rest_until;

/// How much of a program's standard error is kept: its end.
const STDERR_LIMIT_BYTES: usize = 64 * 1_024;

/// A command for `name` without input and with its output thrown away; change it at will.
///
/// # Panics
/// When the program is not installed, naming the package to install.
pub(crate) fn command(name: &str) -> Command {
    require(name);
    let mut command = Command::new(name);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// Fails the test unless `name` can be started.
///
/// # Panics
/// When it cannot, naming the package to install.
#[track_caller]
pub(crate) fn require(name: &str) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_installed = std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    assert!(
        is_installed,
        "{name} is missing: apt-get install {}",
        package(name)
    );
}

/// The Debian package that holds a program.
fn package(name: &str) -> &str {
    match name {
        "srt-live-transmit" => "srt-tools",
        "ffprobe" => "ffmpeg",
        "obs" => "obs-studio",
        "docker" => "docker.io",
        "Xvfb" => "xvfb",
        other => other,
    }
}

/// A running program.
#[derive(Debug)]
pub(crate) struct Program {
    name: String,
    child: Child,
    stderr: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Program {
    /// Starts `command`, whose standard error is captured whatever it said.
    ///
    /// # Panics
    /// When it cannot be started.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = match command.stderr(Stdio::piped()).spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                panic!("{name} is missing: apt-get install {}", package(&name))
            }
            Err(error) => panic!("{name} did not start: {error}"),
        };
        let pipe = child.stderr.take().expect("standard error was piped above");
        let stderr = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&stderr);
        let reader = Some(std::thread::spawn(move || keep_end(pipe, &kept)));
        Self {
            name,
            child,
            stderr,
            reader,
        }
    }

    /// The pipe into the program, when the command asked for one; once.
    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.child
            .stdin
            .take()
            .expect("the command had stdin(Stdio::piped())")
    }

    /// The pipe out of the program, when the command asked for one; once.
    pub(crate) fn stdout(&mut self) -> ChildStdout {
        self.child
            .stdout
            .take()
            .expect("the command had stdout(Stdio::piped())")
    }

    /// The end of what it wrote to standard error so far.
    pub(crate) fn stderr(&self) -> String {
        let kept = self.stderr.lock().expect("the reader does not panic");
        String::from_utf8_lossy(&kept).into_owned()
    }

    /// Its process id.
    pub(crate) fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// True until it has ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.exit_status().is_none()
    }

    /// Waits for its end, at most `timeout`; `None` when it still runs.
    pub(crate) fn wait(&mut self, timeout: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + timeout;
        loop {
            let status = self.exit_status();
            if status.is_some() || Instant::now() >= deadline {
                return status;
            }
            rest_until(Instant::now() + Duration::from_millis(5));
        }
    }

    /// Sends it a signal, such as `Signal::TERM` or `Signal::STOP`; none when it has ended.
    pub(crate) fn signal(&mut self, signal: Signal) {
        if self.is_running() {
            kill_process(Pid::from_child(&self.child), signal).expect("it is our own child");
        }
    }

    fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is our own child")
    }

    fn end(&mut self) -> std::io::Result<()> {
        // A child that was waited for is left alone by both.
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let ended = self.end();
        if let Some(reader) = self.reader.take() {
            // A grandchild may hold the pipe open, so its end is not waited for.
            drop(reader);
        }
        if std::thread::panicking() {
            eprintln!("--- standard error of {}:\n{}", self.name, self.stderr());
        } else {
            ended.expect("our own child can be ended");
        }
    }
}

/// Resident memory of a process in KiB. Source: `man 5 proc`, `VmRSS` in `status`.
///
/// # Panics
/// When there is no such process.
pub(crate) fn resident_kib(process_id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process_id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .expect("the kernel tells VmRSS of every process")
}

fn keep_end(mut pipe: ChildStderr, kept: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 4_096];
    // Zero bytes are the end; an error of a pipe is one too.
    while let Ok(length @ 1..) = pipe.read(&mut buffer) {
        let mut kept = kept.lock().expect("readers of it do not panic");
        kept.extend_from_slice(&buffer[..length]);
        let excess = kept.len().saturating_sub(STDERR_LIMIT_BYTES);
        kept.drain(..excess);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::panic::catch_unwind;

    use super::*;
    use crate::harness::eventually::eventually_blocking;

    fn shell(script: &str) -> Command {
        let mut command = command("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn its_end_and_its_standard_error_are_seen() {
        let mut program = Program::spawn(shell("echo trouble >&2; exit 3"));
        let status = program
            .wait(Duration::from_secs(5))
            .expect("it ends at once");
        assert_eq!(status.code(), Some(3));
        eventually_blocking(Duration::from_secs(5), "the message", || {
            program.stderr() == "trouble\n"
        });
    }

    #[test]
    fn one_that_runs_is_still_running_after_the_wait() {
        let mut program = Program::spawn(shell("exec sleep 60"));
        assert_eq!(program.wait(Duration::from_millis(20)), None);
        let folder = format!("/proc/{}", program.process_id());
        assert!(std::path::Path::new(&folder).is_dir());
        program.signal(Signal::TERM);
        assert!(
            program
                .wait(Duration::from_secs(5))
                .is_some_and(|status| !status.success())
        );
    }

    #[test]
    fn dropping_it_kills_it() {
        let mut held = shell("exec cat");
        held.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut program = Program::spawn(held);
        let mut input = program.stdin();
        let mut output = program.stdout();
        input.write_all(b"x").unwrap();
        output.read_exact(&mut [0]).unwrap();
        drop(program);
        // Its end of the pipe is closed, although ours is still open.
        assert_eq!(output.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn a_missing_program_fails_with_the_package_to_install() {
        let failure = catch_unwind(|| require("no-such-program")).unwrap_err();
        let message = failure.downcast::<String>().unwrap();
        assert!(
            message.contains("apt-get install no-such-program"),
            "{message}"
        );
        assert_eq!(package("srt-live-transmit"), "srt-tools");
    }
}
