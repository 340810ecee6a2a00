//! One connection to SLS: what came of a publisher, what goes to a player.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::media::send;
use crate::srt_wire::{self, ControlKind, Data, Handshake};

/// After which time a missing packet is asked for, and asked for again.
const ASK_PAUSE: Duration = Duration::from_millis(60);
/// Packets that are kept for players who miss some.
const KEPT: usize = 4_096;

/// A connection.
pub struct Caller {
    pub key: String,
    pub peer_socket: u32,
    pub first_sequence: u32,
    pub answer: Vec<u8>,
    pub begun_at: Instant,
    pub heard_at: Instant,
    pub latency_ms: u32,
    /// SLS holds media until its hook said yes.
    pub is_admitted: bool,
    /// Of a publisher: packets that came, counted from its first.
    pub next: u32,
    pub early: BTreeSet<u32>,
    pub asked_at: Instant,
    pub acknowledged: u32,
    pub ack_number: u32,
    pub last_media: Option<Instant>,
    pub bytes: Vec<(Instant, usize)>,
    pub bitrate: u64,
    pub rated_at: Instant,
    /// Of a publisher: the newest packets. Of a player: where its stream begins in the publisher's.
    pub kept: BTreeMap<u32, Vec<u8>>,
    pub base: Option<u32>,
    /// Of a player: the publish key whose media it gets; it goes on when the pair is removed.
    pub feeds_from: String,
}

impl Caller {
    pub fn new(key: &str, asked: &Handshake, latency_ms: u32, answer: Vec<u8>) -> Self {
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

    pub fn follows(&self, publisher: &str) -> bool {
        self.feeds_from == publisher
    }

    /// Counts a packet of a publisher; answers whether it is a new one.
    pub fn take(&mut self, data: &Data<'_>) -> bool {
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
    pub fn pass_on(
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

    pub fn on_tick(&mut self, socket: &UdpSocket, from: SocketAddr, is_play: bool) {
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
