//! The passphrase of a slot.
//!
//! Invariant: only a request that says so removes a passphrase; one that says nothing is refused.

use axum::extract::State;
use axum::response::IntoResponse;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use serde_json::json;

use crate::accounts::extract::LenientPluginActor;
use crate::http::{ApiError, Json, Path};
use crate::kernel::secret::ExposeSecret;
use crate::kernel::{Error, Result};
use crate::relay::RelayService;
use crate::slots::api::slot_number;
use crate::slots::{Passphrase, PassphraseChange, SlotsService};

/// Either `generate` or `passphrase`; `null` removes it.
#[derive(Debug, Deserialize)]
pub struct PassphraseBody {
    #[serde(default)]
    generate: bool,
    #[serde(default)]
    passphrase: Wanted,
}

/// What a request says about the passphrase itself.
#[derive(Debug, Default)]
enum Wanted {
    #[default]
    Unsaid,
    None,
    Text(SecretString),
}

impl<'de> Deserialize<'de> for Wanted {
    fn deserialize<D: Deserializer<'de>>(value: D) -> std::result::Result<Self, D::Error> {
        let said = Option::<SecretString>::deserialize(value)?;
        Ok(said.map_or(Self::None, Self::Text))
    }
}

impl PassphraseBody {
    fn into_change(self) -> Result<PassphraseChange> {
        match (self.generate, self.passphrase) {
            (true, Wanted::Unsaid) => Ok(PassphraseChange::Generate),
            (false, Wanted::None) => Ok(PassphraseChange::Remove),
            (false, Wanted::Text(text)) => {
                let passphrase = Passphrase::parse(text.expose_secret())?;
                Ok(PassphraseChange::Set(passphrase))
            }
            (true, Wanted::None | Wanted::Text(_)) | (false, Wanted::Unsaid) => {
                Err(Error::invalid_field(
                    "passphrase",
                    "ambiguous",
                    "send a passphrase, null to remove it, or generate: true",
                ))
            }
        }
    }
}

/// Sets, draws or removes the passphrase of a slot and answers the one it has now; whoever is connected is
/// cut off.
///
/// # Errors
/// 400 for a bad passphrase, 404 for an unknown slot, 409 when the relay cannot encrypt, 503 when it does not
/// answer.
pub async fn put_passphrase(
    State(relay): State<RelayService>,
    State(slots): State<SlotsService>,
    LenientPluginActor(actor): LenientPluginActor,
    Path(number): Path<String>,
    Json(body): Json<PassphraseBody>,
) -> std::result::Result<impl IntoResponse, ApiError> {
    let change = body.into_change()?;
    let slot = slots.by_number(&actor, slot_number(&number)?).await?;
    let passphrase = relay.change_passphrase(&actor, slot.id, change).await?;
    Ok(axum::Json(json!({
        "slot_number": slot.slot_number,
        "passphrase": passphrase.as_ref().map(Passphrase::expose),
    })))
}
