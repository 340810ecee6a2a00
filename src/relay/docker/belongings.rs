//! What this appliance has at a container engine, whether or not anybody looks after it.
//!
//! Invariant: only what carries our label is listed or removed.

use std::path::Path;
use std::time::Duration;

use super::DockerError;
use super::client::DockerClient;
use super::config::{DockerConfig, Identity};
use super::template::network_name;

/// How long an operator's page waits for the list.
const LIST_PATIENCE: Duration = Duration::from_secs(3);

/// The containers and the network of this appliance.
#[derive(Debug, Clone)]
pub struct Belongings {
    socket: String,
    identity: Identity,
}

impl Belongings {
    /// Of the appliance whose containers' folder is that of `config`; `None` when it never had any.
    ///
    /// # Errors
    /// When its identity cannot be read.
    pub fn of(config: &DockerConfig) -> std::io::Result<Option<Self>> {
        Self::read(&config.folder, &config.socket)
    }

    fn read(folder: &Path, socket: &str) -> std::io::Result<Option<Self>> {
        if !folder.join("instance").try_exists()? {
            return Ok(None);
        }
        Ok(Some(Self::new(socket, Identity::load(folder)?)))
    }

    pub(super) fn new(socket: &str, identity: Identity) -> Self {
        Self {
            socket: socket.to_owned(),
            identity,
        }
    }

    /// The names of the containers.
    ///
    /// # Errors
    /// [`DockerError`].
    pub async fn names(&self) -> Result<Vec<String>, DockerError> {
        let listed = async {
            let client = self.client().await?;
            let containers = client.containers().await?;
            let part = |found: &super::client::Found| {
                let part = found.part.map_or("unknown", super::Part::as_str);
                format!("{}-{part}", self.identity.prefix())
            };
            Ok(containers.iter().map(part).collect())
        };
        let slow = || DockerError::Unreachable("it took too long".to_owned());
        tokio::time::timeout(LIST_PATIENCE, listed)
            .await
            .unwrap_or_else(|_| Err(slow()))
    }

    /// Removes them all, and the network; nobody may supervise them meanwhile. Their folders stay. Answers the
    /// names of the containers.
    ///
    /// # Errors
    /// [`DockerError`]; what was not removed yet is still there.
    pub async fn remove(&self) -> Result<Vec<String>, DockerError> {
        let names = self.names().await?;
        let client = self.client().await?;
        for container in client.containers().await? {
            client.remove(&container.id).await?;
        }
        if let Some(network) = client.network(&network_name(&self.identity)).await? {
            client.remove_network(&network).await?;
        }
        Ok(names)
    }

    async fn client(&self) -> Result<DockerClient, DockerError> {
        DockerClient::connect(&self.socket, &self.identity.instance).await
    }
}
