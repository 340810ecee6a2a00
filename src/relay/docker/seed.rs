//! What SLS finds at its start: its configuration, and a database that knows our key.
//!
//! SLS prints the key that it makes itself once, cut and late, so it is never left to make one.
//! Source: OpenIRL srt-live-server 1.5.1, tables and directives (read November 2026).
//!
//! Invariant: a good file is replaced by a checked one only, and whole. SLS does not run while its database
//! is written to.

use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use rusqlite::Connection;
use sha2::{Digest, Sha256};

use super::config::{DockerConfig, Identity};
use super::error::DockerError;
use super::template::{Part, files_owner};
use crate::files::write_private;
use crate::kernel::secret::{ExposeSecret, SecretString, hex};

/// The most that SLS accepts. Source: its `rate_limit_*` directives.
const RATE_LIMIT: u32 = 1000;
const DIRECTIVES: [&str; 18] = [
    "worker_threads",
    "worker_connections",
    "http_port",
    "database_path",
    "log_level",
    "rate_limit_api",
    "rate_limit_stats",
    "rate_limit_config",
    "listen_player",
    "listen_publisher",
    "listen_publisher_srtla",
    "latency_min",
    "latency_max",
    "backlog",
    "idle_streams_timeout",
    "on_event_url",
    "srt",
    "server",
];

/// The configuration file of SLS; with a hook, SLS asks there at every connection.
pub(super) fn render(config: &DockerConfig, hook: Option<&str>) -> String {
    // Above these SLS ends at its start, again and again.
    let latency_min_ms = config.latency_min.as_millis().min(5_000);
    let latency_max_ms = config.latency_max.as_millis().min(10_000);
    let hook = hook.map_or_else(String::new, |url| format!("        on_event_url {url};\n"));
    format!(
        "srt {{\n    worker_threads 1;\n    worker_connections 1024;\n    http_port 8080;\n    \
         database_path /var/lib/sls/streams.db;\n    log_level info;\n    rate_limit_api {RATE_LIMIT};\n    \
         rate_limit_stats {RATE_LIMIT};\n    rate_limit_config {RATE_LIMIT};\n    server {{\n        \
         listen_player 4000;\n        listen_publisher 4001;\n        listen_publisher_srtla 4002;\n        \
         latency_min {latency_min_ms};\n        latency_max {latency_max_ms};\n        backlog 100;\n        \
         idle_streams_timeout 15;\n{hook}    }}\n}}\n"
    )
}

/// What is wrong with a configuration of SLS, which has no way to check one itself: a line without its
/// semicolon crashes it, an unknown directive ends it.
pub(super) fn check(text: &str) -> Result<(), String> {
    let mut depth = 0_u32;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        let number = number + 1;
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line == "}" {
            depth = depth
                .checked_sub(1)
                .ok_or(format!("line {number}: nothing is open"))?;
            continue;
        }
        let Some(words) = line.strip_suffix(['{', ';']) else {
            return Err(format!("line {number} does not end with a semicolon"));
        };
        let name = words.split_whitespace().next().unwrap_or_default();
        if !DIRECTIVES.contains(&name) {
            return Err(format!("line {number}: SLS knows no {name}"));
        }
        depth += u32::from(line.ends_with('{'));
        check_value(name, words).map_err(|reason| format!("line {number}: {reason}"))?;
    }
    if depth == 0 {
        Ok(())
    } else {
        Err("a block is not closed".to_owned())
    }
}

fn check_value(name: &str, words: &str) -> Result<(), String> {
    let most = match name {
        "latency_min" => 5_000,
        "latency_max" => 10_000,
        "worker_connections" => 1_024,
        "rate_limit_api" | "rate_limit_stats" | "rate_limit_config" => RATE_LIMIT,
        _ => return Ok(()),
    };
    let value = words.split_whitespace().nth(1).unwrap_or_default();
    match value.parse::<u32>() {
        Ok(number) if number <= most => Ok(()),
        _ => Err(format!("{name} must be at most {most}")),
    }
}

/// Prepares the folder of a container in which SLS runs. Blocks on files.
///
/// # Errors
/// [`DockerError::Folder`] with what stands in the way.
pub(super) fn prepare(
    config: &DockerConfig,
    identity: &Identity,
    part: Part,
    key: &SecretString,
    hook: Option<&SecretString>,
) -> Result<(), DockerError> {
    let folder = config.folder.join(part.as_str());
    let failed = |error: io::Error| DockerError::Folder(format!("{}: {error}", folder.display()));
    let text = render(config, hook.map(ExposeSecret::expose_secret));
    check(&text).map_err(|reason| DockerError::Folder(format!("its sls.conf: {reason}")))?;
    let (data, etc) = (folder.join("data"), folder.join("etc"));
    for made in [&data, &etc] {
        std::fs::create_dir_all(made).map_err(failed)?;
    }
    let conf = etc.join("sls.conf");
    write_private(&conf, text.as_bytes()).map_err(failed)?;
    // The container's user must read it; the folder above is private.
    std::fs::set_permissions(&conf, PermissionsExt::from_mode(0o644)).map_err(failed)?;
    seed_database(&data.join("streams.db"), key)
        .map_err(|error| DockerError::Folder(format!("{}: {error}", data.display())))?;
    own(&data, identity, part).map_err(failed)
}

