//! What the page "Live" shows: a card for each slot.
//!
//! A card has three parts that change on their own: the figures (every second, pushed), the
//! addresses (masked or revealed) and the actions. Each is an element with an id of its own, so
//! that new figures never close an open form nor take the focus from it.
//!
//! Invariant: a card for someone who may not see secrets has neither addresses nor actions.

use askama::Template;
use askama::filters::HtmlSafe;

use super::addresses::Client;
use super::sparkline::Sparkline;
use crate::http::moment::Moment;
use crate::http::page::Shell;
use crate::kernel::ids::{SlotId, UserId};
use crate::kernel::secret::{ExposeSecret, SecretString};

/// What a slot is doing, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotState {
    /// Media is arriving.
    Live,
    /// Media stopped a moment ago and may go on.
    Reconnecting,
    /// Nothing is arriving.
    Offline,
    /// Nothing has ever arrived.
    Waiting,
}

impl SlotState {
    /// The word that a person reads.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Live => "LIVE",
            Self::Reconnecting => "RECONNECTING",
            Self::Offline => "OFFLINE",
            Self::Waiting => "WAITING",
        }
    }

    /// The name of the class and of the icon.
    #[must_use]
    pub const fn style(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Reconnecting => "reconnecting",
            Self::Offline => "offline",
            Self::Waiting => "waiting",
        }
    }
}

/// The page.
#[derive(Debug, Template)]
#[template(path = "pages/live/live.html")]
pub struct LivePage {
    /// What is around the content.
    pub shell: Shell,
    /// What an operator should know of and can mend; empty for anyone else.
    pub notices: Vec<String>,
    /// The slots that the user may see, in their order.
    pub cards: Vec<SlotCard>,
    /// Nobody's slots are left out because all are too many.
    pub is_all: bool,
    /// The user whose slots alone are shown.
    pub focus: Option<UserId>,
    /// Whether this is the first visit after the setup.
    pub is_welcome: bool,
    /// Whether a reader without scripts asked for a page that does not load itself anew
    /// (`?still=1`), to have time for a form.
    pub is_still: bool,
}

impl LivePage {
    /// Whether any card shows its keys, so that the page hides them again after a minute.
    #[must_use]
    pub fn is_revealed(&self) -> bool {
        self.cards.iter().any(SlotCard::is_revealed)
    }
}

/// One slot.
#[derive(Debug, Template)]
#[template(path = "parts/slot_card.html")]
pub struct SlotCard {
    /// The slot.
    pub slot_id: SlotId,
    /// The name that its owner gave it.
    pub label: String,
    /// Whose slot it is, when it is not the reader's own.
    pub owner: Option<String>,
    /// What changes every second.
    pub figures: SlotFigures,
    /// Where to send to and to play from; `None` for who may not see secrets.
    pub addresses: Option<SlotAddresses>,
    /// Whether the reader may rename, rotate and disconnect.
    pub can_control: bool,
    /// Why nobody may send or play, when the owner's plan does not cover the slot.
    pub uncovered: Option<String>,
    /// The name that was just refused, when one was.
    pub refused: Option<RefusedLabel>,
    /// What the forms about the passphrase need.
    pub passphrase: PassphraseForms,
}

/// A name that the form of a slot sent and that cannot be.
#[derive(Debug, Clone)]
pub struct RefusedLabel {
    /// What was typed.
    pub typed: String,
    /// What is wrong with it, and what to do.
    pub problem: String,
}

/// What the forms about a slot's passphrase need to know.
#[derive(Debug, Clone, Default)]
pub struct PassphraseForms {
    /// Whether the slot has a passphrase.
    pub is_set: bool,
    /// Whether the relay can encrypt; one that cannot takes no passphrase.
    pub can_encrypt: bool,
    /// The passphrase that was just refused, when one was.
    pub refused: Option<RefusedPassphrase>,
}

/// A passphrase that its owner typed and that cannot be.
#[derive(Debug, Clone)]
pub struct RefusedPassphrase {
    /// What was typed.
    pub typed: SecretString,
    /// What is wrong with it, and what to do.
    pub problem: String,
}

impl SlotCard {
    /// Whether the keys are in this card.
    #[must_use]
    pub fn is_revealed(&self) -> bool {
        self.addresses
            .as_ref()
            .is_some_and(|addresses| addresses.is_revealed)
    }
}

