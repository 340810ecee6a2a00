//! Users, roles, passwords and sign-in.

pub mod views;
