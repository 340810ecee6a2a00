//! What only the OBS plugin speaks.

pub mod views;
