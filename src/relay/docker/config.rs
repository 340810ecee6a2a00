//! What an operator sets about the containers, and who this appliance is to the container engine.
//!
//! Invariant: the identity is made once and kept; without it no container is recognised as ours.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::files::write_private;

/// Which containers carry the relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// None before an operator names the images; says which keys are missing.
    Unset(&'static str),
    /// SLS and the SRTLA receiver in a container each, on a network of ours.
    Two {
        /// The image of SLS.
        sls: String,
        /// The image of the SRTLA receiver.
        srtla: String,
    },
    /// Both in one, as `srtla-receiver` has them.
    Combined {
        /// Its image.
        image: String,
    },
}

/// Host ports of the containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostPorts {
    /// SRTLA publishers (UDP).
    pub srtla: u16,
    /// SRT publishers (UDP).
    pub publish: u16,
    /// SRT players (UDP).
    pub play: u16,
    /// SLS's port for publishers that come through the SRTLA receiver (UDP, loopback only: for the probe).
    pub bonded: u16,
    /// SLS's HTTP API (TCP, loopback only).
    pub api: u16,
    /// The SRTLA receiver's figures (TCP, loopback only); 0 when the receiver has none.
    pub link_stats: u16,
}

/// `[relay.docker]`.
#[derive(Debug, Clone)]
pub struct DockerConfig {
    /// A path, or a `unix://`, `http://` or `tcp://` URL.
    pub socket: String,
    /// The containers.
    pub layout: Layout,
    /// The host address of the media ports.
    pub bind: IpAddr,
    /// The host ports.
    pub ports: HostPorts,
    /// Bounds of the negotiated latency that SLS accepts.
    pub latency_min: Duration,
    /// See `latency_min`.
    pub latency_max: Duration,
    /// The port of the listener that SLS asks at every connection; `None` without the hook.
    pub admission_port: Option<u16>,
    /// Memory of a container, in MiB.
    pub memory_mib: u32,
    /// Processors of a container, in thousandths.
    pub cpu_millis: u32,
    /// Crashes within `crash_window` after which a container is left alone.
    pub crashes_max: usize,
    /// See `crashes_max`.
    pub crash_window: Duration,
    /// The folder of the containers' own folders, as we see it.
    pub folder: PathBuf,
    /// The same as the container engine sees it.
    pub folder_on_host: PathBuf,
}

/// Who we are to the container engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Stands in the label of all that is ours.
    pub instance: String,
    /// Our user id.
    pub uid: u32,
    /// Our group id.
    pub gid: u32,
}

impl Identity {
    /// Reads `<folder>/instance`, making it when there is none.
    ///
    /// # Errors
    /// The operating system's.
    pub fn load(folder: &Path) -> std::io::Result<Self> {
        let path = folder.join("instance");
        let instance = match std::fs::read_to_string(&path) {
            Ok(text) if text.trim().len() == 36 => text.trim().to_owned(),
            Ok(_) => return Err(damaged(&path)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                std::fs::create_dir_all(folder)?;
                let made = uuid::Uuid::new_v4().to_string();
                write_private(&path, made.as_bytes())?;
                made
            }
            Err(error) => return Err(error),
        };
        Ok(Self {
            instance,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        })
    }

    /// What names of containers and networks begin with: `glb-` and eight digits.
    #[must_use]
    pub fn prefix(&self) -> String {
        format!("glb-{}", self.instance.get(..8).unwrap_or(&self.instance))
    }
}

fn damaged(path: &Path) -> std::io::Error {
    let text = format!(
        "{} is damaged: restore it, or remove it and the containers",
        path.display()
    );
    std::io::Error::new(std::io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_stays_and_a_damaged_one_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("relay");
        let first = Identity::load(&folder).unwrap();
        assert_eq!(Identity::load(&folder).unwrap(), first);
        assert_eq!(first.prefix().len(), 12);
        std::fs::write(folder.join("instance"), "x").unwrap();
        assert!(Identity::load(&folder).is_err());
    }
}
