//! SLS's SRT ports: publishers in, players out, figures of both as the real one tells them.
//!
//! Whoever is refused is let in first and told goodbye at once, as the real one does.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::sls::world;
use crate::srt_wire::{self, Control, ControlKind, Data, Handshake, Packet};
use crate::{faults, http};

/// After which silence a caller counts as gone.
const PEER_IDLE: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_millis(10);
/// After which time a missing packet is asked for, and asked for again.
const ASK_PAUSE: Duration = Duration::from_millis(60);
/// Packets that are kept for players who miss some.
const KEPT: usize = 4_096;
const LATENCY_MIN_MS: u32 = 120;
const COOKIE: u32 = 0x5EC2_E700;

/// Who is connected.
#[derive(Default)]
pub struct Media {
    publishers: HashMap<SocketAddr, Caller>,
    players: HashMap<SocketAddr, Caller>,
    play_socket: Option<UdpSocket>,
}

/// A connection.
struct Caller {
    key: String,
    peer_socket: u32,
    first_sequence: u32,
    answer: Vec<u8>,
    begun_at: Instant,
    heard_at: Instant,
    latency_ms: u32,
    /// SLS holds media until its hook said yes.
    is_admitted: bool,
    /// Of a publisher: packets that came, counted from its first.
    next: u32,
    early: BTreeSet<u32>,
    asked_at: Instant,
    acknowledged: u32,
    ack_number: u32,
    last_media: Option<Instant>,
    bytes: Vec<(Instant, usize)>,
    bitrate: u64,
    rated_at: Instant,
    /// Of a publisher: the newest packets. Of a player: where its stream begins in the publisher's.
    kept: BTreeMap<u32, Vec<u8>>,
    base: Option<u32>,
    /// Of a player: the publish key whose media it gets; it goes on when the pair is removed.
    feeds_from: String,
}

/// Opens the three ports, each with its thread.
pub fn listen() {
    for port in [4000, 4001, 4002] {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))
            .unwrap_or_else(|error| crate::fail(255, &format!("{port}/udp: {error}")));
        let timeout = socket.set_read_timeout(Some(TICK));
        timeout.expect("it is no zero");
        if port == 4000 {
            let copy = socket.try_clone().expect("a socket has room for another");
            world().media.play_socket = Some(copy);
        }
        std::thread::spawn(move || serve(&socket, port == 4000));
    }
}

fn serve(socket: &UdpSocket, is_play: bool) -> ! {
    let mut buffer = [0; 2_048];
    let (mut ticked_at, mut is_mute) = (Instant::now(), false);
    loop {
        if let Ok((length, from)) = socket.recv_from(&mut buffer)
            && !is_mute
        {
            take(socket, is_play, from, &buffer[..length]);
        }
        if ticked_at.elapsed() >= TICK {
            ticked_at = Instant::now();
            is_mute = faults::now() == "mute";
            let mut world = world();
            let callers = world.media.side(is_play);
            callers.retain(|_, caller| caller.heard_at.elapsed() < PEER_IDLE);
            for (from, caller) in callers.iter_mut().filter(|_| !is_mute) {
                caller.on_tick(socket, *from, is_play);
            }
        }
    }
}

fn take(socket: &UdpSocket, is_play: bool, from: SocketAddr, datagram: &[u8]) {
    match srt_wire::parse(datagram) {
        Some(Packet::Control(control)) if control.kind == ControlKind::Handshake => {
            if let Some(handshake) = Handshake::parse(control.body) {
                shake_hands(socket, is_play, from, &handshake);
            }
        }
        Some(Packet::Control(control)) => on_control(socket, is_play, from, &control),
        Some(Packet::Data(data)) if !is_play => on_media(from, &data),
        Some(Packet::Data(_)) | None => {}
    }
}

