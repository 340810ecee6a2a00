//! The cards of one reader: which slots, how much of each, and the figures for the push.
//!
//! Invariant: whoever may not control a slot gets neither its keys, nor senders' addresses, nor actions.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use bytes::Bytes;
use http::request::Parts;
use tokio::sync::broadcast;

use super::LiveService;
use super::addresses::{Shown, clients};
use super::frames::Look;
use super::model::State;
use super::present::{Reader, slot_figures};
use super::views::{PassphraseForms, SlotAddresses, SlotCard, SlotFigures};
use crate::accounts::AccountsService;
use crate::http::ApiError;
use crate::kernel::ids::{SlotId, UserId};
use crate::kernel::{Actor, Error, Kind, Result, Role, counted};
use crate::plans::{Entitlement, PlansService, Reason};
use crate::relay::RelayService;
use crate::relay::model::Moved;
use crate::settings::{PublicAddress, Settings};
use crate::slots::{LISTED_TOGETHER, Scope, Slot, SlotsService};

/// What cards are made from. A handler takes it as an argument.
#[derive(Debug, Clone)]
pub struct Cards {
    accounts: AccountsService,
    live: LiveService,
    plans: PlansService,
    relay: RelayService,
    settings: Settings,
    slots: SlotsService,
}

impl<S> FromRequestParts<S> for Cards
where
    AccountsService: FromRef<S>,
    LiveService: FromRef<S>,
    PlansService: FromRef<S>,
    RelayService: FromRef<S>,
    Settings: FromRef<S>,
    SlotsService: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(_: &mut Parts, state: &S) -> std::result::Result<Self, ApiError> {
        Ok(Self {
            accounts: AccountsService::from_ref(state),
            live: LiveService::from_ref(state),
            plans: PlansService::from_ref(state),
            relay: RelayService::from_ref(state),
            settings: Settings::from_ref(state),
            slots: SlotsService::from_ref(state),
        })
    }
}

/// One slot for one reader.
#[derive(Debug, Clone)]
struct Listed {
    slot: Arc<Slot>,
    /// How its node is reached.
    address: Arc<PublicAddress>,
    /// Whose it is, when it is not the reader's own.
    owner: Option<String>,
    can_control: bool,
    /// Why it admits nobody, when its owner's plan does not cover it.
    uncovered: Option<String>,
}

/// Which part of the slots a page is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Focus {
    /// One user's slots alone.
    pub(super) user: Option<UserId>,
    /// A slot that is shown in any case.
    pub(super) slot: Option<SlotId>,
}

impl Focus {
    /// On one slot.
    pub(super) const fn on(slot_id: SlotId) -> Self {
        Self {
            user: None,
            slot: Some(slot_id),
        }
    }
}

/// The slots that a reader may see, the reader's own first.
#[derive(Debug, Clone)]
pub(super) struct Board {
    all: Vec<Listed>,
    /// Nobody's are left out because all are too many.
    pub(super) is_all: bool,
    /// Where each stands in `all`.
    places: HashMap<SlotId, usize>,
}

impl Board {
    fn new(
        slots: Vec<(Arc<Slot>, Arc<PublicAddress>)>,
        is_all: bool,
        actor: &Actor,
        names: &HashMap<UserId, String>,
        plans: &HashMap<UserId, Entitlement>,
    ) -> Self {
        let listed = |(slot, address): (Arc<Slot>, Arc<PublicAddress>)| {
            let is_own = slot.user_id == actor.user_id;
            let name = || names.get(&slot.user_id).cloned().unwrap_or_default();
            Listed {
                owner: (!is_own).then(name),
                can_control: actor.may_control(slot.user_id),
                uncovered: plans
                    .get(&slot.user_id)
                    .and_then(|plan| uncovered(plan, slot.slot_number)),
                slot,
                address,
            }
        };
        let mut all: Vec<_> = slots.into_iter().map(listed).collect();
        // Stable: by number within each owner. No name sorts before every name.
        all.sort_by(|left, right| left.owner.cmp(&right.owner));
        let places = all.iter().enumerate();
        let places = places.map(|(place, listed)| (listed.slot.id, place));
        Self {
            places: places.collect(),
            all,
            is_all,
        }
    }

    /// The slots, in the order of the page.
    pub(super) fn slot_ids(&self) -> impl Iterator<Item = SlotId> {
        self.all.iter().map(|listed| listed.slot.id)
    }

