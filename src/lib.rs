//! `GoLiveBro` Appliance: phone → bonded SRTLA → relay → OBS, in one binary.

pub mod accounts;
pub mod appliance;
pub mod audit;
pub mod cli;
pub mod db;
pub mod files;
pub mod http;
pub mod jobs;
pub mod kernel;
pub mod live;
pub mod plans;
pub mod plugin;
pub mod relay;
pub mod settings;
pub mod slots;
pub mod system;
