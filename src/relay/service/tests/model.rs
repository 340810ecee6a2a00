//! What sessions should do, said again in the simplest way: a list and a clock.

use std::collections::HashSet;

use crate::kernel::ids::RelaySessionId;
use crate::relay::model::{Status, StopReason};

/// Seconds.
const LEASE: u64 = 300;
/// Seconds.
const GRACE: u64 = 600;

/// A session of the model. Connections and slots are numbers; connection 0 has no name.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) id: RelaySessionId,
    pub(super) connection: u8,
    pub(super) slot: usize,
    pub(super) status: Status,
    pub(super) reason: Option<StopReason>,
    renewed_at: u64,
    lost_at: u64,
    broadcast: u64,
}

/// What a start should come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// The session at this place in the list.
    Existing(usize),
    /// A new one on this slot.
    New(usize),
    NoFreeSlot,
    LimitReached,
}

#[derive(Debug)]
pub(super) struct Model {
    pub(super) rows: Vec<Row>,
    pub(super) live: HashSet<usize>,
    pub(super) now: u64,
    pub(super) slots: usize,
    pub(super) max_connections: usize,
    pub(super) max_session: u64,
}

impl Model {
    fn open(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.rows.len()).filter(|&at| self.rows[at].status.is_open())
    }

    pub(super) fn open_of_connection(&self, connection: u8) -> Option<usize> {
        self.open()
            .find(|&at| self.rows[at].connection == connection)
    }

    fn open_of_slot(&self, slot: usize) -> Option<usize> {
        self.open().find(|&at| self.rows[at].slot == slot)
    }

    pub(super) fn newest_open(&self) -> Option<usize> {
        self.open().last()
    }

    pub(super) fn stop(&mut self, at: usize, reason: StopReason) {
        self.rows[at].status = Status::Stopped;
        self.rows[at].reason = Some(reason);
    }

    /// Those whose lease ran out and that the user then stopped do not come back.
    pub(super) fn forget_revivable(&mut self, is_meant: impl Fn(&Row) -> bool) {
        for row in self.rows.iter_mut().filter(|row| is_meant(row)) {
            if row.reason == Some(StopReason::LeaseExpired) {
                row.reason = Some(StopReason::Requested);
            }
        }
    }

    pub(super) fn renew(&mut self, at: usize) {
        self.rows[at].renewed_at = self.now;
    }

    pub(super) fn expect_start(&self, connection: u8, named: Option<usize>) -> Expected {
        let own = self.open_of_connection(connection);
        if let Some(own) = own
            && named.is_none_or(|slot| slot == self.rows[own].slot)
        {
            return Expected::Existing(own);
        }
        let free = (0..self.slots).find(|&slot| self.open_of_slot(slot).is_none());
        let Some(slot) = named.or(free) else {
            return Expected::NoFreeSlot;
        };
        let given_up: HashSet<_> = own.into_iter().chain(self.open_of_slot(slot)).collect();
        if self.open().count() - given_up.len() >= self.max_connections {
            return Expected::LimitReached;
        }
        Expected::New(slot)
    }

    /// Applies an [`Expected::New`] start.
    pub(super) fn start(&mut self, id: RelaySessionId, connection: u8, slot: usize) {
        if let Some(own) = self.open_of_connection(connection) {
            self.stop(own, StopReason::Moved);
        }
        let holder = self.open_of_slot(slot);
        let goes_on = holder.filter(|_| self.live.contains(&slot));
        let broadcast = goes_on.map_or(0, |holder| self.rows[holder].broadcast);
        if let Some(holder) = holder {
            self.stop(holder, StopReason::Moved);
        }
        self.rows.push(Row {
            id,
            connection,
            slot,
            status: Status::Active,
            reason: None,
            renewed_at: self.now,
            lost_at: 0,
            broadcast,
        });
    }

    /// Whether a heartbeat finds or revives the session.
    pub(super) fn heartbeat(&mut self, at: usize) -> bool {
        let row = self.rows[at].clone();
        if !row.status.is_open() {
            let has_newer = self.rows[at + 1..]
                .iter()
                .any(|newer| newer.connection == row.connection);
            let may_revive = row.reason == Some(StopReason::LeaseExpired)
                && !has_newer
                && self.open_of_slot(row.slot).is_none()
                && self.open().count() < self.max_connections;
            if !may_revive {
                return false;
            }
            self.rows[at].status = Status::Active;
            self.rows[at].reason = None;
            self.rows[at].broadcast = 0;
        }
        self.renew(at);
        true
    }

    pub(super) fn arrived(&mut self, slot: usize) {
        self.live.insert(slot);
        let Some(at) = self.open_of_slot(slot) else {
            return;
        };
        if self.rows[at].status == Status::Grace {
            self.rows[at].status = Status::Active;
            self.rows[at].broadcast += self.now - self.rows[at].lost_at;
        }
    }

    pub(super) fn lost(&mut self, slot: usize) {
        self.live.remove(&slot);
        let Some(at) = self.open_of_slot(slot) else {
            return;
        };
        if matches!(self.rows[at].status, Status::Active | Status::Grace) {
            self.rows[at].status = Status::Grace;
            self.rows[at].lost_at = self.now;
            self.renew(at);
        }
    }

    pub(super) fn streamed(&mut self, slot: usize, seconds: u64) {
        if let Some(at) = self.open_of_slot(slot) {
            self.rows[at].broadcast += seconds;
        }
    }

    pub(super) fn expire(&mut self) {
        let due: Vec<_> = self.open().collect();
        for at in due {
            let row = self.rows[at].clone();
            if self.live.contains(&row.slot) {
                continue;
            }
            match row.status {
                Status::Grace if self.now - row.lost_at >= GRACE => self.end_grace(at),
                Status::Active if self.now - row.renewed_at >= LEASE => {
                    self.stop(at, StopReason::LeaseExpired);
                }
                _ => {}
            }
        }
    }

    fn end_grace(&mut self, at: usize) {
        if self.rows[at].broadcast >= self.max_session {
            self.stop(at, StopReason::MaxSessionReached);
        } else if self.rows[at].connection == 0 {
            self.stop(at, StopReason::GraceOver);
        } else {
            self.rows[at].status = Status::Active;
            self.rows[at].broadcast = 0;
        }
    }

    pub(super) fn restart(&mut self) {
        self.live.clear();
        let open: Vec<_> = self.open().collect();
        for at in open {
            self.renew(at);
            self.rows[at].lost_at = self.now;
        }
    }
}
