//! What the programs in the containers wrote.

use bollard::container::LogOutput;
use bollard::query_parameters as query;
use futures_util::TryStreamExt;
use jiff::Timestamp;

use super::read::redact;
use super::{DockerClient, DockerError, Result};
use crate::relay::docker::origins::Line;

/// Lines of one look at a container's output.
const RAW_LINES: &str = "5000";

impl DockerClient {
    /// The last lines of a container's output.
    pub(in super::super) async fn logs(&self, id: &str, lines: usize) -> Result<Vec<String>> {
        let options = query::LogsOptions {
            stdout: true,
            stderr: true,
            tail: lines.to_string(),
            ..query::LogsOptions::default()
        };
        let pieces = self.docker.logs(id, Some(options));
        let pieces: Vec<LogOutput> = pieces
            .try_collect()
            .await
            .map_err(|error| DockerError::of(error, id))?;
        let text: Vec<u8> = pieces.into_iter().flat_map(LogOutput::into_bytes).collect();
        let text = String::from_utf8_lossy(&text);
        let mut last: Vec<_> = text.lines().rev().take(lines).map(redact).collect();
        last.reverse();
        Ok(last)
    }

    /// Lines of a container's output from a moment on, keys and all: for nobody's eyes.
    pub(in super::super) async fn raw_lines(
        &self,
        id: &str,
        since: Option<Timestamp>,
    ) -> Result<Vec<Line>> {
        let since = since.map_or(0, Timestamp::as_second);
        let options = query::LogsOptions {
            stdout: true,
            stderr: true,
            timestamps: true,
            since: i32::try_from(since).unwrap_or(0),
            tail: RAW_LINES.to_owned(),
            ..query::LogsOptions::default()
        };
        let pieces = self.docker.logs(id, Some(options));
        let pieces: Vec<LogOutput> = pieces
            .try_collect()
            .await
            .map_err(|error| DockerError::of(error, id))?;
        let text: Vec<u8> = pieces.into_iter().flat_map(LogOutput::into_bytes).collect();
        let text = String::from_utf8_lossy(&text);
        Ok(text.lines().filter_map(Line::parse).collect())
    }
}
