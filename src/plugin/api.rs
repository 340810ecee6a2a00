//! The plugin's sign-in, its session and its refresh, in JSON.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::model::{DENIED, Decision, device};
use super::service::{PluginService, Poll, StartedLogin};
use super::snapshot::{Snapshot, Snapshots};
use crate::accounts::AccountsService;
use crate::accounts::extract::PluginActor;
use crate::accounts::model::TokenPair;
use crate::http::{ApiError, Json, Peer, status_of};
use crate::kernel::ids::LoginAttemptId;
use crate::kernel::secret::ExposeSecret;
use crate::kernel::{Error, Kind, UnixMillis, error_chain};

/// The header that carries `plugin_login_complete_key`.
const COMPLETE_KEY_HEADER: &str = "x-plugin-login-auth";
/// Characters of a reason that another page of the operator may give.
const REASON_CHARACTERS: usize = 64;

/// The body of `login/start`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = LoginStartRequest)]
pub struct StartRequest {
    client: ClientBody,
}

/// Which program asks.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = LoginClient)]
struct ClientBody {
    #[schema(example = "windows", min_length = 1, max_length = 32)]
    platform: String,
    #[serde(default)]
    #[schema(example = "0.0.5", max_length = 32)]
    plugin_version: Option<String>,
    #[serde(default)]
    #[schema(example = "OBS Desktop", max_length = 128)]
    device_name: Option<String>,
}

/// A sign-in that waits for a person.
#[derive(Serialize, ToSchema)]
#[schema(as = LoginStarted)]
struct StartAnswer {
    login_attempt_id: LoginAttemptId,
    /// The page on which a person approves.
    #[schema(
        example = "https://relay.example.org/login/plugin?attempt=pla_0197f3a2b4c87d10a1b2c3d4e5f60718"
    )]
    authorize_url: String,
    /// For `login/poll`.
    #[schema(example = "cG9sbCB0b2tlbiBvZiB0aGlzIGF0dGVtcHQ")]
    poll_token: String,
    expires_at: UnixMillis,
    #[schema(example = 3)]
    poll_interval_seconds: u64,
    /// The page shows it, too.
    #[schema(example = "K7MX-2P9A")]
    short_code: String,
}

impl From<StartedLogin> for StartAnswer {
    fn from(started: StartedLogin) -> Self {
        Self {
            login_attempt_id: started.id,
            authorize_url: started.authorize_url,
            poll_token: started.poll_token.expose_secret().to_owned(),
            expires_at: started.expires_at,
            poll_interval_seconds: started.poll_interval.as_secs(),
            short_code: started.short_code.to_string(),
        }
    }
}

/// Begins a plugin's sign-in.
///
/// # Errors
/// 400 when the client does not name its platform, 429 when its address starts too many.
#[utoipa::path(
    post, path = "/api/v1/auth/plugin/login/start", tag = "Sign-in",
    request_body = StartRequest,
    responses((status = 201, description = "Show `authorize_url` to a person, then poll.", body = StartAnswer)),
)]
pub async fn start_login(
    State(plugin): State<PluginService>,
    peer: Peer,
    Json(request): Json<StartRequest>,
) -> Result<impl IntoResponse, ApiError> {
    let client = request.client;
    let version = client.plugin_version.unwrap_or_default();
    let name = client.device_name.unwrap_or_default();
    let started = plugin
        .start_login(device(&client.platform, &version, &name)?, peer.ip)
        .await?;
    Ok((StatusCode::CREATED, axum::Json(StartAnswer::from(started))))
}

/// The body of `login/poll`.
#[derive(Deserialize, ToSchema)]
#[schema(as = LoginPollRequest)]
pub struct PollRequest {
    #[schema(min_length = 1, example = "pla_0197f3a2b4c87d10a1b2c3d4e5f60718")]
    login_attempt_id: String,
    #[schema(min_length = 1, example = "cG9sbCB0b2tlbiBvZiB0aGlzIGF0dGVtcHQ")]
    poll_token: String,
}

impl std::fmt::Debug for PollRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PollRequest({:?})", self.login_attempt_id)
    }
}

/// What the plugin keeps.
#[derive(Serialize, ToSchema)]
struct Tokens {
    /// Send it as `Authorization: Bearer`.
    #[schema(example = "eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl")]
    cp_access_jwt: String,
    /// For `auth/refresh`.
    #[schema(example = "bmV3IHRva2VuIG9mIHRoaXMgcGx1Z2luIHNlc3Npb24")]
    refresh_token: String,
}