    /// Whether a slot is on it.
    pub(super) fn has(&self, slot_id: SlotId) -> bool {
        self.places.contains_key(&slot_id)
    }

    fn find(&self, slot_id: SlotId) -> Result<&Listed> {
        let place = self.places.get(&slot_id);
        place
            .and_then(|place| self.all.get(*place))
            .ok_or_else(|| Error::not_found("stream slot"))
    }

    fn own(&self) -> impl Iterator<Item = &Listed> {
        // They stand first.
        let own = self.all.iter().take_while(|listed| listed.owner.is_none());
        own.filter(|listed| listed.can_control)
    }
}

impl Cards {
    /// What an operator should know of; nothing for anyone else.
    pub(super) async fn notices(&self, actor: &Actor) -> Vec<String> {
        if actor.is_operator() {
            self.live.notices().await
        } else {
            Vec::new()
        }
    }

    /// Ids of slots as they change.
    pub(super) fn changes(&self) -> broadcast::Receiver<SlotId> {
        self.live.changes()
    }

    /// The slots that `actor` may see; when all are too many, the reader's own and those on air.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn board(&self, actor: &Actor, focus: Focus) -> Result<Board> {
        let scope = focus
            .user
            .map_or_else(|| self.everybody(focus), Scope::Owner);
        let visible = self.slots.list_visible(actor, scope).await?;
        let (mut slots, is_all) = (visible.slots, visible.is_all);
        slots.retain(|slot| self.concerns(actor, slot));
        let names = match actor.role {
            Role::Streamer => HashMap::new(),
            Role::Owner | Role::Operator | Role::Viewer => {
                let owners = slots.iter().map(|slot| slot.user_id).collect();
                self.accounts.display_names(actor, owners).await?
            }
        };
        let ids = slots.iter().map(|slot| slot.id).collect();
        let addresses = self.relay.addresses_of(ids).await?;
        let own = self.settings.public_address();
        let reached = |slot: Arc<Slot>| {
            let address = addresses.get(&slot.id).unwrap_or(&own);
            (slot, Arc::clone(address))
        };
        let slots: Vec<_> = slots.into_iter().map(reached).collect();
        let plans = self.entitlements(&slots).await?;
        Ok(Board::new(slots, is_all, actor, &names, &plans))
    }

    /// What the plans of the slots' owners entitle to, from memory as a rule.
    async fn entitlements(
        &self,
        slots: &[(Arc<Slot>, Arc<PublicAddress>)],
    ) -> Result<HashMap<UserId, Entitlement>> {
        let mut plans = HashMap::new();
        for (slot, _) in slots {
            if plans.contains_key(&slot.user_id) {
                continue;
            }
            match self.plans.entitlement(slot.user_id).await {
                Ok(plan) => drop(plans.insert(slot.user_id, plan)),
                // The user went meanwhile.
                Err(error) if error.kind() == Kind::Forbidden => {}
                Err(error) => return Err(error),
            }
        }
        Ok(plans)
    }

    fn everybody(&self, focus: Focus) -> Scope {
        let mut wanted = self.live.slots_on_air(LISTED_TOGETHER as usize);
        wanted.extend(focus.slot.filter(|id| !wanted.contains(id)));
        Scope::Everybody { wanted }
    }

    /// A viewer cannot send, so slots of their own that nobody ever used would only be in the way.
    fn concerns(&self, actor: &Actor, slot: &Slot) -> bool {
        actor.may_control(slot.user_id)
            || slot.user_id != actor.user_id
            || self.state(slot.id) != State::Waiting
    }

    /// Every card of the board; `revealed` names the slot whose keys are shown.
    pub(super) fn all(&self, board: &Board, revealed: Option<SlotId>) -> Vec<SlotCard> {
        let card = |listed| self.card(board, listed, revealed);
        board.all.iter().map(card).collect()
    }

    /// One card.
    ///
    /// # Errors
    /// `NotFound` when the slot is not on the board.
    pub(super) fn one(
        &self,
        board: &Board,
        slot_id: SlotId,
        revealed: Option<SlotId>,
    ) -> Result<SlotCard> {
        let listed = board.find(slot_id)?;
        Ok(self.card(board, listed, revealed))
    }

    /// The event that tells a slot's figures to a page.
    ///
    /// # Errors
    /// `NotFound` when the slot is not on the board.
    pub(super) fn event(&self, board: &Board, slot_id: SlotId) -> Result<Bytes> {
        let listed = board.find(slot_id)?;
        let guided = self.guided(board);
        let look = Look {
            slot_id,
            can_control: listed.can_control,
            has_steps: guided == Some(slot_id),
        };
        self.live.frame(look, |revision| {
            let figures = self.figures_of(listed, guided);
            let data = figures.event_data().map_err(Error::internal)?;
            // One line of JSON, so one line of data. The id tells of when the figures are.
            let id = revision.at.0;
            Ok(Bytes::from(format!(
                "event: card\ndata: {data}\nid: {id}\n\n"
            )))
        })
    }

    /// The state of a slot, whoever asks.
    pub(super) fn state(&self, slot_id: SlotId) -> State {
        self.live.state(slot_id).0
    }

    /// The slot that shows the steps to the first packet: the reader's first, as long as none of the
    /// reader's slots ever had media.
    fn guided(&self, board: &Board) -> Option<SlotId> {
        let is_waiting = |listed: &Listed| self.state(listed.slot.id) == State::Waiting;
        let first = board.own().next()?;
        board.own().all(is_waiting).then_some(first.slot.id)
    }

    fn card(&self, board: &Board, listed: &Listed, revealed: Option<SlotId>) -> SlotCard {
        let guided = self.guided(board);
        let slot = &listed.slot;
        let is_open = guided == Some(slot.id) || board.all.len() == 1;
        let is_revealed = revealed == Some(slot.id);
        let addresses = || self.addresses(listed, is_revealed, is_open);
        SlotCard {
            slot_id: slot.id,
            label: slot.label.clone(),
            owner: listed.owner.clone(),
            figures: self.figures_of(listed, guided),
            addresses: listed.can_control.then(addresses),
            can_control: listed.can_control,
            uncovered: listed.uncovered.clone(),
            refused: None,
            passphrase: PassphraseForms {
                is_set: listed.can_control && slot.keys.passphrase.is_some(),
                can_encrypt: self.live.can_encrypt(),
                refused: None,
            },
        }
    }

    fn addresses(&self, listed: &Listed, is_revealed: bool, is_open: bool) -> SlotAddresses {
        let (slot, address) = (&listed.slot, &listed.address);
        let has_passphrase = slot.keys.passphrase.is_some();
        let shown = if is_revealed {
            Shown::Revealed(&slot.keys)
        } else {
            Shown::Masked { has_passphrase }
        };
        SlotAddresses {
            slot_id: slot.id,
            clients: clients(slot.id, address, shown, self.live.recommended_latency()),
            is_revealed,
            has_passphrase,
            is_open,
        }
    }

    fn figures_of(&self, listed: &Listed, guided: Option<SlotId>) -> SlotFigures {
        let slot_id = listed.slot.id;
        let reader = Reader {
            now: self.live.now(),
            ports: listed.address.ports,
            sees_addresses: listed.can_control,
            has_steps: guided == Some(slot_id),
        };
        let mut figures = slot_figures(slot_id, &self.live.status(slot_id), reader);
        // Where to send to is of no use to who cannot see the key.
        if !listed.can_control && figures.guide.take().is_some() {
            figures.note = Some("No media yet.".to_owned());
        }
        if let Some(moved) = self.relay.moved(slot_id) {
            figures.note = Some(moved_note(&moved, figures.note, listed.can_control));
        }
        figures
    }
}

/// Why a slot admits nobody; `None` for one that the plan covers.
fn uncovered(plan: &Entitlement, slot_number: u32) -> Option<String> {
    if plan.covers_slot(slot_number) {
        return None;
    }
    let why = match plan.reason_code {
        Reason::SubscriptionRequired => "the plan includes no relay".to_owned(),
        _ if !plan.is_enabled() => "the plan is not active".to_owned(),
        _ => format!(
            "the plan covers {}, and this is number {slot_number}",
            counted(plan.max_slots, "slot", "slots")
        ),
    };
    Some(format!(
        "Nobody can send or play here: {why}. Its keys are kept."
    ))
}

/// What a reader is told of a session that we moved.
fn moved_note(moved: &Moved, note: Option<String>, can_control: bool) -> String {
    let Moved {
        from_region,
        to_region,
        ..
    } = moved;
    let remedy = if can_control {
        " Phone and OBS need the addresses below, unless these are a name that they use already."
    } else {
        ""
    };
    let told = format!(
        "The relay failed or was taken out, so the stream was moved from {from_region} to {to_region}.{remedy}"
    );
    note.map_or_else(|| told.clone(), |note| format!("{told} {note}"))
}
