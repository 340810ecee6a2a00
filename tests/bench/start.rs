//! From exec to the first answer, and what an idle server holds.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::eventually::{eventually_blocking, rest_until};
use crate::harness::glb;
use crate::harness::server::{Server, ServerConfig};
use crate::process::{self, CpuMeter};
use crate::table::Table;

const STARTS: usize = 10;
/// What a server does after its start is over by then.
const SETTLED: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(30);

/// Measures both on a database that has an owner.
pub(crate) fn measure(table: &mut Table) {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let config = ServerConfig::on(&folder.path().join("data"));
    let mut server = Server::start_from(&config);
    server.admin_create("owner@example.org", "owner");
    let addresses = server.addresses();
    server.terminate();
    drop(server);

    let config = config.at(&addresses);
    let mut times: Vec<_> = (0..STARTS)
        .map(|_| time_of_start(&config, addresses.http))
        .collect();
    times.sort();
    let (fastest, median, slowest) = (times[0], times[STARTS / 2], times[STARTS - 1]);
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    table.row(
        "exec to first 200 on an existing database, median of 10",
        format!("{:.1} ms", ms(median)),
        &format!("< 50 ms ({:.1} to {:.1})", ms(fastest), ms(slowest)),
    );

    let server = Server::start_from(&config);
    rest_until(Instant::now() + SETTLED);
    let resident_mb =
        f64::from(u32::try_from(process::resident_kib(server.process_id())).unwrap_or(u32::MAX))
            / 1024.0;
    table.row(
        "resident memory, idle, 5 s after the start",
        format!("{resident_mb:.1} MiB"),
        "< 30 MB",
    );
}

/// One start, ended in order.
fn time_of_start(config: &ServerConfig, http: SocketAddr) -> Duration {
    let mut command = config.command();
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let begun = Instant::now();
    let mut child = command.spawn().expect("the binary starts");
    while !answers(http) {
        assert!(begun.elapsed() < PATIENCE, "it answers");
    }
    let time = begun.elapsed();
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it is our own child");
    let status = glb::wait(&mut child, PATIENCE).expect("it ends");
    assert!(status.success(), "it ends in order");
    time
}

fn answers(http: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(http) else {
        rest_until(Instant::now() + Duration::from_micros(200));
        return false;
    };
    let request = "GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n";
    stream
        .write_all(request.as_bytes())
        .expect("a new connection takes a request");
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => answer.starts_with(b"HTTP/1.1 200"),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
        Err(error) => unreachable!("reading from loopback fails only by a reset: {error}"),
    }
}

/// Waits until a server has nothing more to do with what was before.
pub(crate) fn settle(server: &Server) {
    let process_id = server.process_id();
    eventually_blocking(PATIENCE, "the server is idle", || {
        let meter = CpuMeter::of(process_id);
        rest_until(Instant::now() + Duration::from_millis(500));
        meter.used() < Duration::from_millis(10)
    });
}
