//! The page "Live" and what its forms do.
//!
//! Invariant: an answer holds keys only when they were asked for, and only for who may control the slot.

mod passphrase;

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use serde::Deserialize;

pub use self::passphrase::change_passphrase;
use super::LiveService;
use super::card::{Cards, Focus};
use super::views::{LivePage, RefusedLabel, SlotCard};
use crate::accounts::extract::{BrowserActor, OptionalBrowserActor};
use crate::accounts::frame::Frame;
use crate::http::page::{Flash, Shell, render};
use crate::http::{ApiError, Form, Path, Query};
use crate::kernel::ids::SlotId;
use crate::kernel::{Error, Kind};
use crate::plans::billing::BillingService;
use crate::relay::RelayService;
use crate::relay::engine::Target;
use crate::slots::{KeyKind, SlotsService};

const TITLE: &str = "Live";

/// What the page can be asked for beside its plain form.
#[derive(Debug, Default, Deserialize)]
pub struct LiveQuery {
    /// The slot whose keys are shown.
    #[serde(default)]
    reveal: String,
    /// A slot that is shown in any case.
    #[serde(default)]
    slot: String,
    /// The user whose slots alone are shown.
    #[serde(default)]
    user: String,
    welcome: Option<String>,
    still: Option<String>,
    /// What a form did, as [`Done::code`] says.
    #[serde(default)]
    done: String,
}

/// `GET /live`
///
/// # Errors
/// The store's.
pub async fn show_live(
    cards: Cards,
    State(billing): State<BillingService>,
    BrowserActor(user): BrowserActor,
    frame: Frame,
    Query(query): Query<LiveQuery>,
) -> Result<Response, ApiError> {
    let revealed = query.reveal.parse().ok();
    let focus = Focus {
        user: query.user.parse().ok(),
        slot: query.slot.parse().ok().or(revealed),
    };
    let board = cards.board(&user.actor, focus).await?;
    let flash = Done::parse(&query.done).map(Done::flash);
    let mut notices = cards.notices(&user.actor).await;
    notices.extend(billing.past_due_notice(user.actor.user_id).await?);
    let page = LivePage {
        shell: frame.signed_in(TITLE, &user).with_flash(flash),
        notices,
        cards: cards.all(&board, revealed),
        is_all: board.is_all,
        focus: focus.user,
        is_welcome: query.welcome.is_some(),
        is_still: query.still.is_some(),
    };
    Ok(render(StatusCode::OK, &page))
}

/// Whether a card is asked for with its keys.
#[derive(Debug, Deserialize)]
pub struct CardQuery {
    reveal: Option<String>,
}

/// `GET /live/card/{slot_id}`: one card, for scripts. It never leads elsewhere, because a script that
/// follows would put the sign-in page into the card's place.
///
/// # Errors
/// 401 for a browser that is signed out, 404 for a slot that it may not see.
pub async fn show_card(
    cards: Cards,
    OptionalBrowserActor(user): OptionalBrowserActor,
    Path(slot_id): Path<SlotId>,
    Query(query): Query<CardQuery>,
) -> Result<Response, ApiError> {
    let user = user.ok_or_else(|| Error::unauthenticated("sign in first"))?;
    let board = cards.board(&user.actor, Focus::on(slot_id)).await?;
    let is_revealed = query.reveal.as_deref() == Some("1");
    let card = cards.one(&board, slot_id, is_revealed.then_some(slot_id))?;
    Ok(render(StatusCode::OK, &card))
}

/// A slot's new name.
#[derive(Debug, Deserialize)]
pub struct LabelForm {
    label: String,
}

/// `POST /slots/{slot_id}/label`
///
/// # Errors
/// 404 or 403 for a slot that is not the caller's to change.
pub async fn rename_slot(
    cards: Cards,
    State(slots): State<SlotsService>,
    BrowserActor(user): BrowserActor,
    frame: Frame,
    Path(slot_id): Path<SlotId>,
    Form(form): Form<LabelForm>,
) -> Result<Response, ApiError> {
    let problem = match slots.rename(&user.actor, slot_id, &form.label).await {
        Ok(()) => return Ok(Done::Renamed.back_to(slot_id)),
        Err(error) if error.kind() == Kind::Invalid => problem_of(&error),
        Err(error) => return Err(error.into()),
    };
    let board = cards.board(&user.actor, Focus::on(slot_id)).await?;
    let mut all = cards.all(&board, None);
    let card = card_to_control(&mut all, slot_id)?;
    card.refused = Some(RefusedLabel {
        typed: form.label,
        problem,
    });
    Ok(show_refused(frame.at("/live").signed_in(TITLE, &user), all))
}

fn card_to_control(cards: &mut [SlotCard], slot_id: SlotId) -> Result<&mut SlotCard, Error> {
    let card = cards.iter_mut().find(|card| card.slot_id == slot_id);
    card.filter(|card| card.can_control)
        .ok_or_else(|| Error::not_found("stream slot"))
}

/// The page with a form as it was typed; it stands still, so that there is time to put it right.
fn show_refused(shell: Shell, cards: Vec<SlotCard>) -> Response {
    let page = LivePage {
        shell,
        // Told on the page itself; this one is about a form.
        notices: Vec::new(),
        cards,
        is_all: true,
        focus: None,
        is_welcome: false,
        is_still: true,
    };
    render(StatusCode::UNPROCESSABLE_ENTITY, &page)
}

