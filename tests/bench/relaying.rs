//! What relays a stream: this server, another build of it, or srt-live-transmit for each stream.
//!
//! Invariant: all of them get the same streams from the same load at the same time, so that a loaded
//! machine is as bad for one as for the other.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::harness::client::Plugin;
use crate::harness::server::{Server, ServerConfig};
use crate::net::program::{self, Program};
use crate::net::srt_probe::{self, Call, Connection};
use crate::process::{self, CpuMeter};
use crate::scene;

/// On both sides, if no other is asked for.
pub(crate) const LATENCY: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(30);
/// What a streamer may have.
const SLOTS_PER_USER: usize = 4;
/// Names another build of the server, which is then measured beside this one.
const OTHER_BUILD: &str = "GLB_BENCH_OTHER_BUILD";

/// Where one stream goes in and comes out.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    /// For bonded publishers, where there is such a port.
    pub(crate) srtla: Option<SocketAddr>,
    publish: SocketAddr,
    publish_key: String,
    play: SocketAddr,
    play_key: String,
    latency: Duration,
}

impl Way {
    /// Calls as a publisher, each number from an address of its own.
    pub(crate) fn publisher(&self, number: usize) -> Connection {
        self.connect(self.publish, &self.publish_key, source(2, number))
    }

    /// The same through something that stands before the port.
    pub(crate) fn publisher_to(&self, address: SocketAddr) -> Connection {
        self.connect(address, &self.publish_key, Ipv4Addr::LOCALHOST)
    }

    /// Where publishers call.
    pub(crate) fn publish_address(&self) -> SocketAddr {
        self.publish
    }

    /// What publishers say.
    pub(crate) fn publish_key(&self) -> &str {
        &self.publish_key
    }

    /// Where players call.
    pub(crate) fn play_address(&self) -> SocketAddr {
        self.play
    }

    /// What players say.
    pub(crate) fn play_key(&self) -> &str {
        &self.play_key
    }

    /// Calls as a player, each number from an address of its own.
    pub(crate) fn player(&self, number: usize) -> Connection {
        self.connect(self.play, &self.play_key, source(1, number))
    }

    fn connect(&self, listener: SocketAddr, key: &str, source: Ipv4Addr) -> Connection {
        let call = Call {
            latency: self.latency,
            timeout: PATIENCE,
            source: source.into(),
            ..Call::new(listener, key)
        };
        srt_probe::call(&call).accepted()
    }
}

/// An address of loopback: connection attempts are limited for each.
fn source(network: u8, number: usize) -> Ipv4Addr {
    let number = u16::try_from(number + 1).expect("at most some hundreds");
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(127, network, high, low)
}

/// A relay with a way for each stream. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Relaying {
    /// For the table.
    pub(crate) name: &'static str,
    pub(crate) ways: Vec<Way>,
    processes: Processes,
}

#[derive(Debug)]
enum Processes {
    Server(Box<Server>),
    Programs(Vec<Program>),
}

impl Relaying {
    /// This server, and with it another build of it if one is named.
    pub(crate) fn servers(streams: usize) -> Vec<Self> {
        Self::servers_one_by_one(streams).collect()
    }

    /// The same, each started only when it is its turn.
    pub(crate) fn servers_one_by_one(streams: usize) -> impl Iterator<Item = Self> {
        let this = std::iter::once_with(move || Self::server("glb", streams, |config| config));
        let other = std::env::var_os(OTHER_BUILD).into_iter().map(move |path| {
            Self::server("other build", streams, |config| {
                config.binary(Path::new(&path))
            })
        });
        this.chain(other)
    }

    /// This server with one stream, plain, and another of it with one under this passphrase.
    pub(crate) fn plain_and_encrypted(passphrase: &str) -> [Self; 2] {
        let path = "/api/v1/user/stream-slots/1/passphrase";
        let encrypt = |plugin: &Plugin| {
            let request = plugin.authorised(Method::PUT, path);
            let body = json!({ "passphrase": passphrase });
            plugin.send(request.json(&body)).expect(200);
        };
        [
            Self::server("glb, plain", 1, |config| config),
            Self::prepared_server("glb, encrypted", 1, |config| config, encrypt),
        ]
    }

