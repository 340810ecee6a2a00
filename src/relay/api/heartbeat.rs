//! `relay/health`: a plugin with its token, or whoever knows the shared key.

use axum::extract::{FromRef, FromRequestParts, State};
use axum::response::IntoResponse;
use http::request::Parts;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::sessions::session_id;
use crate::accounts::AccountsService;
use crate::accounts::extract::LenientPluginActor;
use crate::http::{ApiError, Json};
use crate::kernel::{Error, UnixMillis};
use crate::relay::RelayService;
use crate::relay::model::HealthReport;
use crate::relay::service::HeartbeatFrom;

/// A week; more is a broken clock.
const LONGEST_UPTIME_SECONDS: u64 = 604_800;

/// The proved sender of a heartbeat.
#[derive(Debug, Clone, Copy)]
pub struct HeartbeatCaller(pub HeartbeatFrom);

impl<S> FromRequestParts<S> for HeartbeatCaller
where
    AccountsService: FromRef<S>,
    RelayService: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let relay = RelayService::from_ref(state);
        let by_key = parts
            .headers
            .get("x-relay-auth")
            .map(|given| relay.check_shared_key(given.to_str().unwrap_or_default()));
        if let Some(Ok(from)) = by_key {
            return Ok(Self(from));
        }
        match (
            LenientPluginActor::from_request_parts(parts, state).await,
            by_key,
        ) {
            (Ok(LenientPluginActor(actor)), _) => Ok(Self(HeartbeatFrom::User(actor))),
            (Err(_), Some(Err(wrong_key))) => Err(wrong_key.into()),
            (Err(rejection), _) => Err(rejection),
        }
    }
}

/// A sign of life. Only `session_id` is needed; what else is known is checked for sense, and kept when the sender
/// says how long its session is up.
#[derive(Debug, Deserialize, ToSchema)]
pub struct HeartbeatBody {
    #[schema(min_length = 1, example = "ses_0197f3a2b4c87d10a1b2c3d4e5f60718")]
    session_id: String,
    /// Whether media reach the relay; no when it is left out.
    ingest_active: Option<bool>,
    /// Whether media leave it; no when it is left out.
    egress_active: Option<bool>,
    #[schema(maximum = 604_800, example = 3600)]
    session_uptime_seconds: Option<u64>,
    /// RFC 3339; empty means now.
    #[schema(example = "2026-02-21T21:15:00Z")]
    observed_at: Option<String>,
}

impl HeartbeatBody {
    fn check(&self) -> Result<(), Error> {
        if self.session_id.is_empty() {
            let message = "name the session";
            return Err(Error::invalid_field("session_id", "required", message));
        }
        if self.session_uptime_seconds.unwrap_or(0) > LONGEST_UPTIME_SECONDS {
            let message = "use 0 to 604800";
            let field = "session_uptime_seconds";
            return Err(Error::invalid_field(field, "out_of_range", message));
        }
        let observed_at = self.observed_at.as_deref().unwrap_or_default();
        if !observed_at.is_empty() && observed_at.parse::<jiff::Timestamp>().is_err() {
            let message = "use RFC 3339, such as 2026-02-21T21:15:00Z";
            return Err(Error::invalid_field(
                "observed_at",
                "invalid_format",
                message,
            ));
        }
        Ok(())
    }

    /// What it tells of the session; `None` when it only says that it lives.
    fn report(&self, now: UnixMillis) -> Option<HealthReport> {
        let observed_at = self.observed_at.as_deref().unwrap_or_default();
        let observed_at = observed_at.parse::<jiff::Timestamp>().ok();
        Some(HealthReport {
            observed_at: observed_at.map_or(now, |at| UnixMillis(at.as_millisecond())),
            ingest_active: self.ingest_active.unwrap_or(false),
            egress_active: self.egress_active.unwrap_or(false),
            session_uptime_seconds: self.session_uptime_seconds?,
        })
    }
}

/// Always says yes.
#[derive(Serialize, ToSchema)]
struct HeartbeatAnswer {
    #[schema(example = true)]
    ok: bool,
}

/// Keeps a session alive.
///
/// # Errors
/// 404 when it is unknown or over for good.
#[utoipa::path(
    post, path = "/api/v1/relay/health", tag = "Relay",
    security(("plugin" = []), ("relay_key" = [])),
    request_body = HeartbeatBody,
    responses((status = 200, description = "The session lives on.", body = HeartbeatAnswer)),
    extensions(("x-errors" = json!(["not_found"]))),
)]
pub async fn heartbeat(
    State(relay): State<RelayService>,
    HeartbeatCaller(from): HeartbeatCaller,
    Json(body): Json<HeartbeatBody>,
) -> Result<impl IntoResponse, ApiError> {
    body.check()?;
    let id = session_id(Some(&body.session_id))?;
    relay.heartbeat(from, id).await?;
    if let Some(report) = body.report(relay.now()) {
        relay.note_health(id, report);
    }
    Ok(axum::Json(HeartbeatAnswer { ok: true }))
}
