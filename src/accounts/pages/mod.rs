//! Pages of sign-in, the own account, and users.

mod account;
mod address;
mod invites;
mod joining;
mod keys;
mod recovery;
mod sign_in;
mod user;
mod users;
mod views;

pub use account::{
    change_password, revoke_browser, revoke_plugin, show_account, sign_out_everywhere,
    stale_sign_in,
};
pub use address::{ask_for_confirmation, change_address, show_address};
pub use invites::{change_mode, create_invite, revoke_invite, show_invites};
pub(super) use joining::admit;
pub use joining::{show_sign_up, submit_sign_up};
pub use keys::{make_key, revoke_key, show_keys};
pub use recovery::{
    show_forgot, show_reset, show_verify, submit_forgot, submit_reset, submit_verify,
};
pub use sign_in::enter;
pub(super) use sign_in::go_on;
pub use sign_in::{choose_theme, log_out, show_login, submit_login};
pub use user::{Told, make_reset_link, show_user, user_page};
pub use users::{add_user, show_users};
