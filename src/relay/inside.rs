//! What whoever looks after an SLS's containers and the engine that speaks to that SLS tell each other.
//!
//! Invariant: keys pass through here and are printed by nobody.

use std::fmt;
use std::net::SocketAddr;

use super::engine::Engine;

/// Somebody who wants in, as SLS tells of him.
#[derive(Clone, PartialEq, Eq)]
pub struct Caller {
    /// Whether he plays; else he publishes.
    pub is_player: bool,
    /// His key.
    pub key: String,
    /// Where SLS sees him: for a bonded publisher that is the receiver.
    pub address: SocketAddr,
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("is_player", &self.is_player)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// A link of a bonded publisher, and the publish key that it carries.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// Where the link's packets come from.
    pub link: SocketAddr,
    /// The publish key.
    pub publish_key: String,
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin")
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}

/// Those who are connected with keys that are no longer good, and whom the engine cannot end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lingering {
    /// Publishers.
    pub publishers: usize,
    /// Players, as far as the engine is told of players.
    pub players: usize,
    /// Whether anybody publishes with a key that is good.
    pub is_anybody_else_live: bool,
}

impl Lingering {
    /// Whether there are some.
    #[must_use]
    pub fn is_any(self) -> bool {
        self.publishers + self.players > 0
    }
}

/// An engine that speaks to an SLS which others look after. What it does not override, it has no use for.
pub trait Inside: Engine {
    /// Whether somebody is let in, who is told of before SLS takes his media.
    fn admits(&self, _caller: &Caller) -> bool {
        true
    }

    /// Somebody who was let in is gone.
    fn note_gone(&self, _caller: &Caller) {}

    /// SLS began anew: nobody is connected any more.
    fn note_restarted(&self) {}

    /// Whether there are links of which it does not know whose they are.
    fn seeks_origins(&self) -> bool {
        false
    }

    /// What is known of links.
    fn note_origins(&self, _origins: Vec<Origin>) {}

    /// Who stays although his key is no longer good.
    fn lingering(&self) -> Lingering {
        Lingering::default()
    }
}
