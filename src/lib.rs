//! `GoLiveBro` Appliance: phone → bonded SRTLA → relay → OBS, in one binary.

pub mod accounts;
pub mod http;
pub mod kernel;
pub mod live;
pub mod plugin;
pub mod relay;
pub mod system;
