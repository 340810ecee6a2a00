//! `GoLiveBro` Appliance: phone → bonded SRTLA → relay → OBS, in one binary.

pub mod kernel;
pub mod relay;
