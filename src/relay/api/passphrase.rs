//! The passphrase of a slot.
//!
//! Invariant: only a request that says so removes a passphrase; one that says nothing is refused.

use axum::extract::State;
use axum::response::IntoResponse;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::accounts::extract::LenientPluginActor;
use crate::http::{ApiError, Json, Path};
use crate::kernel::secret::ExposeSecret;
use crate::kernel::{Error, Result};
use crate::relay::RelayService;
use crate::slots::api::slot_number;
use crate::slots::{Passphrase, PassphraseChange, SlotsService};

/// Either `generate` or `passphrase`; `null` removes it.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = PassphraseRequest)]
pub struct PassphraseBody {
    /// Draw one.
    #[serde(default)]
    #[schema(example = false)]
    generate: bool,
    /// 10 to 79 characters; `null` removes it.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "blue-kite-over-nine-hills")]
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

/// The passphrase of a slot.
#[derive(Serialize, ToSchema)]
#[schema(as = SlotPassphrase)]
struct PassphraseAnswer {
    #[schema(example = 1)]
    slot_number: u32,
    /// `null` when it has none.
    #[schema(required, example = "blue-kite-over-nine-hills")]
    passphrase: Option<String>,
}

/// Sets, draws or removes the passphrase of a slot and answers the one it has now; whoever is connected is
/// cut off.
///
/// # Errors
/// 400 for a bad passphrase, 404 for an unknown slot, 409 when the relay cannot encrypt, 503 when it does not
/// answer.
#[utoipa::path(
    put, path = "/api/v1/user/stream-slots/{number}/passphrase", tag = "Slots", security(("plugin" = [])),
    params(("number" = i64, Path, description = "Which slot, counted from 1.", example = 1)),
    request_body = PassphraseBody,
    responses((status = 200, description = "What it is now.", body = PassphraseAnswer)),
    extensions(("x-errors" = json!(["not_found", "conflict", "unavailable"]))),
)]
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
    Ok(axum::Json(PassphraseAnswer {
        slot_number: slot.slot_number,
        passphrase: passphrase.map(|passphrase| passphrase.expose().to_owned()),
    }))
}