fn problem_of(error: &Error) -> String {
    let field = error.fields().first();
    let message = field.map_or(error.message(), |field| &field.message);
    crate::http::page::sentence(message)
}

/// Which key is replaced.
#[derive(Debug, Deserialize)]
pub struct RotateForm {
    key: String,
}

/// `POST /slots/{slot_id}/rotate`. The new key is not shown: whoever wants it asks for it.
///
/// # Errors
/// As [`RelayService::rotate_key`].
pub async fn rotate_key(
    State(relay): State<RelayService>,
    State(live): State<LiveService>,
    BrowserActor(user): BrowserActor,
    Path(slot_id): Path<SlotId>,
    Form(form): Form<RotateForm>,
) -> Result<Response, ApiError> {
    let kind = KeyKind::parse(&form.key)?;
    relay.rotate_key(&user.actor, slot_id, kind).await?;
    let done = match kind {
        KeyKind::Publish if !live.can_cut_off() => Done::RotatedUnderSender,
        KeyKind::Play if !live.can_cut_off() => Done::RotatedUnderPlayers,
        KeyKind::Publish | KeyKind::Play | KeyKind::Stats => Done::Rotated(kind),
    };
    Ok(done.back_to(slot_id))
}

/// `POST /slots/{slot_id}/disconnect`: cuts off who is sending; players stay, for when it comes back.
///
/// # Errors
/// As [`RelayService::disconnect`].
pub async fn disconnect(
    State(relay): State<RelayService>,
    State(live): State<LiveService>,
    BrowserActor(user): BrowserActor,
    Path(slot_id): Path<SlotId>,
) -> Result<Response, ApiError> {
    let target = Target::Publisher;
    let closed = relay.disconnect(&user.actor, slot_id, target).await?;
    let done = if closed > 0 {
        Done::Disconnected
    } else if live.can_cut_off() {
        Done::NobodyConnected
    } else {
        Done::SenderStays
    };
    Ok(done.back_to(slot_id))
}

/// What a form did, told on the page that follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    Renamed,
    Rotated(KeyKind),
    PassphraseSet,
    PassphraseRemoved,
    Disconnected,
    NobodyConnected,
    /// The next three on a relay that cannot cut off.
    SenderStays,
    RotatedUnderSender,
    RotatedUnderPlayers,
}

impl Done {
    const ALL: [Self; 11] = [
        Self::Renamed,
        Self::Rotated(KeyKind::Publish),
        Self::Rotated(KeyKind::Play),
        Self::Rotated(KeyKind::Stats),
        Self::PassphraseSet,
        Self::PassphraseRemoved,
        Self::Disconnected,
        Self::NobodyConnected,
        Self::SenderStays,
        Self::RotatedUnderSender,
        Self::RotatedUnderPlayers,
    ];

    /// The word in the address.
    const fn code(self) -> &'static str {
        match self {
            Self::Renamed => "renamed",
            Self::Rotated(KeyKind::Publish) => "publish-key",
            Self::Rotated(KeyKind::Play) => "play-key",
            Self::Rotated(KeyKind::Stats) => "stats-token",
            Self::PassphraseSet => "passphrase",
            Self::PassphraseRemoved => "no-passphrase",
            Self::Disconnected => "disconnected",
            Self::NobodyConnected => "nobody-connected",
            Self::SenderStays => "sender-stays",
            Self::RotatedUnderSender => "publish-key-sender-stays",
            Self::RotatedUnderPlayers => "play-key-players-stay",
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Renamed => "The slot has its new name.",
            Self::Rotated(KeyKind::Publish) => {
                "The publish key is replaced. Copy the new address into the phone or encoder."
            }
            Self::Rotated(KeyKind::Play) => {
                "The play key is replaced. Copy the new address into the Media Source of OBS."
            }
            Self::Rotated(KeyKind::Stats) => {
                "The statistics token is replaced. Tools that read the figures need the new one."
            }
            Self::PassphraseSet => {
                "The slot has a new passphrase. Both your phone and OBS must have it: copy the new addresses."
            }
            Self::PassphraseRemoved => {
                "The passphrase is removed. Take it out of your phone and OBS too."
            }
            Self::Disconnected => "Who was sending is cut off.",
            Self::NobodyConnected => "Nobody was sending, so nobody was cut off.",
            Self::SenderStays => {
                "This relay cannot cut anybody off. For up to a minute nobody new gets in; who is sending stays \
                 until they stop, or for half a minute where the relay runs in containers and nobody else is \
                 live. To keep them out afterwards, replace the publish key."
            }
            Self::RotatedUnderSender => {
                "The publish key is replaced. Copy the new address into the phone or encoder. This relay cannot \
                 cut anybody off: who is sending with the old key stays until they stop, or for half a minute \
                 where the relay runs in containers and nobody else is live."
            }
            Self::RotatedUnderPlayers => {
                "The play key is replaced. Copy the new address into the Media Source of OBS. This relay cannot \
                 cut anybody off: who is watching with the old key stays until they stop, and nobody new gets in \
                 with it."
            }
        }
    }

    fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|done| done.code() == code)
    }

    fn flash(self) -> Flash {
        Flash::success(self.text())
    }

    fn back_to(self, slot_id: SlotId) -> Response {
        let code = self.code();
        Redirect::to(&format!("/live?done={code}&slot={slot_id}#slot-{slot_id}")).into_response()
    }
}

#[cfg(test)]
#[path = "pages_tests.rs"]
pub(super) mod tests;
