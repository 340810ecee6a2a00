//! The binary run to its end: commands, and starts that must fail.
//!
//! Invariant: no variable of the developer's own environment reaches it, and it is killed when
//! it does not end in time.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::eventually::rest_until;

const TIME_LIMIT: Duration = Duration::from_secs(30);

/// The binary under test.
pub(crate) const PATH: &str = env!("CARGO_BIN_EXE_glb");

/// Variables that put every listener on a free port of loopback.
pub(crate) const FREE_PORTS: [(&str, &str); 5] = [
    ("GLB_LISTEN", "127.0.0.1:0"),
    ("GLB_RELAY_STATS_LISTEN", "127.0.0.1:0"),
    ("GLB_RELAY_EMBEDDED_SRTLA_LISTEN", "127.0.0.1:0"),
    ("GLB_RELAY_EMBEDDED_PUBLISH_LISTEN", "127.0.0.1:0"),
    ("GLB_RELAY_EMBEDDED_PLAY_LISTEN", "127.0.0.1:0"),
];

/// A command of the binary on a data folder, with free ports and no `GLB_*` of ours.
pub(crate) fn command(data_dir: &Path) -> Command {
    command_of(Path::new(PATH), data_dir)
}

/// The same of any build of the binary.
pub(crate) fn command_of(binary: &Path, data_dir: &Path) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"GLB_") {
            command.env_remove(name);
        }
    }
    command
        .env("GLB_DATA_DIR", data_dir)
        .env("GLB_PUBLIC_HOST", "127.0.0.1")
        // Stand-ins for the world outside are on loopback.
        .env("GLB_OUTBOUND_ALLOW", "127.0.0.0/8")
        .envs(FREE_PORTS)
        .stdin(Stdio::null());
    // Tests ask faster than any plugin; another build may not know the key.
    if binary == Path::new(PATH) {
        command.env("GLB_LIMITS_ACTIVE_PER_MINUTE", "1000000");
    }
    command
}

/// What a run that has ended said.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// The one JSON line of a command that succeeded.
    ///
    /// # Panics
    /// When it failed or printed anything else.
    #[track_caller]
    pub(crate) fn json_line(&self) -> Value {
        assert!(self.status.success(), "{self:#?}");
        assert_eq!(self.stdout.lines().count(), 1, "{self:#?}");
        serde_json::from_str(&self.stdout).expect("stdout is one JSON line")
    }

    /// What a command that failed complained about.
    ///
    /// # Panics
    /// When it succeeded, printed to stdout, or panicked.
    #[track_caller]
    pub(crate) fn complaint(&self) -> &str {
        assert_eq!(self.status.code(), Some(1), "{self:#?}");
        assert_eq!(self.stdout, "", "{self:#?}");
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
        &self.stderr
    }
}

/// Runs a command of the binary on `data_dir` to its end.
pub(crate) fn run(data_dir: &Path, arguments: &[&str]) -> Finished {
    let mut command = command(data_dir);
    command.args(arguments);
    finish(command, "")
}

/// Runs any command line to its end, with `input` on stdin.
///
/// # Panics
/// When it does not end within 30 s.
pub(crate) fn finish(command: Command, input: &str) -> Finished {
    finish_within(command, input, TIME_LIMIT)
}

/// The same with more time than 30 s.
///
/// # Panics
/// When it does not end within `limit`.
pub(crate) fn finish_within(mut command: Command, input: &str, limit: Duration) -> Finished {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    let stdout = collect(child.stdout.take().expect("it is piped"));
    let stderr = collect(child.stderr.take().expect("it is piped"));
    let mut stdin = child.stdin.take().expect("it is piped");
    // A command that does not read its input may be gone already.
    drop(stdin.write_all(input.as_bytes()));
    drop(stdin);
    let status = wait(&mut child, limit);
    if status.is_none() {
        child.kill().expect("it is our own child");
        child.wait().expect("it is our own child");
    }
    let [stdout, stderr] =
        [stdout, stderr].map(|text| text.join().expect("the reader does not panic"));
    let Some(status) = status else {
        panic!("{command:?} did not end within {limit:?}:\n{stdout}{stderr}");
    };
    Finished {
        status,
        stdout,
        stderr,
    }
}

/// Waits for a child's end; `None` when it still runs after `timeout`.
pub(crate) fn wait(child: &mut Child, timeout: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + timeout;
    loop {
        let status = child.try_wait().expect("it is our own child");
        if status.is_some() || Instant::now() >= deadline {
            return status;
        }
        rest_until(Instant::now() + Duration::from_millis(5));
    }
}

fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