    fn server(
        name: &'static str,
        streams: usize,
        change: impl FnOnce(ServerConfig) -> ServerConfig,
    ) -> Self {
        Self::prepared_server(name, streams, change, |_| {})
    }

    fn prepared_server(
        name: &'static str,
        streams: usize,
        change: impl FnOnce(ServerConfig) -> ServerConfig,
        prepare: impl Fn(&Plugin),
    ) -> Self {
        let server = scene::server_with(change);
        let addresses = server.addresses();
        let ways = (0..streams).map(|stream| {
            // A plugin signs in for each four slots; the first slot of the next user is slot 1 again.
            (stream / SLOTS_PER_USER, stream % SLOTS_PER_USER + 1)
        });
        let mut plugins = Vec::new();
        let ways = ways.map(|(user, slot)| {
            if plugins.len() <= user {
                let plugin = scene::plugin(&server, &format!("streamer{user}"));
                prepare(&plugin);
                plugins.push(plugin);
            }
            let slot = u64::try_from(slot).expect("at most four");
            let session = plugins[user].session_on(slot, &format!("conn_{user}_{slot}"));
            Way {
                srtla: Some(addresses.srtla),
                publish: addresses.srt_publish,
                publish_key: session.publish_key,
                play: addresses.srt_play,
                play_key: session.play_key,
                latency: LATENCY,
            }
        });
        Self {
            name,
            ways: ways.collect(),
            processes: Processes::Server(Box::new(server)),
        }
    }

    /// Debian's srt-live-transmit between two listeners, a process for each stream: libsrt has no relay
    /// for many streams of its own, and this is its own program for one.
    pub(crate) fn libsrt(streams: usize) -> Self {
        let (mut ways, mut programs) = (Vec::new(), Vec::new());
        // Below those that the system gives to callers.
        let mut ports = (20_000..32_000).map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        for _ in 0..streams {
            let mut free = || ports.find(|address| UdpSocket::bind(address).is_ok());
            let mut port = || free().expect("few of so many ports are taken");
            let (publish, play) = (port(), port());
            let mut command = program::command("srt-live-transmit");
            let url = |address| {
                let ms = LATENCY.as_millis();
                format!("srt://{address}?mode=listener&latency={ms}")
            };
            command.args(["-q", "-chunk:1316", &url(publish), &url(play)]);
            programs.push(Program::spawn(command));
            ways.push(Way {
                srtla: None,
                publish,
                publish_key: "any".to_owned(),
                play,
                play_key: "any".to_owned(),
                latency: LATENCY,
            });
        }
        Self {
            name: "srt-live-transmit",
            ways,
            processes: Processes::Programs(programs),
        }
    }

    /// Its publishers and players ask for this latency; a server takes what they ask for.
    pub(crate) fn with_latency(mut self, latency: Duration) -> Self {
        for way in &mut self.ways {
            way.latency = latency;
        }
        self
    }

    /// Begins to count what it uses.
    pub(crate) fn meter(&self) -> RelayMeter {
        let whole = self.process_ids().into_iter().map(CpuMeter::of);
        let relay = match &self.processes {
            Processes::Server(server) => Some(CpuMeter::of_thread(server.process_id(), "relay")),
            Processes::Programs(_) => None,
        };
        RelayMeter {
            whole: whole.collect(),
            relay,
        }
    }

    /// Resident memory of all its processes, in MiB.
    pub(crate) fn resident_mib(&self) -> u64 {
        let resident = self.process_ids().into_iter().map(process::resident_kib);
        resident.sum::<u64>() / 1_024
    }

    fn process_ids(&self) -> Vec<u32> {
        match &self.processes {
            Processes::Server(server) => vec![server.process_id()],
            Processes::Programs(programs) => programs.iter().map(Program::process_id).collect(),
        }
    }
}

/// Counts the time on the CPU of a relay.
#[derive(Debug)]
pub(crate) struct RelayMeter {
    whole: Vec<CpuMeter>,
    relay: Option<CpuMeter>,
}

impl RelayMeter {
    /// Of all its processes.
    pub(crate) fn used(&self) -> Duration {
        self.whole.iter().map(CpuMeter::used).sum()
    }

    /// Of the thread that relays, where it is known.
    pub(crate) fn relay_used(&self) -> Option<Duration> {
        self.relay.as_ref().map(CpuMeter::used)
    }
}
