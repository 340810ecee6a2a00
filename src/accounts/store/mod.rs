//! SQL of accounts. Functions take the connection first, so they compose in one transaction.

mod auth_session;
mod browser;
mod throttle;
mod user;

pub(super) use auth_session::{
    AuthSessionRow, RefreshRow, auth_session_extend, auth_session_get, auth_session_list,
    auth_session_revoke, auth_session_revoke_all, auth_session_row_insert, auth_session_seen,
    auth_sessions_delete_old, refresh_token_by_digest, refresh_token_insert, refresh_token_replace,
    successor_mark_used, successors_wipe,
};
pub(super) use browser::{
    BrowserRow, BrowserSessionRow, browser_session_by_digest, browser_session_delete,
    browser_session_delete_others, browser_session_insert, browser_session_list,
    browser_session_seen, browser_sessions_delete_old,
};
pub(super) use throttle::{throttle_clear, throttle_count, throttles_delete_old};
pub use user::owner_exists;
pub(super) use user::{
    user_by_email, user_by_id, user_credentials, user_has_password, user_insert, user_list,
    user_set_password,
};
