//! Bytes through srt-live-transmit, the server, and srt-live-transmit again.
//!
//! Invariant: what is compared is the numbered stream of `net::ts`, so that a lost, repeated or
//! changed packet is seen wherever it is.

use std::net::SocketAddr;
use std::time::Duration;

use super::programs::{transmit_from_stdin, transmit_to_stdout};
use super::stage::{PATIENCE, Stage};
use crate::harness::eventually::eventually_blocking;
use crate::net::ts::{self, Comparison};

/// It reads and writes by blocks of 4,096 bytes: so much more pushes the last out.
const MORE_DATAGRAMS: u64 = 64;
/// What may be missing at the start: it throws away what it reads before it is connected.
const START_PACKETS_MAX: usize = 700;

/// What to carry, and over which addresses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transfer {
    pub(super) publish: SocketAddr,
    pub(super) play: SocketAddr,
    pub(super) latency: Duration,
    /// Datagrams of 1,316 bytes.
    pub(super) count: u64,
    pub(super) rate_kbps: u32,
}

impl Transfer {
    /// Runs it; calls `while_running` when half of it is sent.
    ///
    /// # Panics
    /// When a packet is missing, repeated or changed on the way.
    #[track_caller]
    pub(super) fn run(self, stage: &Stage, while_running: impl FnOnce()) {
        let session = &stage.session;
        let (_player, written) = transmit_to_stdout(self.play, &session.play_key, self.latency);
        stage.await_players(1);
        let mut publisher = transmit_from_stdin(self.publish, &session.publish_key, self.latency);
        stage.await_publisher();
        let mut stdin = publisher.stdin();
        let fed = ts::stream((self.count + MORE_DATAGRAMS) * ts::PACKETS_PER_DATAGRAM);
        let (first_half, second_half) = fed.split_at(fed.len() / 2);
        ts::write_paced(&mut stdin, first_half, self.rate_kbps).unwrap();
        while_running();
        ts::write_paced(&mut stdin, second_half, self.rate_kbps).unwrap();
        let last_sent = usize::try_from(self.count * ts::PACKETS_PER_DATAGRAM).unwrap() - 1;
        let mut outcome = Comparison::Identical;
        eventually_blocking(PATIENCE, "the last packet came out", || {
            let written = written.lock().unwrap();
            let whole = written.len() - written.len() % ts::PACKET_BYTES;
            let has_last = written[..whole]
                .chunks(ts::PACKET_BYTES)
                .rev()
                .filter_map(ts::index_of)
                .any(|index| index >= last_sent as u64);
            if has_last {
                outcome = ts::compare(&fed, &written[..whole]);
            }
            has_last
        });
        match outcome {
            Comparison::Identical => {}
            Comparison::SubrangeIdentical { first, .. } => assert!(
                first <= START_PACKETS_MAX,
                "{first} packets are missing at the start"
            ),
            Comparison::Differs { .. } => panic!("what came out differs: {outcome:?}"),
        }
    }
}