impl From<&TokenPair> for Tokens {
    fn from(pair: &TokenPair) -> Self {
        Self {
            cp_access_jwt: pair.access_jwt.expose_secret().to_owned(),
            refresh_token: pair.refresh_token.expose_secret().to_owned(),
        }
    }
}

/// A poll that takes longer is answered as "not yet": the plugin gives up on a server error.
const POLL_TIME_LIMIT: Duration = Duration::from_secs(10);

/// Tokens and snapshot, as poll and refresh answer.
#[derive(Serialize, ToSchema)]
#[schema(as = SignedIn)]
struct SignedInAnswer {
    /// `completed` when a sign-in was polled, else left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "completed")]
    status: Option<&'static str>,
    auth: Tokens,
    #[serde(flatten)]
    snapshot: Snapshot,
}

/// How a plugin's sign-in stands.
///
/// The plugin throws its attempt away on any answer it does not know, so what is our fault is answered as
/// "not yet": an approved attempt can be claimed again.
///
/// # Errors
/// 400, and the final answers 403, 404, 409 and 410. Never 429, never 5xx.
#[utoipa::path(
    post, path = "/api/v1/auth/plugin/login/poll", tag = "Sign-in",
    request_body = PollRequest,
    responses(
        (status = 200, description = "A person approved it.", body = SignedInAnswer),
        (status = 202, description = "Nobody has decided yet: ask again.", body = PendingAnswer),
    ),
    extensions(("x-errors" = json!(["login_denied", "not_found", "login_already_claimed", "login_attempt_expired"]))),
)]
pub async fn poll_login(
    State(plugin): State<PluginService>,
    State(snapshots): State<Snapshots>,
    Json(request): Json<PollRequest>,
) -> Result<Response, ApiError> {
    if request.login_attempt_id.is_empty() || request.poll_token.is_empty() {
        return Err(Error::invalid("login_attempt_id and poll_token are required").into());
    }
    let polled = AssertUnwindSafe(poll(&plugin, &snapshots, &request)).catch_unwind();
    let polled = match tokio::time::timeout(POLL_TIME_LIMIT, polled).await {
        Ok(Ok(polled)) => polled,
        Ok(Err(_)) => Err(Error::internal("a sign-in poll panicked")),
        Err(_) => Err(Error::busy()),
    };
    match polled {
        Ok(Some(answer)) => Ok(axum::Json(answer).into_response()),
        Ok(None) => Ok(pending()),
        Err(error) if is_final(error.kind()) => Err(error.into()),
        Err(error) => {
            let cause = error_chain(&error);
            tracing::error!(cause, "a sign-in poll failed and was answered as pending");
            Ok(pending())
        }
    }
}

async fn poll(
    plugin: &PluginService,
    snapshots: &Snapshots,
    request: &PollRequest,
) -> Result<Option<SignedInAnswer>, Error> {
    match plugin
        .poll_login(&request.login_attempt_id, &request.poll_token)
        .await?
    {
        Poll::Pending => Ok(None),
        Poll::Completed {
            user_id, tokens, ..
        } => Ok(Some(SignedInAnswer {
            status: Some("completed"),
            auth: Tokens::from(&tokens),
            snapshot: snapshots.of(user_id).await?,
        })),
    }
}

fn is_final(kind: Kind) -> bool {
    status_of(kind).is_client_error() && kind != Kind::LimitReached
}

/// A sign-in on which nobody has decided yet.
#[derive(Serialize, ToSchema)]
#[schema(as = LoginPending)]
struct PendingAnswer {
    #[schema(example = "pending")]
    status: &'static str,
}

fn pending() -> Response {
    let answer = PendingAnswer { status: "pending" };
    (StatusCode::ACCEPTED, axum::Json(answer)).into_response()
}

/// The body of `login/complete`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = LoginCompleteRequest)]
pub struct CompleteRequest {
    #[schema(example = "pla_0197f3a2b4c87d10a1b2c3d4e5f60718")]
    login_attempt_id: String,
    /// `completed` or `denied`.
    #[schema(example = "completed")]
    outcome: String,
    /// Who signs in; needed when the outcome is `completed`.
    #[serde(default)]
    #[schema(example = "usr_0197f3a2b4c87d10a1b2c3d4e5f60718")]
    user_id: Option<String>,
    /// Why it was denied.
    #[serde(default)]
    #[schema(example = "login_denied", max_length = 64)]
    reason_code: Option<String>,
}

