//! First run, and what concerns the appliance itself.

pub mod export;
pub mod health;
pub mod jobs;
pub mod pages;
pub mod setup;
pub mod views;