/// The addresses of a slot, keys masked or not.
#[derive(Debug, Template)]
#[template(path = "parts/slot_addresses.html")]
pub struct SlotAddresses {
    /// The slot.
    pub slot_id: SlotId,
    /// One entry for each kind of program; see [`super::addresses::clients`].
    pub clients: Vec<Client>,
    /// Whether the keys are shown.
    pub is_revealed: bool,
    /// Whether the slot has a passphrase.
    pub has_passphrase: bool,
    /// Whether the list is unfolded although its keys are masked: for a slot that waits for its
    /// first media, and for one without siblings.
    pub is_open: bool,
}

/// What changes every second: pushed as HTML in the event `card`, and part of the card.
#[derive(Debug, Template)]
#[template(path = "parts/slot_figures.html")]
pub struct SlotFigures {
    /// The slot.
    pub slot_id: SlotId,
    /// The state.
    pub state: SlotState,
    /// Since when it is so; `None` when that is not known.
    pub since: Option<Moment>,
    /// What a reader should know about the state, as a sentence.
    pub note: Option<String>,
    /// The figures of the stream; `None` unless live or reconnecting.
    pub stream: Option<StreamFigures>,
    /// What to do to make the first media come; `None` once some has come.
    pub guide: Option<FirstPacketGuide>,
}

impl SlotFigures {
    /// The data of the event `card`: `{"slot": "slt_...", "html": "..."}` in one line.
    ///
    /// # Errors
    /// When the template cannot be rendered.
    pub fn event_data(&self) -> askama::Result<String> {
        let slot = self.slot_id.to_string();
        Ok(serde_json::json!({ "slot": slot, "html": self.render()? }).to_string())
    }
}

/// The figures of a stream, each already with its unit.
#[derive(Debug)]
pub struct StreamFigures {
    /// The bit rate without its unit, such as `5.9`.
    pub bitrate_number: String,
    /// The unit of the bit rate, such as `Mbit/s`.
    pub bitrate_unit: &'static str,
    /// The last five minutes.
    pub sparkline: Sparkline,
    /// The other figures, most useful first.
    pub items: Vec<FigureItem>,
    /// The networks of a bonded publisher; one entry for a plain one.
    pub links: Vec<LinkRow>,
}

/// One figure with its name.
#[derive(Debug, Clone)]
pub struct FigureItem {
    /// The name, such as `Round trip`.
    pub label: &'static str,
    /// The value with its unit, such as `48 ms`.
    pub value: String,
    /// Whether the value is one to worry about; said in words too.
    pub warning: Option<&'static str>,
}

impl FigureItem {
    /// A figure that is as it should be.
    #[must_use]
    pub const fn new(label: &'static str, value: String) -> Self {
        Self {
            label,
            value,
            warning: None,
        }
    }

    /// With a word of warning, when there is one.
    #[must_use]
    pub const fn with_warning(mut self, warning: Option<&'static str>) -> Self {
        self.warning = warning;
        self
    }
}

/// One network of a publisher.
#[derive(Debug, Clone)]
pub struct LinkRow {
    /// A name for it: the carrier where it is known, else `Link 1`.
    pub name: String,
    /// The sender's address; `None` for who may not see it.
    pub address: Option<String>,
    /// Its part of the traffic, 0 to 100.
    pub share_percent: u8,
    /// What it carries now, such as `2.1 Mbit/s`.
    pub bitrate: String,
    /// When its last packet came, such as `40 ms ago`.
    pub last_packet: String,
    /// Whether that is so long ago that the network is probably gone.
    pub is_silent: bool,
    /// What the sender itself measures on it; `None` when it does not tell.
    pub sender: Option<String>,
}

/// What a slot shows that has never had media.
#[derive(Debug, Clone)]
pub struct FirstPacketGuide {
    /// The UDP port for bonded senders.
    pub srtla_port: u16,
    /// The UDP port for plain SRT senders.
    pub publish_port: u16,
    /// Whether the steps are shown, or one line only: for the first slot, not for its siblings.
    pub has_steps: bool,
}

// The templates of these parts escape what they are given, so a page takes them as they are.
impl HtmlSafe for SlotCard {}
impl HtmlSafe for SlotAddresses {}
impl HtmlSafe for SlotFigures {}

#[cfg(test)]
#[path = "views_tests.rs"]
pub(crate) mod tests;