/// A row with the hash of our key, beside whatever SLS has written.
#[expect(
    clippy::disallowed_methods,
    reason = "SLS's database and not ours: the pragmas are its own"
)]
fn seed_database(path: &Path, key: &SecretString) -> rusqlite::Result<()> {
    let connection = Connection::open(path)?;
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS api_keys (
             id INTEGER PRIMARY KEY AUTOINCREMENT,
             key_hash TEXT NOT NULL UNIQUE,
             name TEXT NOT NULL,
             permissions TEXT NOT NULL,
             created_at DATETIME DEFAULT CURRENT_TIMESTAMP,
             last_used DATETIME,
             active INTEGER DEFAULT 1
         );",
    )?;
    let digest = Sha256::digest(key.expose_secret().as_bytes());
    let hash = hex(&digest);
    connection.execute(
        "INSERT INTO api_keys (key_hash, name, permissions, active) VALUES (?1, 'glb', 'admin', 1)
         ON CONFLICT (key_hash) DO UPDATE SET permissions = 'admin', active = 1",
        [hash],
    )?;
    connection.close().map_err(|(_, error)| error)
}

/// Gives the data to the container's user. The folder above is private, so a mode for everybody reaches
/// nobody but who is mounted into it.
fn own(data: &Path, identity: &Identity, part: Part) -> io::Result<()> {
    let (uid, gid) = files_owner(identity);
    let is_foreign_user = identity.uid != 0 && part == Part::Receiver;
    let each = |path: &Path, mode_for_all: u32| {
        if is_foreign_user {
            return std::fs::set_permissions(path, PermissionsExt::from_mode(mode_for_all));
        }
        chown(path, Some(uid), Some(gid))
    };
    each(data, 0o777)?;
    for entry in std::fs::read_dir(data)? {
        let entry = entry?;
        // The container may have put a link here, which must not lead us elsewhere.
        if entry.file_type()?.is_file() {
            each(&entry.path(), 0o666)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::time::Duration;

    use super::super::testing::{config, identity};
    use super::*;

    #[test]
    fn what_is_rendered_passes_the_check_whatever_the_latencies() {
        let mut config = config("/x");
        for seconds in [0, 1, 5, 30, 9_999] {
            config.latency_min = Duration::from_secs(seconds);
            config.latency_max = Duration::from_secs(seconds);
            assert_eq!(check(&render(&config, None)), Ok(()));
        }
        assert!(render(&config, None).contains("rate_limit_stats 1000;"));
    }

    #[test]
    fn what_would_crash_or_end_sls_is_refused_with_its_line() {
        let good = render(&config("/x"), Some("http://172.18.0.1:18081/x"));
        let bad = |from: &str, to: &str| check(&good.replacen(from, to, 1)).unwrap_err();
        assert!(bad("http_port 8080;", "http_port 8080").contains("line 4"));
        assert!(bad("backlog", "back_log").contains("back_log"));
        assert!(bad("rate_limit_api 1000", "rate_limit_api 1001").contains("1000"));
        assert!(bad("latency_max ", "latency_max x").contains("latency_max"));
        assert!(check(good.trim_end().trim_end_matches('}')).is_err());
        assert!(check("}").is_err());
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "looks into SLS's database")]
    fn the_database_knows_our_key_by_its_hash_and_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path().to_str().unwrap());
        let key = SecretString::from("planted-key-of-the-test");
        let me = Identity {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            ..identity()
        };
        for _ in 0..2 {
            prepare(&config, &me, Part::Sls, &key, None).unwrap();
        }
        let data = folder.path().join("sls/data");
        let path = data.join("streams.db");
        let connection = Connection::open(&path).unwrap();
        let sql = "SELECT key_hash, permissions, active FROM api_keys";
        let mut rows = connection.prepare(sql).unwrap();
        let rows: Vec<(String, String, i64)> = rows
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(rows.len(), 1);
        let (hash, permissions, active) = &rows[0];
        assert_eq!(
            (permissions.as_str(), *active, hash.len()),
            ("admin", 1, 64)
        );
        assert!(!hash.contains("planted"));
        let owner = std::fs::metadata(&path).unwrap();
        assert_eq!((owner.uid(), owner.gid()), files_owner(&me));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let config = config(file.to_str().unwrap());
        let error = prepare(&config, &identity(), Part::Sls, &"k".into(), None).unwrap_err();
        assert!(matches!(error, DockerError::Folder(text) if text.contains("file")));
    }
}
