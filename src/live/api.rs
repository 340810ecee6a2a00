//! `/stats/{key}`: figures for the plugin, scene switchers and overlays. The key in the path is the
//! credential; the relay's own management port is never published.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL};
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{LiveService, flat, legacy};
use crate::http::{AnonymousLimit, ApiError, Path, Peer, Query, RequestId};
use crate::kernel::{Error, Kind};
use crate::slots::SlotsService;

/// What a reader may ask for.
#[derive(Debug, Deserialize)]
pub struct StatsQuery {
    legacy: Option<String>,
}

/// Figures of the slot whose play key or stats token stands in the path. A slot that is offline is an
/// answer, an unknown key is 404. `legacy=1`, and no other value, asks for the legacy shape. Who guesses keys is
/// slowed down, who has one is not.
///
/// # Errors
/// The store's.
pub async fn get_stats(
    State(live): State<LiveService>,
    State(slots): State<SlotsService>,
    State(anonymous): State<AnonymousLimit>,
    peer: Peer,
    Path(key): Path<String>,
    Query(query): Query<StatsQuery>,
) -> Result<Response, ApiError> {
    let slot = match find_slot(&slots, &key).await {
        Ok(slot) => slot,
        Err(error) if error.kind() == Kind::NotFound => {
            anonymous.check(peer.ip)?;
            return Ok(unknown_key());
        }
        Err(error) => return Err(error.into()),
    };
    let status = live.status(slot.id);
    let is_legacy = query.legacy.as_deref() == Some("1");
    let body = if is_legacy {
        legacy(&status)
    } else {
        flat(&status)
    };
    Ok(answer(StatusCode::OK, body))
}

async fn find_slot(
    slots: &SlotsService,
    key: &str,
) -> Result<std::sync::Arc<crate::slots::Slot>, Error> {
    if key.starts_with("stats_") {
        slots.find_by_stats_token(key).await
    } else {
        slots.find_by_play_key(key).await
    }
}

/// The relay server's words beside our error body, because both kinds of readers come here.
fn unknown_key() -> Response {
    let request_id = RequestId::current().map(|id| id.to_string());
    let message = "Invalid player key";
    let error = json!({ "code": "not_found", "message": message, "request_id": request_id });
    let body = json!({ "message": message, "status": "error", "error": error });
    answer(StatusCode::NOT_FOUND, body)
}

fn answer(status: StatusCode, body: Value) -> Response {
    // Browser overlays of other origins may read what the key in the path allows anyway.
    let headers = [
        (ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, axum::Json(body)).into_response()
}