fn shake_hands(socket: &UdpSocket, is_play: bool, from: SocketAddr, asked: &Handshake) {
    if asked.kind == srt_wire::INDUCTION {
        let answer = Handshake {
            version: 5,
            extension: srt_wire::MAGIC,
            cookie: COOKIE,
            extensions: Vec::new(),
            ..asked.clone()
        };
        send(
            socket,
            from,
            asked.socket,
            ControlKind::Handshake,
            0,
            &answer.encode(),
        );
        return;
    }
    if asked.kind != srt_wire::CONCLUSION || asked.cookie != COOKIE {
        return;
    }
    let mut world = world();
    if let Some(known) = world.media.side(is_play).get(&from)
        && known.peer_socket == asked.socket
    {
        drop(socket.send_to(&known.answer.clone(), from));
        return;
    }
    let key = asked.extension(srt_wire::EXTENSION_STREAM_ID);
    let key = key.map(text).unwrap_or_default();
    let wanted = asked.extension(srt_wire::EXTENSION_REQUEST);
    let wanted = wanted.and_then(|body| srt_wire::word(body, 2)).unwrap_or(0);
    let latency_ms = (wanted >> 16).max(wanted & 0xFFFF).max(LATENCY_MIN_MS);
    let answer = Handshake {
        version: 5,
        extension: 1,
        socket: 0x0200_0000 | u32::from(from.port()),
        extensions: vec![(
            srt_wire::EXTENSION_RESPONSE,
            srt_wire::to_bytes(&[0x0001_0504, 0x3F, (latency_ms << 16) | latency_ms]),
        )],
        ..asked.clone()
    };
    let answer = packet(asked.socket, ControlKind::Handshake, 0, &answer.encode());
    drop(socket.send_to(&answer, from));
    // Whoever is refused was let in for a moment.
    let publisher = if is_play {
        world.publisher_of(&key)
    } else {
        world.has_publisher(&key).then(|| key.clone())
    };
    let is_live = publisher.is_some_and(|key| world.media.is_live(&key));
    let is_known = is_play || world.has_publisher(&key);
    if !is_known || is_live != is_play {
        println!("invalid or busy stream ID='{key}'");
        send(socket, from, asked.socket, ControlKind::Shutdown, 0, &[]);
        return;
    }
    let role = if is_play { "player" } else { "publisher" };
    println!("[info] CSLSListener::handler, new {role}[::ffff:{from}], key_stream_name={key}.");
    let hook = world.hook.clone();
    let mut caller = Caller::new(&key, asked, latency_ms, answer);
    caller.is_admitted = hook.is_none();
    world.media.side(is_play).insert(from, caller);
    drop(world);
    if let Some(hook) = hook {
        let socket = socket.try_clone().expect("a socket has room for another");
        let peer = asked.socket;
        std::thread::spawn(move || ask_hook(&hook, &socket, is_play, from, peer, &key));
    }
}

fn event(
    hook: &(SocketAddr, String),
    name: &str,
    is_play: bool,
    from: SocketAddr,
    key: &str,
) -> bool {
    let role = if is_play { "player" } else { "publisher" };
    let target = format!(
        "{}?on_event={name}&role_name={role}&srt_url={key}&remote_ip=::ffff:{}&remote_port={}",
        hook.1,
        from.ip(),
        from.port()
    );
    http::post(hook.0, &target) == Some(200)
}

fn ask_hook(
    hook: &(SocketAddr, String),
    socket: &UdpSocket,
    is_play: bool,
    from: SocketAddr,
    peer: u32,
    key: &str,
) {
    let is_welcome = event(hook, "on_connect", is_play, from, key);
    let mut world = world();
    let side = world.media.side(is_play);
    if is_welcome {
        if let Some(caller) = side.get_mut(&from) {
            caller.is_admitted = true;
        }
    } else {
        side.remove(&from);
        send(socket, from, peer, ControlKind::Shutdown, 0, &[]);
    }
}

