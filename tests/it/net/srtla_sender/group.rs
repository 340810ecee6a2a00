//! The group of the sender: registration of its links, choice of a link, and the way back.
//!
//! Invariant: no sockets and no clock; it takes `(now, link, datagram)` and leaves what is to
//! be sent in [`Group::outputs`].

use std::time::{Duration, Instant};

use super::link::Link;
use crate::net::random::Random;
use crate::net::srt_wire::{self, ControlKind, Packet};
use crate::net::srtla_wire::{self, GROUP_ID_BYTES};

/// How long an answer is waited for before a registration packet is repeated.
const ASK_PAUSE: Duration = Duration::from_secs(1);
const KEEPALIVE_PAUSE: Duration = Duration::from_secs(1);

/// Something to send.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// On a link, to the receiver.
    ToReceiver { link: usize, datagram: Vec<u8> },
    /// To the local SRT program.
    ToPeer(Vec<u8>),
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) links: Vec<Link>,
    pub(super) outputs: Vec<Output>,
    /// Packets of the SRT program for which no link was ready.
    pub(super) unsent_packets: u64,
    /// Answers of the receiver that refused a registration.
    pub(super) refusals: u64,
    has_reports: bool,
    id: [u8; GROUP_ID_BYTES],
    is_open: bool,
    /// When a group was last asked for.
    asked_at: Option<Instant>,
    asking_link: usize,
    kept_alive_at: Option<Instant>,
    started_at: Instant,
}

impl Group {
    pub(super) fn new(links: usize, has_reports: bool, seed: u64, now: Instant) -> Self {
        let id = Random::seeded(seed).bytes(GROUP_ID_BYTES);
        Self {
            links: (0..links).map(|_| Link::new()).collect(),
            outputs: Vec::new(),
            unsent_packets: 0,
            refusals: 0,
            has_reports,
            id: id.try_into().expect("as many bytes as an id has"),
            is_open: false,
            asked_at: None,
            asking_link: links - 1,
            kept_alive_at: None,
            started_at: now,
        }
    }

    /// Does what is due: asks for a group, lets links join, keeps them alive.
    pub(super) fn on_tick(&mut self, now: Instant) {
        if self.is_open {
            self.join_links(now);
        } else if self
            .asked_at
            .is_none_or(|asked_at| now - asked_at >= ASK_PAUSE)
        {
            self.ask_for_group(now);
        }
        self.keep_alive(now);
    }

    /// Takes a datagram of the receiver.
    pub(super) fn on_receiver(&mut self, now: Instant, link: usize, datagram: Vec<u8>) {
        if !self.links[link].is_enabled {
            return;
        }
        match srtla_wire::kind(&datagram) {
            Some(srtla_wire::REG2) => self.on_group_opened(now, &datagram),
            Some(srtla_wire::REG3) => {
                self.links[link].join();
                self.links[link].hear(now);
            }
            Some(srtla_wire::REG_NGP) => self.on_group_unknown(),
            Some(srtla_wire::REG_ERR) => self.refusals += 1,
            Some(srtla_wire::KEEPALIVE) => self.on_echo(now, link, &datagram),
            Some(srtla_wire::ACK) => self.on_acknowledgement(now, link, &datagram),
            _ => self.on_srt(now, link, datagram),
        }
    }

    /// Takes a datagram of the local SRT program and sends it on the best link.
    pub(super) fn on_peer(&mut self, now: Instant, datagram: Vec<u8>) {
        let usable = (0..self.links.len()).filter(|link| self.links[*link].is_usable(now));
        // The first of equals, so that an idle sender is predictable.
        let Some(best) = usable.rev().max_by_key(|link| self.links[*link].score()) else {
            self.unsent_packets += 1;
            return;
        };
        let sequence = match srt_wire::parse(&datagram) {
            Some(Packet::Data(data)) => Some(data.sequence),
            Some(Packet::Control(_)) | None => None,
        };
        self.links[best].carry(datagram.len(), sequence);
        self.send(best, datagram);
    }

