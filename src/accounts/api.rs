//! The plugin's sign-out. What else it asks of accounts spans capabilities, see `plugin::api`.

use axum::extract::State;
use http::{HeaderMap, StatusCode};

use super::extract::bearer_token;
use super::service::AccountsService;
use crate::http::ApiError;

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
