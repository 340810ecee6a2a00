//! Pages of sign-in, the own account, and users.

mod account;
mod sign_in;
mod users;

pub use account::{change_password, revoke_browser, revoke_plugin, show_account};
pub use sign_in::{choose_theme, log_out, show_login, submit_login};
pub(super) use sign_in::{enter, go_on};
pub use users::{add_user, show_users};
