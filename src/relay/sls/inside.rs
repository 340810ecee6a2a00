//! What the engine makes of what it is told from beside SLS: who is let in, who stays, whose a link is.
//!
//! Invariant: nobody is refused before every slot was named once, and then whoever has a key that is wanted
//! now is let in.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::SlsEngine;
use crate::relay::inside::{Caller, Inside, Lingering, Origin};

/// Players that are remembered; SLS has room for no more callers.
const PLAYERS_MAX: usize = 1024;

/// Players who were let in, with their keys.
#[derive(Default)]
pub(super) struct Players(Mutex<HashMap<SocketAddr, String>>);

impl std::fmt::Debug for Players {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Players(***)")
    }
}

impl Players {
    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside for SlsEngine {
    fn admits(&self, caller: &Caller) -> bool {
        let is_welcome = self.shared.roster.is_welcome(caller.is_player, &caller.key);
        if is_welcome && caller.is_player {
            let mut players = self.players.lock();
            if players.len() < PLAYERS_MAX {
                players.insert(caller.address, caller.key.clone());
            }
        }
        is_welcome
    }

    fn note_gone(&self, caller: &Caller) {
        if caller.is_player {
            self.players.lock().remove(&caller.address);
        }
    }

    fn note_restarted(&self) {
        self.players.lock().clear();
    }

    fn seeks_origins(&self) -> bool {
        self.shared.book().has_unknown()
    }

    fn note_origins(&self, origins: Vec<Origin>) {
        self.shared.book().note_origins(origins);
    }

    fn lingering(&self) -> Lingering {
        let (publishers, is_anybody_else_live) = self.shared.board.lingering();
        let players = self.players.lock();
        let is_left = |key: &&String| !self.shared.roster.is_welcome(true, key);
        Lingering {
            publishers,
            players: players.values().filter(is_left).count(),
            is_anybody_else_live,
        }
    }
}
