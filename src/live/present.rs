//! From what the hub knows of a slot to what its card says.
//!
//! Invariant: pure; the same status at the same moment gives the same words.

use std::time::Duration;

use super::figures::{ago, bitrate, bitrate_parts, duration, milliseconds, percent_of_ppm};
use super::hub::SlotStatus;
use super::model::State;
use super::sparkline::Sparkline;
use super::views::{FigureItem, FirstPacketGuide, LinkRow, SlotFigures, SlotState, StreamFigures};
use crate::http::moment::Moment;
use crate::kernel::UnixMillis;
use crate::kernel::ids::SlotId;
use crate::relay::engine::{LinkStats, PublisherStats, SenderLinkFigures};
use crate::settings::AdvertisedPorts;

/// A link that is silent this long is marked; the OBS plugin does the same.
const SILENT_LINK: Duration = Duration::from_secs(5);
/// From this share of lost packets on, a reader should worry although retransmission repairs them.
const HIGH_LOSS_PPM: u32 = 50_000;
/// A packet can be asked for again about this often within the latency when it is this many round
/// trips long. Source: the SRT deployment guide of Haivision, "latency".
const ROUND_TRIPS_IN_LATENCY: u32 = 4;
const HISTORY_PERIOD: &str = "5 min";

/// Who reads a card, and when.
#[derive(Debug, Clone, Copy)]
pub struct Reader {
    /// The moment.
    pub now: UnixMillis,
    /// The ports to name while nothing has ever arrived.
    pub ports: AdvertisedPorts,
    /// Whether senders' addresses are shown.
    pub sees_addresses: bool,
    /// Whether the steps to the first packet are shown, or one line only.
    pub has_steps: bool,
}

/// The figures of a slot for this reader.
#[must_use]
pub fn slot_figures(slot_id: SlotId, status: &SlotStatus, reader: Reader) -> SlotFigures {
    let state = SlotState::from(status.state);
    let is_on_air = status.state.is_on_air();
    let is_waiting = state == SlotState::Waiting;
    SlotFigures {
        slot_id,
        state,
        since: status.since.map(Moment::from),
        note: note(status),
        stream: is_on_air.then(|| stream(status, reader)),
        guide: is_waiting.then_some(FirstPacketGuide {
            srtla_port: reader.ports.srtla,
            publish_port: reader.ports.srt_publish,
            has_steps: reader.has_steps,
        }),
    }
}

impl From<State> for SlotState {
    fn from(state: State) -> Self {
        match state {
            State::Waiting => Self::Waiting,
            State::Offline => Self::Offline,
            State::Live => Self::Live,
            State::Reconnecting => Self::Reconnecting,
        }
    }
}

fn note(status: &SlotStatus) -> Option<String> {
    match status.state {
        State::Reconnecting => {
            Some("No media at the moment. The broadcast goes on if it comes back.".to_owned())
        }
        State::Live | State::Offline | State::Waiting => None,
    }
}

fn publisher(status: &SlotStatus) -> Option<&PublisherStats> {
    status
        .stats
        .as_ref()
        .and_then(|stats| stats.publisher.as_ref())
}

fn stream(status: &SlotStatus, reader: Reader) -> StreamFigures {
    let is_live = status.state == State::Live;
    let now_kbps = publisher(status)
        .filter(|_| is_live)
        .map_or(0, |it| it.bitrate_1s_kbps);
    let (bitrate_number, bitrate_unit) = bitrate_parts(now_kbps);
    StreamFigures {
        bitrate_number,
        bitrate_unit,
        sparkline: Sparkline::draw(&status.history_kbps, HISTORY_PERIOD),
        items: items(status, reader),
        links: links(status, reader),
    }
}

