//! The plugin's sign-out, and keys of a user's own programs. What else the plugin asks of accounts spans
//! capabilities, see `plugin::api`.

use std::fmt;

use axum::Json as JsonBody;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::api_key::{ApiKey, ApiScope, ApiScopes, KeyName, NewApiKey};
use super::extract::{PluginActor, bearer_token};
use super::service::AccountsService;
use crate::http::{ApiError, Json, Path};
use crate::kernel::UnixMillis;
use crate::kernel::ids::ApiKeyId;
use crate::kernel::secret::ExposeSecret;

/// Ends the plugin's session; that it is over already is fine.
///
/// # Errors
/// 401 without a token of ours.
#[utoipa::path(
    post, path = "/api/v1/auth/logout", tag = "Sign-in", security(("plugin" = [])),
    responses((status = 204, description = "It is over.")),
)]
pub async fn log_out(
    State(accounts): State<AccountsService>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    accounts.log_out_plugin(bearer_token(&headers)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A key, without its text.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub struct ApiKeyView {
    id: ApiKeyId,
    #[schema(example = "Stream deck")]
    name: String,
    /// How the key begins.
    #[schema(example = "glb_4Xk9Pz")]
    prefix: String,
    scopes: Vec<ApiScope>,
    created_at: UnixMillis,
    /// `null`: until it is revoked.
    expires_at: Option<UnixMillis>,
    /// To the minute; `null`: never.
    last_used_at: Option<UnixMillis>,
}

impl From<&ApiKey> for ApiKeyView {
    fn from(key: &ApiKey) -> Self {
        Self {
            id: key.id,
            name: key.name.as_str().to_owned(),
            prefix: key.prefix.clone(),
            scopes: key.scopes.iter().collect(),
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
        }
    }
}

/// All keys of the caller.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKeys)]
pub struct ApiKeysView {
    api_keys: Vec<ApiKeyView>,
}

/// The caller's API keys, newest first.
///
/// # Errors
/// 403 for a caller with a key.
#[utoipa::path(
    get, path = "/api/v1/user/api-keys", tag = "Sign-in", security(("plugin" = [])),
    responses((status = 200, description = "Without their texts.", body = ApiKeysView)),
    extensions(("x-errors" = json!(["forbidden"]))),
)]
pub async fn list_api_keys(
    State(accounts): State<AccountsService>,
    PluginActor(actor): PluginActor,
) -> Result<JsonBody<ApiKeysView>, ApiError> {
    let keys = accounts.list_api_keys(&actor).await?;
    let api_keys = keys.iter().map(Into::into).collect();
    Ok(JsonBody(ApiKeysView { api_keys }))
}

/// A key to be made.
#[derive(Debug, Deserialize, ToSchema)]
pub struct MakeApiKeyRequest {
    /// 1 to 64 characters.
    #[schema(example = "Stream deck")]
    name: String,
    /// What it may do, such as `relay:read`; one at least.
    #[schema(value_type = Vec<ApiScope>)]
    scopes: Vec<String>,
    /// Days that it lasts, 1 to 3650; left out: until it is revoked.
    #[schema(example = 365)]
    days: Option<u32>,
}

/// A key just made.
#[derive(Serialize, ToSchema)]
#[schema(as = MadeApiKey)]
pub struct MadeApiKeyView {
    api_key: ApiKeyView,
    /// The key itself, in this answer and never again.
    #[schema(example = "glb_4Xk9PzW1…")]
    secret: String,
}

impl fmt::Debug for MadeApiKeyView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MadeApiKeyView")
            .field("api_key", &self.api_key)
            .finish_non_exhaustive()
    }
}

/// Makes an API key for a program of the caller's.
///
/// # Errors
/// 400 for bad input, 403 for a caller with a key, 409 for a fifty-first key.
#[utoipa::path(
    post, path = "/api/v1/user/api-keys", tag = "Sign-in", security(("plugin" = [])),
    request_body = MakeApiKeyRequest,
    responses((status = 201, description = "The key, told once.", body = MadeApiKeyView)),
    extensions(("x-errors" = json!(["forbidden", "conflict"]))),
)]
pub async fn make_api_key(
    State(accounts): State<AccountsService>,
    PluginActor(actor): PluginActor,
    Json(request): Json<MakeApiKeyRequest>,
) -> Result<Response, ApiError> {
    let scopes = ApiScopes::parse(request.scopes.iter().map(String::as_str))?;
    let new = NewApiKey::new(KeyName::parse(&request.name)?, scopes, request.days)?;
    let made = accounts.make_api_key(&actor, new).await?;
    let view = MadeApiKeyView {
        api_key: (&made.key).into(),
        secret: made.secret.expose_secret().to_owned(),
    };
    let no_store = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok((StatusCode::CREATED, [no_store], JsonBody(view)).into_response())
}

/// Ends an API key, at once.
///
/// # Errors
/// 403 for a caller with a key, 404 for a key that is not the caller's.
#[utoipa::path(
    post, path = "/api/v1/user/api-keys/{api_key}/revoke", tag = "Sign-in", security(("plugin" = [])),
    params(("api_key" = ApiKeyId, Path, description = "The key's id.")),
    responses((status = 204, description = "It opens nothing any more.")),
    extensions(("x-errors" = json!(["forbidden", "not_found"]))),
)]
pub async fn revoke_api_key(
    State(accounts): State<AccountsService>,
    PluginActor(actor): PluginActor,
    Path(id): Path<ApiKeyId>,
) -> Result<StatusCode, ApiError> {
    accounts.revoke_api_key(&actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
