//! The real server as a process: started, killed, asked to stop, started again.
//!
//! Invariant: a server ends with its [`Server`], by its own process id. A test that did not say
//! that it expects errors fails when the server logged one; nothing is sampled or overlooked.

use std::fmt::Display;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tempfile::TempDir;

use super::glb;

const START_TIME_LIMIT: Duration = Duration::from_secs(30);
/// What is promised for an orderly end.
const STOP_TIME_LIMIT: Duration = Duration::from_secs(10);

/// Where a server listens, as it printed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) struct Addresses {
    pub(crate) http: SocketAddr,
    pub(crate) stats: SocketAddr,
    pub(crate) srtla: SocketAddr,
    pub(crate) srt_publish: SocketAddr,
    pub(crate) srt_play: SocketAddr,
}

/// What a command made.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Account {
    pub(crate) user_id: String,
    pub(crate) password: String,
    #[serde(skip)]
    pub(crate) email: String,
}

/// How to start one; change it at will.
#[derive(Debug, Clone)]
pub(crate) struct ServerConfig {
    binary: PathBuf,
    data_dir: PathBuf,
    variables: Vec<(String, String)>,
}

impl ServerConfig {
    /// A server on `data_dir` with free ports.
    pub(crate) fn on(data_dir: &Path) -> Self {
        Self {
            binary: PathBuf::from(glb::PATH),
            data_dir: data_dir.to_owned(),
            variables: Vec::new(),
        }
    }

    /// Starts another build of the server, to compare.
    pub(crate) fn binary(mut self, path: &Path) -> Self {
        path.clone_into(&mut self.binary);
        self
    }

    /// Sets a variable of the environment.
    pub(crate) fn with(mut self, name: &str, value: impl Display) -> Self {
        self.variables.push((name.to_owned(), value.to_string()));
        self
    }

    /// Listens where another server did.
    pub(crate) fn at(self, addresses: &Addresses) -> Self {
        self.with("GLB_LISTEN", addresses.http)
            .with("GLB_RELAY_STATS_LISTEN", addresses.stats)
            .with("GLB_RELAY_EMBEDDED_SRTLA_LISTEN", addresses.srtla)
            .with("GLB_RELAY_EMBEDDED_PUBLISH_LISTEN", addresses.srt_publish)
            .with("GLB_RELAY_EMBEDDED_PLAY_LISTEN", addresses.srt_play)
    }

    /// The command line that starts it.
    pub(crate) fn command(&self) -> Command {
        let mut command = glb::command_of(&self.binary, &self.data_dir);
        command.arg("serve");
        for (name, value) in &self.variables {
            command.env(name, value);
        }
        command
    }
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    config: ServerConfig,
    addresses: Addresses,
    process: Process,
    /// Deleted last, unless it is somebody else's.
    folder: Option<Arc<TempDir>>,
    expects_errors: bool,
}

impl Server {
    /// Starts one on a new data folder, which goes when the server does.
    pub(crate) fn start() -> Self {
        Self::start_with(|config| config)
    }

    /// The same with changes to its configuration.
    pub(crate) fn start_with(change: impl FnOnce(ServerConfig) -> ServerConfig) -> Self {
        let folder = Arc::new(tempfile::tempdir().expect("there is room for a folder"));
        let config = change(ServerConfig::on(&folder.path().join("data")));
        let mut server = Self::start_from(&config);
        server.folder = Some(folder);
        server
    }

    /// Starts one on a data folder of the test's.
    ///
    /// # Panics
    /// When it does not say where it listens, with what it said instead.
    pub(crate) fn start_from(config: &ServerConfig) -> Self {
        let (process, line) = Process::start(config.command());
        let addresses = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{error} in the first line of stdout: {line}"));
        Self {
            config: config.clone(),
            addresses,
            process,
            folder: None,
            expects_errors: false,
        }
    }

    /// Starts another on the same data folder and the same ports, after this one's end.
    pub(crate) fn restart(self) -> Self {
        let (folder, expects_errors) = (self.folder.clone(), self.expects_errors);
        let config = self.config.clone().at(&self.addresses);
        drop(self);
        let mut server = Self::start_from(&config);
        server.folder = folder;
        server.expects_errors = expects_errors;
        server
    }

    /// Where it listens.
    pub(crate) fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Its data folder.
    pub(crate) fn data_dir(&self) -> &Path {
        &self.config.data_dir
    }