    /// Sends unless the link is switched off: a dead radio takes packets and loses them.
    fn send(&mut self, link: usize, datagram: Vec<u8>) {
        if self.links[link].is_enabled {
            self.outputs.push(Output::ToReceiver { link, datagram });
        }
    }

    fn ask_for_group(&mut self, now: Instant) {
        self.asked_at = Some(now);
        // Another link each time: the last one may be dead.
        self.asking_link = (self.asking_link + 1) % self.links.len();
        let request = srtla_wire::registration(srtla_wire::REG1, &self.id);
        self.send(self.asking_link, request);
    }

    fn join_links(&mut self, now: Instant) {
        for link in 0..self.links.len() {
            if self.links[link].wants_to_ask(now, ASK_PAUSE) {
                self.send(link, srtla_wire::registration(srtla_wire::REG2, &self.id));
            }
        }
    }

    fn keep_alive(&mut self, now: Instant) {
        let since_last = now - self.kept_alive_at.unwrap_or(self.started_at);
        if self.kept_alive_at.is_some() && since_last < KEEPALIVE_PAUSE {
            return;
        }
        self.kept_alive_at = Some(now);
        let sent_ms = self.age_ms(now);
        for link in 0..self.links.len() {
            if self.links[link].is_usable(now) {
                let report = self.links[link].report(link, since_last);
                let report = self.has_reports.then_some(report);
                self.send(link, srtla_wire::keepalive(sent_ms, report));
            }
        }
    }

    fn on_group_opened(&mut self, now: Instant, datagram: &[u8]) {
        const OWN_HALF: usize = GROUP_ID_BYTES / 2;
        let Some(id) = srtla_wire::group_id(datagram) else {
            return;
        };
        if self.is_open || id[..OWN_HALF] != self.id[..OWN_HALF] {
            return;
        }
        self.id = id;
        self.is_open = true;
        self.join_links(now);
    }

    fn on_group_unknown(&mut self) {
        self.is_open = false;
        for link in &mut self.links {
            link.leave();
        }
    }

    fn on_echo(&mut self, now: Instant, link: usize, datagram: &[u8]) {
        let age_ms = self.age_ms(now);
        let link = &mut self.links[link];
        link.hear(now);
        if let Some(sent_ms) = srtla_wire::keepalive_sent_ms(datagram) {
            link.counters.round_trip_ms = age_ms.saturating_sub(sent_ms);
        }
    }

    fn on_acknowledgement(&mut self, now: Instant, link: usize, datagram: &[u8]) {
        self.links[link].hear(now);
        for sequence in srtla_wire::acknowledged(datagram) {
            // Receivers answer on the link that carried the packet; another is a fault of
            // theirs that the window survives.
            self.links[link].acknowledge(sequence);
            self.links.iter_mut().for_each(Link::recover);
        }
    }

    fn on_srt(&mut self, now: Instant, link: usize, datagram: Vec<u8>) {
        self.links[link].hear(now);
        self.links[link].counters.received_packets += 1;
        if let Some(Packet::Control(control)) = srt_wire::parse(&datagram) {
            match control.kind {
                ControlKind::Ack => self.settle(control.body),
                ControlKind::Nak => self.lose(control.body),
                _ => {}
            }
        }
        self.outputs.push(Output::ToPeer(datagram));
    }

    fn settle(&mut self, body: &[u8]) {
        let Some(next) = srt_wire::word(body, 0) else {
            return;
        };
        for link in &mut self.links {
            link.settle(|sequence| srt_wire::distance(sequence, next) > 0);
        }
    }

    fn lose(&mut self, body: &[u8]) {
        for sequence in srt_wire::lost_sequences(body) {
            // One link carried it, or none: it was forgotten or sent before a new start.
            let _was_ours = self.links.iter_mut().any(|link| link.lose(sequence));
        }
    }

    fn age_ms(&self, now: Instant) -> u64 {
        u64::try_from((now - self.started_at).as_millis()).unwrap_or(u64::MAX)
    }
}
