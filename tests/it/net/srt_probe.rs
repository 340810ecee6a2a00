//! An SRT caller for tests: asks to be let in, and says what the answer was.
//!
//! Source: draft-sharabayko-srt-01, section 4.3.1 (caller and listener).
//!
//! Invariant: blocking, with a deadline in every wait; from async tests call it through
//! `spawn_blocking`. Version 5 handshakes; encryption is asked for and never done.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::srt_wire::{self, Control, ControlKind, Handshake, Packet};

/// The version a caller shows: 1.5.0.
const VERSION: u32 = 0x0001_0500;
/// Time stamps obeyed both ways, encryption known, late packets dropped, periodic loss
/// reports, copies marked. Source: section 3.2.1.1.1.
const FLAGS: u32 = 0x3F;
/// A caller's kind of socket in its induction: datagrams.
const KIND_DATAGRAM: u16 = 2;
/// Which extensions a conclusion brings: request, key material, and stream id.
const HAS_REQUEST: u16 = 1;
const HAS_KEY: u16 = 2;
const HAS_CONFIG: u16 = 4;
/// How often an unanswered question is repeated.
const REPEAT: Duration = Duration::from_millis(250);

/// Whom to call, and as what.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// The listener, or a proxy before it.
    pub(crate) listener: SocketAddr,
    /// The address to call from.
    pub(crate) source: IpAddr,
    /// The stream id; `None` sends no such extension.
    pub(crate) stream_id: Option<String>,
    /// Key material, a multiple of four bytes; the call asks for encryption then, and cannot go on after
    /// its conclusion, as the probe has no cipher.
    pub(crate) key_material: Option<Vec<u8>>,
    /// The latency asked for, both ways; up to 65,535 ms.
    pub(crate) latency: Duration,
    /// When to give up.
    pub(crate) timeout: Duration,
}

impl Call {
    /// A call with a stream id from the loopback address of the listener's family, 200 ms latency, given up
    /// after 3 s.
    pub(crate) fn new(listener: SocketAddr, stream_id: &str) -> Self {
        let source = match listener {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        Self {
            listener,
            source,
            stream_id: Some(stream_id.to_owned()),
            key_material: None,
            latency: Duration::from_millis(200),
            timeout: Duration::from_secs(3),
        }
    }
}

/// What the listener said.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The call is a connection.
    Accepted(Connection),
    /// It was refused with this code, such as 2401.
    Rejected(u32),
    /// No answer that a caller understands came in time.
    Unanswered,
}

impl Outcome {
    /// The connection.
    ///
    /// # Panics
    /// When there is none, with the answer.
    #[track_caller]
    pub(crate) fn accepted(self) -> Connection {
        match self {
            Self::Accepted(connection) => connection,
            Self::Rejected(code) => panic!("the call was refused with {code}"),
            Self::Unanswered => panic!("the call was not answered"),
        }
    }

    /// The code of a refusal; `None` for another outcome.
    pub(crate) fn rejection(&self) -> Option<u32> {
        match self {
            Self::Rejected(code) => Some(*code),
            Self::Accepted(_) | Self::Unanswered => None,
        }
    }
}

/// An open connection; hand it to a publisher or a player, or keep it and stay silent.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: UdpSocket,
    own_socket: u32,
    peer_socket: u32,
    started_at: Instant,
    /// Number of the first packet this side sends.
    pub(crate) first_sequence: u32,
    /// Number of the first packet the other side sends.
    pub(crate) peer_first_sequence: u32,
    /// What both sides agreed on.
    pub(crate) latency: Duration,
}

impl Connection {
    /// Sends a control packet.
    pub(crate) fn send_control(&self, kind: ControlKind, info: u32, body: &[u8]) {
        let (time_us, destination) = (self.time_us(Instant::now()), self.peer_socket);
        self.send(
            &Control {
                kind,
                info,
                time_us,
                destination,
                body,
            }
            .encode(),
        );
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&self, datagram: &[u8]) {
        // A closed port answers an earlier datagram with an error here. The connection is
        // over then, which the silence shows.
        drop(self.socket.send(datagram));
    }

    /// The next datagram, waiting until `deadline` at most (and 1 ms at least).
    pub(crate) fn receive<'a>(
        &self,
        buffer: &'a mut [u8; 2_048],
        deadline: Instant,
    ) -> Option<&'a [u8]> {
        let left = deadline.saturating_duration_since(Instant::now());
        let wait = left.max(Duration::from_millis(1));
        self.socket
            .set_read_timeout(Some(wait))
            .expect("the wait is not zero");
        match self.socket.recv(buffer) {
            Ok(length) => Some(&buffer[..length]),
            Err(error) if is_no_datagram(error.kind()) => None,
            Err(error) => panic!("reading from loopback failed: {error}"),
        }
    }

    /// Whether reading waits; for one that looks after many connections with
    /// [`Connection::receive_now`], not.
    pub(crate) fn set_waiting(&self, is_waiting: bool) {
        self.socket
            .set_nonblocking(!is_waiting)
            .expect("it is a socket");
    }

    /// The next datagram, if one is there; of a connection that does not wait.
    pub(crate) fn receive_now<'a>(&self, buffer: &'a mut [u8; 2_048]) -> Option<&'a [u8]> {
        match self.socket.recv(buffer) {
            Ok(length) => Some(&buffer[..length]),
            Err(error) if is_no_datagram(error.kind()) => None,
            Err(error) => panic!("reading from loopback failed: {error}"),
        }
    }

    /// The time stamp of `now` on this side's clock.
    pub(crate) fn time_us(&self, now: Instant) -> u32 {
        let wrapped = (now - self.started_at).as_micros() % (1 << 32);
        u32::try_from(wrapped).expect("it is below 2^32")
    }

    /// The socket id that packets to the other side carry.
    pub(crate) fn peer_socket(&self) -> u32 {
        self.peer_socket
    }
}

