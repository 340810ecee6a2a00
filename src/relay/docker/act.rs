//! Makes the changes that were decided, and keeps what goes wrong with the part that it happened to.

use futures_util::StreamExt;
use tokio::sync::mpsc::Sender;

use super::client::DockerClient;
use super::error::DockerError;
use super::plan::{Action, Actual};
use super::seed;
use super::supervisor::{News, Supervisor};
use super::template::{Part, network_name};
use super::watch::Watch;
use crate::kernel::secret::SecretString;

impl Supervisor {
    /// # Errors
    /// When the engine is gone, or the network cannot be had. What goes wrong with a part is kept with it.
    pub(super) async fn perform(
        &self,
        client: &DockerClient,
        watch: &mut Watch,
        actual: &Actual,
        action: &Action,
        tell: &Sender<News>,
    ) -> Result<(), DockerError> {
        let (part, done) = match action {
            Action::AwaitIdle(_) => return Ok(()),
            Action::Pull(image) => {
                watch.begin_pull(image, self.deps.clock.monotonic());
                let (client, image, tell) = (client.clone(), image.clone(), tell.clone());
                watch.tasks.spawn(pull(client, image, tell));
                return Ok(());
            }
            Action::CreateNetwork => {
                let name = network_name(&self.deps.identity);
                return client.create_network(&name).await;
            }
            Action::Remove(id) => {
                let found = actual.containers.iter().find(|found| found.id == *id);
                tracing::info!(container.id = id, "a container is removed");
                let done = client.remove(id).await;
                match found.and_then(|found| found.part) {
                    Some(part) => (part, done),
                    None => return done,
                }
            }
            Action::Create(part) => (*part, self.create(client, watch, *part).await),
            Action::Start(part, id) => {
                watch
                    .part(*part)
                    .breaker
                    .note_attempt(self.deps.clock.monotonic());
                (*part, client.start(id).await)
            }
            Action::Restart(part, id) => {
                tracing::info!(part = part.as_str(), "a container is restarted");
                (*part, client.restart(id).await)
            }
            Action::Stop(part, id) => (*part, client.stop(id).await),
        };
        let seen = watch.part(part);
        seen.forget_container();
        match done {
            Ok(()) => seen.problem = None,
            Err(error) if error.is_connection() => return Err(error),
            Err(error) => {
                tracing::warn!(part = part.as_str(), error = %error, "a container could not be changed");
                seen.problem = Some(self.name_holder(error));
            }
        }
        Ok(())
    }

    async fn create(
        &self,
        client: &DockerClient,
        watch: &mut Watch,
        part: Part,
    ) -> Result<(), DockerError> {
        let spec = self.specs.iter().find(|spec| spec.part == part);
        let spec = spec.expect("the plan makes parts of the specification only");
        watch
            .part(part)
            .breaker
            .note_attempt(self.deps.clock.monotonic());
        if part.has_sls() {
            let hook = self.open_hook(client, watch).await?;
            self.prepare_folder(part, hook).await?;
        }
        let id = client.create(spec).await?;
        tracing::info!(
            part = part.as_str(),
            container.id = id,
            "a container was made"
        );
        client.start(&id).await
    }

    async fn prepare_folder(
        &self,
        part: Part,
        hook: Option<SecretString>,
    ) -> Result<(), DockerError> {
        let (config, identity) = (self.deps.config.clone(), self.deps.identity.clone());
        let key = self.deps.key.clone();
        let work = move || seed::prepare(&config, &identity, part, &key, hook.as_ref());
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|error| Err(DockerError::Folder(error.to_string())))
    }

    /// Says which program holds the port, where the operating system tells.
    fn name_holder(&self, error: DockerError) -> DockerError {
        let DockerError::PortTaken(text) = error else {
            return error;
        };
        let ports = self.deps.config.ports;
        let udp = [ports.srtla, ports.publish, ports.play, ports.bonded].map(|port| (true, port));
        let tcp = [ports.api, ports.link_stats].map(|port| (false, port));
        let is_named = |port: u16| {
            let mark = format!(":{port}");
            text.split(&mark)
                .skip(1)
                .any(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        let named = udp.into_iter().chain(tcp).find(|(_, port)| is_named(*port));
        let Some((is_udp, port)) = named else {
            return DockerError::PortTaken(text);
        };
        let kind = if is_udp { "udp" } else { "tcp" };
        let holder = (self.deps.port_holder)(is_udp, port);
        let holder = holder.map_or_else(String::new, |program| format!(" by {program}"));
        DockerError::PortTaken(format!("port {port}/{kind} is taken{holder}"))
    }
}

async fn pull(client: DockerClient, image: String, tell: Sender<News>) {
    tracing::info!(image, "an image is pulled");
    let mut steps = Box::pin(client.pull(&image));
    let mut result = Ok(());
    while let Some(step) = steps.next().await {
        match step {
            Ok(step) => drop(tell.send(News::PullStep(image.clone(), step)).await),
            Err(error) => result = Err(error),
        }
    }
    drop(tell.send(News::PullEnded(image, result)).await);
}
