//! Users and the proofs of who is calling: passwords, browser sessions, the plugin's tokens.
//!
//! ```text
//! password, provider ──► second factor ──► browser_session (cookie) ──► Actor via Browser
//! plugin sign-in ──► auth_session ──► access token (24 h) + refresh token (rotates) ──► Actor via Plugin
//! ```
//!
//! Invariant: no other module reads a password, a cookie or a bearer token, and none of them is ever stored
//! or logged in the clear.

mod identity;
mod limits;
mod password;
mod seen;
mod token;

pub mod api_key;
pub mod joining;
pub mod mail;
pub mod model;
pub mod oauth;
pub mod second_factor;
pub mod service;
pub mod store;
pub mod views;

pub mod api;
pub mod extract;
pub mod frame;
pub mod jobs;
pub mod pages;
pub mod proof_fields;

pub(crate) use limits::{ADDRESS_ALLOWANCE, AddressLimit};
pub use model::{AccountsConfig, DisplayName, Email, NewUser, Password, PluginDevice, User};
pub use service::AccountsService;
pub use token::{AccessTokens, WeakSecret};