fn is_no_datagram(kind: ErrorKind) -> bool {
    use ErrorKind::{ConnectionRefused, Interrupted, TimedOut, WouldBlock};
    matches!(
        kind,
        WouldBlock | TimedOut | ConnectionRefused | Interrupted
    )
}

/// Calls: induction, conclusion, and what came of it.
///
/// # Panics
/// When the source address cannot be bound.
pub(crate) fn call(call: &Call) -> Outcome {
    let deadline = Instant::now() + call.timeout;
    let mut connection = open(call);
    let Some(answer) = ask(&connection, &induction(&connection), deadline) else {
        return Outcome::Unanswered;
    };
    if answer.kind >= srt_wire::REJECTED_FROM {
        return Outcome::Rejected(answer.kind);
    }
    if answer.kind != srt_wire::INDUCTION || answer.extension != srt_wire::MAGIC {
        return Outcome::Unanswered;
    }
    let question = conclusion(call, &connection, answer.cookie);
    loop {
        let Some(answer) = ask(&connection, &question, deadline) else {
            return Outcome::Unanswered;
        };
        match answer.kind {
            srt_wire::CONCLUSION => {
                connection.peer_socket = answer.socket;
                connection.peer_first_sequence = answer.first_sequence;
                connection.latency = agreed_latency(&answer).unwrap_or(call.latency);
                return Outcome::Accepted(connection);
            }
            // The answer to a repeated induction is late, not wrong.
            srt_wire::INDUCTION => {}
            code => return Outcome::Rejected(code),
        }
    }
}

/// Gets a cookie from the listener for the address of `connection`'s socket; for hostile
/// callers that go on from there.
pub(crate) fn cookie(connection: &Connection, timeout: Duration) -> Option<u32> {
    let answer = ask(connection, &induction(connection), Instant::now() + timeout)?;
    (answer.kind == srt_wire::INDUCTION).then_some(answer.cookie)
}

/// A socket ready to call, nothing sent yet.
pub(crate) fn open(call: &Call) -> Connection {
    let socket = UdpSocket::bind((call.source, 0)).expect("the source address is loopback's");
    socket2::SockRef::from(&socket)
        .set_recv_buffer_size(1 << 21)
        .expect("it is a socket");
    socket
        .connect(call.listener)
        .expect("connecting UDP sends nothing");
    let port = socket
        .local_addr()
        .expect("a bound socket has an address")
        .port();
    Connection {
        socket,
        // Any number but zero; the port tells calls of one machine apart.
        own_socket: 0x0100_0000 | u32::from(port),
        peer_socket: 0,
        started_at: Instant::now(),
        first_sequence: u32::from(port) * 7,
        peer_first_sequence: 0,
        latency: call.latency,
    }
}

/// Sends a handshake until one comes back.
fn ask(connection: &Connection, question: &Handshake, deadline: Instant) -> Option<Handshake> {
    let mut buffer = [0; 2_048];
    let body = question.encode();
    while Instant::now() < deadline {
        connection.send_control(ControlKind::Handshake, 0, &body);
        let repeat_at = deadline.min(Instant::now() + REPEAT);
        while Instant::now() < repeat_at {
            let Some(datagram) = connection.receive(&mut buffer, repeat_at) else {
                continue;
            };
            let Some(Packet::Control(control)) = srt_wire::parse(datagram) else {
                continue;
            };
            let is_ours = control.destination == connection.own_socket;
            if control.kind == ControlKind::Handshake && is_ours {
                return Handshake::parse(control.body);
            }
        }
    }
    None
}

/// The first question of a call.
pub(crate) fn induction(connection: &Connection) -> Handshake {
    Handshake {
        version: 4,
        extension: KIND_DATAGRAM,
        first_sequence: connection.first_sequence,
        kind: srt_wire::INDUCTION,
        socket: connection.own_socket,
        cookie: 0,
        extensions: Vec::new(),
    }
}

/// The second question of a call, with the listener's cookie.
pub(crate) fn conclusion(call: &Call, connection: &Connection, cookie: u32) -> Handshake {
    let latency_ms = u16::try_from(call.latency.as_millis()).expect("at most 65,535 ms");
    let latencies = (u32::from(latency_ms) << 16) | u32::from(latency_ms);
    let request = srt_wire::to_bytes(&[VERSION, FLAGS, latencies]);
    let mut extensions = vec![(srt_wire::EXTENSION_REQUEST, request)];
    if let Some(stream_id) = &call.stream_id {
        extensions.push((
            srt_wire::EXTENSION_STREAM_ID,
            srt_wire::text_block(stream_id),
        ));
    }
    let has_config = if call.stream_id.is_some() {
        HAS_CONFIG
    } else {
        0
    };
    let has_key = match &call.key_material {
        Some(message) => {
            extensions.push((srt_wire::EXTENSION_KEY, message.clone()));
            HAS_KEY
        }
        None => 0,
    };
    Handshake {
        version: 5,
        extension: HAS_REQUEST | has_key | has_config,
        kind: srt_wire::CONCLUSION,
        cookie,
        extensions,
        ..induction(connection)
    }
}

/// The larger of the two latencies a listener answers.
fn agreed_latency(answer: &Handshake) -> Option<Duration> {
    let latencies = srt_wire::word(answer.extension(srt_wire::EXTENSION_RESPONSE)?, 2)?;
    let agreed_ms = (latencies >> 16).max(latencies & 0xFFFF);
    Some(Duration::from_millis(agreed_ms.into()))
}

#[cfg(test)]
mod tests;