fn items(status: &SlotStatus, reader: Reader) -> Vec<FigureItem> {
    let mut items = Vec::with_capacity(10);
    if let Some(publisher) = publisher(status) {
        items.extend(publisher_items(publisher));
        // Of use to who can do something about it.
        if reader.sees_addresses && !publisher.last_drop.is_empty() {
            items.push(FigureItem::new("Last drop", publisher.last_drop.clone()));
        }
    }
    if let Some(began) = status.broadcast_started_at {
        items.push(FigureItem::new(
            "Live for",
            duration(reader.now.since(began)),
        ));
    }
    let players = status.stats.as_ref().map_or(0, |stats| stats.players.len());
    items.push(FigureItem::new("Players", players.to_string()));
    items
}

fn publisher_items(publisher: &PublisherStats) -> [FigureItem; 7] {
    let is_slow = publisher.rtt * ROUND_TRIPS_IN_LATENCY > publisher.latency;
    let loss_ppm = lost_ppm(publisher);
    let buffer = part_of(publisher.buffer, publisher.latency);
    [
        FigureItem::new("Last 5 s", bitrate(publisher.bitrate_5s_kbps)),
        FigureItem::new("Round trip", whole_ms(publisher.rtt))
            .with_warning(is_slow.then_some("long")),
        FigureItem::new("Lost", percent_of_ppm(loss_ppm))
            .with_warning((loss_ppm >= HIGH_LOSS_PPM).then_some("high")),
        FigureItem::new("Resent", publisher.retransmitted_packets.to_string()),
        // Not lost: they took another way, or the network turned them round.
        FigureItem::new("Out of order", publisher.reordered_packets.to_string()),
        FigureItem::new("Dropped", publisher.dropped_packets.to_string()),
        FigureItem::new("Buffer", buffer),
    ]
}

/// Packets that were missing at first, of all that should have come.
fn lost_ppm(publisher: &PublisherStats) -> u32 {
    let sent = publisher.packets.saturating_add(publisher.dropped_packets);
    let ppm = publisher
        .lost_packets
        .saturating_mul(1_000_000)
        .checked_div(sent)
        .unwrap_or(0);
    u32::try_from(ppm.min(1_000_000)).expect("at most a million")
}

fn whole_ms(duration: Duration) -> String {
    milliseconds(u32::try_from(duration.as_millis()).unwrap_or(u32::MAX))
}

/// `1.9 of 2.0 s`, or `180 of 200 ms` below a second.
fn part_of(part: Duration, whole: Duration) -> String {
    if whole < Duration::from_secs(1) {
        return format!("{} of {}", part.as_millis(), whole_ms(whole));
    }
    format!("{:.1} of {:.1} s", part.as_secs_f64(), whole.as_secs_f64())
}

fn links(status: &SlotStatus, reader: Reader) -> Vec<LinkRow> {
    let Some(publisher) = publisher(status) else {
        return Vec::new();
    };
    let links = publisher.links.iter().zip(1..);
    links
        .map(|(link, number)| link_row(link, number, status.stats_age, reader))
        .collect()
}

fn link_row(link: &LinkStats, number: u32, age: Duration, reader: Reader) -> LinkRow {
    let silent_for = link.since_last_packet + age;
    LinkRow {
        name: link
            .carrier
            .clone()
            .unwrap_or_else(|| format!("Link {number}")),
        address: reader.sees_addresses.then(|| link.address.to_string()),
        share_percent: whole_percent(link.share_percent),
        bitrate: bitrate(link.bitrate_kbps),
        last_packet: ago(silent_for),
        is_silent: silent_for >= SILENT_LINK,
        sender: link.sender.as_ref().map(sender_says),
    }
}

/// `48 ms round trip, 12 of 20 packets in flight, 3 lost`
fn sender_says(sender: &SenderLinkFigures) -> String {
    format!(
        "{} round trip, {} of {} packets in flight, {} lost",
        whole_ms(sender.rtt),
        sender.in_flight_packets,
        sender.window_packets,
        sender.lost_packets
    )
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 0..=100, and a float that is no number becomes 0"
)]
fn whole_percent(share: f64) -> u8 {
    share.clamp(0.0, 100.0).round() as u8
}

#[cfg(test)]
#[path = "present_tests.rs"]
mod tests;