    /// Its process id.
    pub(crate) fn process_id(&self) -> u32 {
        self.process.child.id()
    }

    /// All that it wrote to stderr.
    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    /// Says that the test makes the server log errors on purpose.
    pub(crate) fn expect_errors(&mut self) {
        self.expects_errors = true;
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill_hard(&mut self) {
        self.process.signal(Signal::KILL);
        let ended = self.process.wait(STOP_TIME_LIMIT);
        assert!(ended.is_some(), "a killed process ends");
    }

    /// Asks it to stop and expects that it does so in order and in time.
    ///
    /// # Panics
    /// When it does not exit with 0 within 10 s.
    pub(crate) fn terminate(&mut self) {
        self.process.signal(Signal::TERM);
        let status = self.process.wait(STOP_TIME_LIMIT);
        assert_eq!(
            status.and_then(|status| status.code()),
            Some(0),
            "SIGTERM ends it in order: {status:?}"
        );
    }

    /// Sends a signal.
    pub(crate) fn signal(&mut self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self, timeout: Duration) -> Option<ExitStatus> {
        self.process.wait(timeout)
    }

    /// Makes a user from the command line, through the running server; the first one claims it.
    pub(crate) fn admin_create(&self, email: &str, role: &str) -> Account {
        let arguments = ["admin", "create", "--random-password", "--email", email];
        let arguments = [&arguments[..], &["--role", role]].concat();
        let line = glb::run(self.data_dir(), &arguments).json_line();
        let account = serde_json::from_value(line).expect("it has user_id and password");
        Account {
            email: email.to_owned(),
            ..account
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.end();
        if std::thread::panicking() || self.expects_errors {
            return;
        }
        let log = self.log();
        let errors: Vec<_> = log.lines().filter(|line| is_error(line)).collect();
        assert!(errors.is_empty(), "the server logged errors: {errors:#?}");
    }
}

/// True for a line of the log that somebody must look at.
fn is_error(line: &str) -> bool {
    line.split_whitespace().nth(1) == Some("ERROR") || line.contains("panicked at")
}

/// The process and what it writes.
#[derive(Debug)]
struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts it and waits for its first line on stdout.
    fn start(mut command: Command) -> (Self, String) {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        let log = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&log);
        let (lines, received) = mpsc::channel();
        let readers = vec![
            std::thread::spawn(move || {
                for line in stdout.lines().map_while(Result::ok) {
                    // After the first line nobody waits any more.
                    drop(lines.send(line));
                }
            }),
            std::thread::spawn(move || {
                let mut line = Vec::new();
                while let Ok(1..) = stderr.read_until(b'\n', &mut line) {
                    let text = String::from_utf8_lossy(&line).into_owned();
                    kept.lock().expect("nobody panics with it").push_str(&text);
                    line.clear();
                }
            }),
        ];
        let mut process = Self {
            child,
            log,
            readers,
        };
        let Ok(line) = received.recv_timeout(START_TIME_LIMIT) else {
            process.end();
            panic!(
                "the server did not say where it listens:\n{}",
                process.log()
            );
        };
        (process, line)
    }

    fn log(&self) -> String {
        self.log.lock().expect("nobody panics with it").clone()
    }

    fn signal(&mut self, signal: Signal) {
        let is_running = self
            .child
            .try_wait()
            .expect("it is our own child")
            .is_none();
        assert!(is_running, "the server has ended before {signal:?}");
        kill_process(Pid::from_child(&self.child), signal).expect("it is our own child");
    }

    fn wait(&mut self, timeout: Duration) -> Option<ExitStatus> {
        glb::wait(&mut self.child, timeout)
    }

    /// Kills what still runs and reads its output to the end.
    fn end(&mut self) {
        // Neither fails for a child that was waited for.
        self.child.kill().expect("it is our own child");
        self.child.wait().expect("it is our own child");
        for reader in self.readers.drain(..) {
            reader.join().expect("a reader does not panic");
        }
        if std::thread::panicking() {
            eprintln!("--- log of the server:\n{}", self.log());
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.readers.is_empty() {
            self.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_build_is_started_by_its_path() {
        let config = ServerConfig::on(Path::new("/nowhere/data")).binary(Path::new("/nowhere/glb"));
        let command = config.command();
        assert_eq!(command.get_program(), "/nowhere/glb");
        assert!(command.get_args().eq(["serve"]));
    }
}
