//! The forms about a slot's passphrase.
//!
//! Invariant: no answer holds a passphrase but the one to a refused form, which keeps what was typed.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::{Done, TITLE, card_to_control, problem_of, show_refused};
use crate::accounts::extract::BrowserActor;
use crate::accounts::frame::Frame;
use crate::http::{ApiError, Form, Path};
use crate::kernel::Result;
use crate::kernel::ids::SlotId;
use crate::kernel::secret::{ExposeSecret, SecretString};
use crate::live::card::{Cards, Focus};
use crate::live::views::RefusedPassphrase;
use crate::relay::RelayService;
use crate::slots::{Passphrase, PassphraseChange};

/// What is to be done, and the passphrase that was typed.
#[derive(Debug, Deserialize)]
pub struct PassphraseForm {
    action: Action,
    #[serde(default)]
    passphrase: SecretString,
}

/// Which of the forms was sent.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Generate,
    Set,
    Remove,
}

impl PassphraseForm {
    fn change(&self) -> Result<PassphraseChange> {
        Ok(match self.action {
            Action::Generate => PassphraseChange::Generate,
            Action::Set => {
                PassphraseChange::Set(Passphrase::parse(self.passphrase.expose_secret())?)
            }
            Action::Remove => PassphraseChange::Remove,
        })
    }
}

/// `POST /slots/{slot_id}/passphrase`. A new passphrase is not shown: whoever wants it asks for it.
///
/// # Errors
/// As [`RelayService::change_passphrase`].
pub async fn change_passphrase(
    cards: Cards,
    State(relay): State<RelayService>,
    BrowserActor(user): BrowserActor,
    frame: Frame,
    Path(slot_id): Path<SlotId>,
    Form(form): Form<PassphraseForm>,
) -> std::result::Result<Response, ApiError> {
    let problem = match form.change() {
        Ok(change) => {
            let now = relay
                .change_passphrase(&user.actor, slot_id, change)
                .await?;
            let done = now.map_or(Done::PassphraseRemoved, |_| Done::PassphraseSet);
            return Ok(done.back_to(slot_id));
        }
        Err(error) => problem_of(&error),
    };
    let board = cards.board(&user.actor, Focus::on(slot_id)).await?;
    let mut all = cards.all(&board, None);
    let card = card_to_control(&mut all, slot_id)?;
    card.passphrase.refused = Some(RefusedPassphrase {
        typed: form.passphrase,
        problem,
    });
    Ok(show_refused(frame.at("/live").signed_in(TITLE, &user), all))
}