/// A stream id: each word's bytes are reversed.
fn text(block: &[u8]) -> String {
    let bytes = block.chunks(4).flat_map(|word| word.iter().rev());
    let bytes: Vec<u8> = bytes.copied().filter(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn packet(destination: u32, kind: ControlKind, info: u32, body: &[u8]) -> Vec<u8> {
    let control = Control {
        kind,
        info,
        time_us: 0,
        destination,
        body,
    };
    control.encode()
}

fn send(socket: &UdpSocket, to: SocketAddr, id: u32, kind: ControlKind, info: u32, body: &[u8]) {
    drop(socket.send_to(&packet(id, kind, info, body), to));
}

fn on_control(socket: &UdpSocket, is_play: bool, from: SocketAddr, control: &Control<'_>) {
    let mut world = world();
    let Some(caller) = world.media.side(is_play).get_mut(&from) else {
        return;
    };
    caller.heard_at = Instant::now();
    match control.kind {
        ControlKind::Ack if srt_wire::word(control.body, 1).is_some() => {
            let peer = caller.peer_socket;
            send(socket, from, peer, ControlKind::AckAck, control.info, &[]);
        }
        ControlKind::Nak => {
            for sequence in srt_wire::lost_sequences(control.body) {
                world.media.send_again(socket, from, sequence);
            }
        }
        ControlKind::Shutdown => {
            let key = caller.key.clone();
            world.media.side(is_play).remove(&from);
            if let Some(hook) = world.hook.clone() {
                std::thread::spawn(move || event(&hook, "on_close", is_play, from, &key));
            }
        }
        _ => {}
    }
}

fn on_media(from: SocketAddr, data: &Data<'_>) {
    let mut world = world();
    let media = &mut world.media;
    let Some(publisher) = media.publishers.get_mut(&from) else {
        return;
    };
    publisher.heard_at = Instant::now();
    if !publisher.is_admitted || !publisher.take(data) {
        return;
    }
    let key = publisher.key.clone();
    let players: Vec<_> = world
        .pairs
        .iter()
        .filter(|pair| pair[0] == key)
        .map(|pair| pair[1].clone())
        .collect();
    let media = &mut world.media;
    let Some(socket) = &media.play_socket else {
        return;
    };
    for (to, player) in &mut media.players {
        if player.is_admitted && (players.contains(&player.key) || player.follows(&key)) {
            player.feeds_from.clone_from(&key);
            player.pass_on(
                socket,
                *to,
                data.sequence,
                data.time_us,
                data.payload,
                false,
            );
        }
    }
}

impl Media {
    fn side(&mut self, is_play: bool) -> &mut HashMap<SocketAddr, Caller> {
        if is_play {
            &mut self.players
        } else {
            &mut self.publishers
        }
    }

    fn is_live(&self, key: &str) -> bool {
        self.publishers.values().any(|caller| caller.key == key)
    }

    fn send_again(&mut self, socket: &UdpSocket, to: SocketAddr, sequence: u32) {
        let Some(player) = self.players.get_mut(&to) else {
            return;
        };
        let Some(base) = player.base else { return };
        let steps = srt_wire::distance(player.first_sequence, sequence);
        let original = srt_wire::after(base, u32::try_from(steps).unwrap_or(0));
        let publishers = self.publishers.values();
        let kept = publishers
            .filter(|it| it.key == player.feeds_from)
            .find_map(|it| it.kept.get(&original));
        if let Some(payload) = kept {
            let payload = payload.clone();
            player.pass_on(socket, to, original, 0, &payload, true);
        }
    }

    /// `publisher` of an answer; `None` when nobody publishes.
    pub fn figures(&mut self, key: &str) -> Option<String> {
        let now = Instant::now();
        let caller = self.publishers.values_mut().find(|it| it.key == key)?;
        let latency = Duration::from_millis(caller.latency_ms.into());
        let begun = caller.begun_at;
        let from = now.checked_sub(latency).unwrap_or(begun).max(begun);
        let buffer = caller
            .last_media
            .map_or(Duration::ZERO, |last| last.saturating_duration_since(from));
        let uptime = now - begun;
        let bitrate = if uptime < latency + Duration::from_secs(1) {
            0
        } else {
            caller.bitrate
        };
        Some(format!(
            "{{\"bitrate\":{bitrate},\"buffer\":{},\"dropped_pkts\":0,\"latency\":{},\"rtt\":0.09,\
             \"uptime\":{}}}",
            buffer.as_millis(),
            caller.latency_ms,
            uptime.as_secs()
        ))
    }
}

impl Caller {
    fn new(key: &str, asked: &Handshake, latency_ms: u32, answer: Vec<u8>) -> Self {
        let now = Instant::now();
        Self {
            key: key.to_owned(),
            peer_socket: asked.socket,
            first_sequence: asked.first_sequence,
            answer,
            begun_at: now,
            heard_at: now,
            latency_ms,
            is_admitted: true,
            next: asked.first_sequence,
            early: BTreeSet::new(),
            asked_at: now,
            acknowledged: asked.first_sequence,
            ack_number: 0,
            last_media: None,
            bytes: Vec::new(),
            bitrate: 0,
            rated_at: now,
            kept: BTreeMap::new(),
            base: None,
            feeds_from: String::new(),
        }
    }

    fn follows(&self, publisher: &str) -> bool {
        self.feeds_from == publisher
    }

    /// Counts a packet of a publisher; answers whether it is a new one.
    fn take(&mut self, data: &Data<'_>) -> bool {
        let now = Instant::now();
        let steps = srt_wire::distance(self.next, data.sequence);
        let is_new = steps >= 0 && self.early.insert(data.sequence);
        if !is_new {
            return false;
        }
        while self.early.remove(&self.next) {
            self.next = srt_wire::after(self.next, 1);
        }
        self.last_media = Some(now);
        self.bytes.push((now, data.payload.len()));
        self.kept.insert(data.sequence, data.payload.to_vec());
        if self.kept.len() > KEPT {
            self.kept.pop_first();
        }
        // Computed when media come, and never again when none do.
        if self.rated_at.elapsed() >= Duration::from_secs(1) {
            let sum: usize = self.bytes.drain(..).map(|(_, bytes)| bytes).sum();
            let millis = self.rated_at.elapsed().as_millis().max(1);
            self.bitrate = u64::try_from(sum as u128 * 8 / millis).unwrap_or(u64::MAX);
            self.rated_at = now;
        }
        true
    }

    /// Sends a packet to a player, numbered from its own beginning.
    fn pass_on(
        &mut self,
        socket: &UdpSocket,
        to: SocketAddr,
        sequence: u32,
        time_us: u32,
        payload: &[u8],
        is_retransmitted: bool,
    ) {
        let base = *self.base.get_or_insert(sequence);
        let Ok(steps) = u32::try_from(srt_wire::distance(base, sequence)) else {
            return;
        };
        let data = Data {
            sequence: srt_wire::after(self.first_sequence, steps),
            message: steps + 1,
            is_retransmitted,
            time_us,
            destination: self.peer_socket,
            payload,
        };
        drop(socket.send_to(&data.encode(), to));
    }

    fn on_tick(&mut self, socket: &UdpSocket, from: SocketAddr, is_play: bool) {
        if self.heard_at.elapsed() > Duration::from_secs(1) || is_play {
            let beat = self.asked_at.elapsed() >= Duration::from_secs(1);
            if beat {
                self.asked_at = Instant::now();
                send(
                    socket,
                    from,
                    self.peer_socket,
                    ControlKind::Keepalive,
                    0,
                    &[],
                );
            }
        }
        if is_play {
            return;
        }
        if self.acknowledged != self.next {
            self.acknowledged = self.next;
            self.ack_number += 1;
            let body = srt_wire::acknowledgement(self.next, 10_000);
            let number = self.ack_number;
            send(
                socket,
                from,
                self.peer_socket,
                ControlKind::Ack,
                number,
                &body,
            );
        }
        if let Some(highest) = self.early.last()
            && self.asked_at.elapsed() >= ASK_PAUSE
        {
            self.asked_at = Instant::now();
            let steps = u32::try_from(srt_wire::distance(self.next, *highest)).unwrap_or(0);
            let missing = (0..steps)
                .map(|step| srt_wire::after(self.next, step))
                .filter(|sequence| !self.early.contains(sequence));
            let ranges: Vec<_> = missing.take(150).map(|it| (it, it)).collect();
            let body = srt_wire::loss_report(&ranges);
            send(socket, from, self.peer_socket, ControlKind::Nak, 0, &body);
        }
    }
}
