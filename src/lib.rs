//! `GoLiveBro` Appliance: phone → bonded SRTLA → relay → OBS, in one binary.

pub mod db;
pub mod http;
pub mod kernel;
pub mod relay;
