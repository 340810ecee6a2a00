//! The roof: configuration, composition, the tables of routes and jobs, ordered start and stop.

pub mod config;
