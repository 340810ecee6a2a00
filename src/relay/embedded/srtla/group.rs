//! A bonded sender: its links and what came on each.
//!
//! Invariant: a group has at most as many links as [`super::SrtlaLimits`] says, each with its own address.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use super::packet::{ACK_BATCH, ID_BYTES, SenderReport, acknowledgement};
use crate::relay::embedded::meter::Meter;
use crate::relay::embedded::time::Micros;
use crate::relay::engine::{LinkStats, SenderLinkFigures};

/// A link that carries little is told of fewer than ten packets after this.
const ACK_FLUSH: Micros = Micros::from_millis(100);
const SHARE_WINDOW: Micros = Micros::from_secs(2);
const RATE_WINDOW: Micros = Micros::from_secs(1);
/// Senders tell of a link every second; what is older says nothing about now.
const REPORT_LIFE: Micros = Micros::from_secs(5);

/// One path of a bonded sender.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) address: SocketAddr,
    pub(super) last_heard: Micros,
    joined: Micros,
    packets: u64,
    bytes: u64,
    meter: Meter,
    report: Option<(Micros, SenderReport)>,
    unacknowledged: Vec<u32>,
    oldest_unacknowledged: Micros,
}

impl Link {
    fn new(now: Micros, address: SocketAddr) -> Self {
        Self {
            address,
            last_heard: now,
            joined: now,
            packets: 0,
            bytes: 0,
            meter: Meter::default(),
            report: None,
            unacknowledged: Vec::with_capacity(ACK_BATCH),
            oldest_unacknowledged: now,
        }
    }

    /// An SRT packet came on it.
    pub(super) fn count(&mut self, now: Micros, bytes: usize) {
        self.packets += 1;
        self.bytes += u64::try_from(bytes).unwrap_or(0);
        self.meter.add(now, bytes);
    }

    /// The sender told of it.
    pub(super) fn take_report(&mut self, now: Micros, report: SenderReport) {
        self.report = Some((now, report));
    }

    fn sender(&self, now: Micros) -> Option<SenderLinkFigures> {
        let (told, report) = self.report?;
        (now - told <= REPORT_LIFE).then(|| figures_of(report))
    }

    /// A data packet came on it; answers with an acknowledgement when ten are together.
    pub(super) fn note(&mut self, now: Micros, sequence: u32) -> Option<Bytes> {
        if self.unacknowledged.is_empty() {
            self.oldest_unacknowledged = now;
        }
        self.unacknowledged.push(sequence);
        if self.unacknowledged.len() < ACK_BATCH {
            return None;
        }
        Some(self.take_acknowledgement())
    }

    /// The acknowledgement of fewer than ten, when they have waited long enough.
    pub(super) fn flush(&mut self, now: Micros) -> Option<Bytes> {
        (self.flush_deadline() <= now).then(|| self.take_acknowledgement())
    }

    /// When [`Link::flush`] has something to say.
    pub(super) fn flush_deadline(&self) -> Micros {
        if self.unacknowledged.is_empty() {
            Micros::MAX
        } else {
            self.oldest_unacknowledged + ACK_FLUSH
        }
    }

    fn take_acknowledgement(&mut self) -> Bytes {
        let packet = acknowledgement(&self.unacknowledged);
        self.unacknowledged.clear();
        packet
    }
}

/// A bonded sender.
#[derive(Debug)]
pub(super) struct Group {
    /// Both halves of its id.
    pub(super) id: Box<[u8; ID_BYTES]>,
    /// The network that was invited to open it.
    pub(super) origin: u64,
    /// When it was opened.
    pub(super) opened: Micros,
    /// Its links, in the order they joined.
    pub(super) links: Vec<Link>,
    /// The link heard last: what is not for all links goes there.
    pub(super) last_address: SocketAddr,
    /// Whether its SRT connection was admitted; others make room when groups are many.
    pub(super) is_admitted: bool,
}

impl Group {
    /// A group without links.
    pub(super) fn new(
        now: Micros,
        origin: u64,
        id: Box<[u8; ID_BYTES]>,
        address: SocketAddr,
    ) -> Self {
        Self {
            id,
            origin,
            opened: now,
            links: Vec::new(),
            last_address: address,
            is_admitted: false,
        }
    }

    /// The link from an address.
    pub(super) fn link(&mut self, address: SocketAddr) -> Option<&mut Link> {
        self.links.iter_mut().find(|link| link.address == address)
    }

    /// Lets a link join that is not there yet.
    pub(super) fn join(&mut self, now: Micros, address: SocketAddr) {
        self.links.push(Link::new(now, address));
    }

    /// Figures of its links.
    pub(super) fn stats(&self, now: Micros) -> Vec<LinkStats> {
        let within = |link: &Link| link.meter.bytes_within(now, SHARE_WINDOW);
        let total: u64 = self.links.iter().map(within).sum();
        self.links
            .iter()
            .map(|link| LinkStats {
                address: link.address,
                bytes: link.bytes,
                packets: link.packets,
                share_percent: percent(within(link), total),
                bitrate_kbps: link.meter.kbps(now, RATE_WINDOW),
                since_last_packet: (now - link.last_heard).duration(),
                uptime: (now - link.joined).duration(),
                sender: link.sender(now),
                carrier: None,
            })
            .collect()
    }
}

fn figures_of(report: SenderReport) -> SenderLinkFigures {
    let kbps = u64::from(report.bytes_per_second) * 8 / 1000;
    SenderLinkFigures {
        rtt: Duration::from_millis(report.rtt_ms.into()),
        window_packets: report.window_packets,
        in_flight_packets: report.in_flight_packets,
        lost_packets: report.naks.into(),
        bitrate_kbps: u32::try_from(kbps).unwrap_or(u32::MAX),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "bytes of two seconds are far below 2^52"
)]
fn percent(part: u64, total: u64) -> f64 {
    if total == 0 {
        0.0
    } else {
        part as f64 * 100.0 / total as f64
    }
}
