//! Whether the containers carry media, port by port, and what to do about those that stay silent.

use std::time::Duration;

use super::client::Activity;
use super::error::DockerError;
use super::plan::Actual;
use super::probe::{self, Port};
use super::supervisor::{Supervisor, lock, of_part};
use super::template::{Part, files_owner};
use super::watch::Watch;

impl Supervisor {
    /// Asks every port of the containers that run; all of them when the engine cannot say which do. Answers
    /// what is wrong.
    pub(super) async fn probe(
        &self,
        watch: &mut Watch,
        actual: Option<&Actual>,
        now: Duration,
    ) -> Vec<String> {
        if actual.is_none() && !watch.was_connected {
            return Vec::new();
        }
        let runs = |part| {
            actual.is_none_or(|actual| {
                of_part(actual, part).is_some_and(|found| found.activity == Activity::Running)
            })
        };
        let mut silent = Vec::new();
        for spec in self.specs.iter().filter(|spec| runs(spec.part)) {
            let ports = self.ports_of(spec.part);
            let asked = ports
                .iter()
                .map(|(port, number)| probe::ask(*port, *number));
            let answers = futures_util::future::join_all(asked).await;
            let media_answer = ports
                .iter()
                .zip(&answers)
                .all(|((port, _), answer)| *port == Port::Api || answer.is_ok());
            let has_api = ports
                .iter()
                .zip(&answers)
                .any(|((port, _), answer)| *port == Port::Api && answer.is_ok());
            let mut silence = first_silence(&ports, &answers);
            silent.extend(answers.into_iter().filter_map(Result::err));
            if has_api && let Err(lost) = self.prove_key(watch, spec.part, actual).await {
                silent.push(lost.to_string());
                silence = silence.or(Some(lost));
            }
            watch.part(spec.part).silence = silence;
            // SLS without its API still carries media, which a restart would end. And while the engine is gone
            // its port maps may be gone with it, which is no fault of the container.
            let is_innocent = media_answer || actual.is_none();
            if watch.part(spec.part).note_answers(now, is_innocent) {
                tracing::warn!(
                    part = spec.part.as_str(),
                    "its ports stay silent: it is restarted"
                );
                watch.part(spec.part).note_answers(now, true);
                watch.part(spec.part).breaker.note_crashes(now, 1);
                lock(&self.orders).mends.push(spec.part);
            }
        }
        silent
    }

    /// Asks once after each start whether SLS has the database that we gave it.
    async fn prove_key(
        &self,
        watch: &mut Watch,
        part: Part,
        actual: Option<&Actual>,
    ) -> Result<(), DockerError> {
        let started_at = actual
            .and_then(|actual| of_part(actual, part))
            .and_then(|found| found.started_at);
        let Some(started_at) = started_at else {
            return Ok(());
        };
        if watch.part(part).key_proved_at == Some(started_at) {
            return Ok(());
        }
        let knows = probe::knows_key(self.deps.config.ports.api, &self.deps.key).await;
        match knows {
            Some(true) => {
                watch.part(part).key_proved_at = Some(started_at);
                Ok(())
            }
            Some(false) => {
                let folder = self.deps.config.folder.join(part.as_str()).join("data");
                Err(DockerError::KeyLost {
                    folder: folder.display().to_string(),
                    owner: files_owner(&self.deps.identity),
                })
            }
            None => Ok(()),
        }
    }

    fn ports_of(&self, part: Part) -> Vec<(Port, u16)> {
        let ports = self.deps.config.ports;
        let sls = [
            (Port::Api, ports.api),
            (Port::Srt("players"), ports.play),
            (Port::Srt("publishers"), ports.publish),
            (Port::Srt("bonded publishers"), ports.bonded),
        ];
        match part {
            Part::Sls => sls.to_vec(),
            Part::Srtla => vec![(Port::Srtla, ports.srtla)],
            Part::Receiver => [&sls[..], &[(Port::Srtla, ports.srtla)]].concat(),
        }
    }
}

/// What is told with the container: that of its media ports first.
fn first_silence(ports: &[(Port, u16)], answers: &[Result<(), String>]) -> Option<DockerError> {
    let silent = ports.iter().zip(answers).filter_map(|((port, _), answer)| {
        let reason = answer.as_ref().err()?.clone();
        Some(match port {
            Port::Api => DockerError::NoApi(reason),
            Port::Srt(_) | Port::Srtla => DockerError::Silent(reason),
        })
    });
    silent.min_by_key(|error| matches!(error, DockerError::NoApi(_)))
}
