//! The bound addresses: one JSON line for whoever started us, and a file for whoever comes later.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::write_private;

/// Where the server listens; `None` where a listener is switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// Pages and API (TCP).
    pub http: SocketAddr,
    /// `/stats/...` (TCP).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stats: Option<SocketAddr>,
    /// `/metrics`, when it has a listener of its own (TCP).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub metrics: Option<SocketAddr>,
    /// Bonded publishers (UDP).
    pub srtla: SocketAddr,
    /// Plain SRT publishers (UDP).
    pub srt_publish: SocketAddr,
    /// SRT players (UDP).
    pub srt_play: SocketAddr,
}

impl Addresses {
    fn file(data_dir: &Path) -> PathBuf {
        data_dir.join("run").join("addresses.json")
    }

    /// Writes `<data>/run/addresses.json`.
    ///
    /// # Errors
    /// The operating system's.
    pub fn write(&self, data_dir: &Path) -> std::io::Result<()> {
        write_private(&Self::file(data_dir), &serde_json::to_vec(self)?)
    }

    /// Reads `<data>/run/addresses.json` of a server that runs, or has run.
    ///
    /// # Errors
    /// The operating system's; a damaged file.
    pub fn read(data_dir: &Path) -> std::io::Result<Self> {
        Ok(serde_json::from_slice(&std::fs::read(Self::file(
            data_dir,
        ))?)?)
    }
}
