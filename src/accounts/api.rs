//! The plugin's sign-out. What else it asks of accounts spans capabilities, see `plugin::api`.

use axum::extract::State;
use http::{HeaderMap, StatusCode};

use super::extract::bearer_token;
use super::service::AccountsService;
use crate::http::ApiError;

/// `POST /api/v1/auth/logout`: ends the plugin's session. That it is over already is fine.
///
/// # Errors
/// 401 without a token of ours.
pub async fn log_out(
    State(accounts): State<AccountsService>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    accounts.log_out_plugin(bearer_token(&headers)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
