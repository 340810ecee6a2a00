//! SQL of accounts. Functions take the connection first, so they compose in one transaction.

mod api_key;
mod auth_session;
mod browser;
mod email_token;
mod invite;
mod mail;
mod throttle;
mod user;

pub(super) use api_key::{
    ApiKeyRow, api_key_by_digest, api_key_insert, api_key_list, api_key_revoke, api_key_revoke_all,
    api_key_used,
};

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
pub(super) use email_token::{
    EmailToken, email_token_get, email_token_insert, email_tokens_delete, email_tokens_delete_old,
};
pub(super) use invite::{
    invite_by_digest, invite_delete, invite_get, invite_insert, invite_list, invite_mark_used,
    invites_delete_old,
};
pub(super) use mail::{
    DueMail, NewMail, mail_claim, mail_counts, mail_failed, mail_insert, mail_is_recent,
    mail_last_error, mail_sent, mails_delete_old,
};
pub(super) use throttle::{throttle_clear, throttle_count, throttles_delete_old};
pub use user::owner_exists;
pub(super) use user::{
    owner_count, user_by_email, user_by_id, user_credentials, user_delete_marked,
    user_demand_verification, user_has_password, user_insert, user_list, user_mark_for_deletion,
    user_names, user_search, user_set_email, user_set_password, user_set_passwordless,
    user_set_unverified, user_set_verified, users_in_deletion,
};