impl CompleteRequest {
    fn decision(&self) -> Result<Decision, Error> {
        match self.outcome.as_str() {
            "completed" => {
                let id = self.user_id.as_deref().filter(|id| !id.is_empty());
                let message = "needed when the outcome is completed";
                let id = id.ok_or_else(|| Error::invalid_field("user_id", "required", message))?;
                let id = id.parse().map_err(|_| Error::not_found("user"))?;
                Ok(Decision::Approve(id))
            }
            "denied" => {
                let reason = self.reason_code.as_deref().unwrap_or_default();
                let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
                if reason.len() > REASON_CHARACTERS || !reason.chars().all(is_word) {
                    let message = "at most 64 characters of A-Z a-z 0-9 . _ -";
                    return Err(Error::invalid_field("reason_code", "invalid", message));
                }
                let reason = if reason.is_empty() { DENIED } else { reason };
                Ok(Decision::Deny(reason.to_owned()))
            }
            _ => Err(Error::invalid_field(
                "outcome",
                "unknown",
                "use completed or denied",
            )),
        }
    }
}

/// Another page of the operator decides on a plugin's sign-in.
///
/// # Errors
/// 401 for a wrong or unconfigured key, before anything else is looked at.
#[utoipa::path(
    post, path = "/api/v1/auth/plugin/login/complete", tag = "Sign-in", security(("login_key" = [])),
    request_body = CompleteRequest,
    responses((status = 204, description = "It is decided.")),
    extensions(("x-errors" = json!(["not_found"]))),
)]
pub async fn complete_login(
    State(plugin): State<PluginService>,
    headers: HeaderMap,
    request: Result<Json<CompleteRequest>, ApiError>,
) -> Result<StatusCode, ApiError> {
    let key = headers
        .get(COMPLETE_KEY_HEADER)
        .and_then(|value| value.to_str().ok());
    plugin.check_complete_key(key)?;
    let Json(request) = request?;
    plugin
        .complete_login(&request.login_attempt_id, request.decision()?)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The account of the calling plugin.
///
/// # Errors
/// 401.
#[utoipa::path(
    get, path = "/api/v1/auth/session", tag = "Sign-in", security(("plugin" = [])),
    responses((status = 200, description = "As it is now.", body = Snapshot)),
)]
pub async fn get_session(
    State(snapshots): State<Snapshots>,
    PluginActor(actor): PluginActor,
) -> Result<impl IntoResponse, ApiError> {
    Ok(axum::Json(snapshots.of(actor.user_id).await?))
}

/// The body of `auth/refresh`.
#[derive(Deserialize, ToSchema)]
pub struct RefreshRequest {
    #[schema(
        min_length = 1,
        example = "bmV3IHRva2VuIG9mIHRoaXMgcGx1Z2luIHNlc3Npb24"
    )]
    refresh_token: String,
}

impl std::fmt::Debug for RefreshRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RefreshRequest(***)")
    }
}

/// New tokens for a refresh token, and the account.
///
/// A plugin that lost this answer gets it again.
///
/// # Errors
/// 400 without a token, 401 for an unknown one, 410 when its session is over.
#[utoipa::path(
    post, path = "/api/v1/auth/refresh", tag = "Sign-in",
    request_body = RefreshRequest,
    responses((status = 200, description = "Keep both tokens.", body = SignedInAnswer)),
    extensions(("x-errors" = json!(["unauthorized", "session_expired"]))),
)]
pub async fn refresh(
    State(accounts): State<AccountsService>,
    State(snapshots): State<Snapshots>,
    Json(request): Json<RefreshRequest>,
) -> Result<impl IntoResponse, ApiError> {
    if request.refresh_token.is_empty() {
        let message = "the refresh token is required";
        return Err(Error::invalid_field("refresh_token", "required", message).into());
    }
    let refreshed = accounts.refresh(&request.refresh_token).await?;
    let answer = SignedInAnswer {
        status: None,
        auth: Tokens::from(&refreshed.tokens),
        snapshot: snapshots.of(refreshed.user_id).await?,
    };
    Ok(axum::Json(answer))
}
