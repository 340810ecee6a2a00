//! What happens on the slots right now, and how a page shows it.

pub mod addresses;
pub mod figures;
pub mod sparkline;
pub mod views;
