//! The jobs for operators: what each did, when it runs next, run now, on and off.

pub mod api;
pub mod pages;
mod service;
pub mod views;

pub use service::JobControl;
