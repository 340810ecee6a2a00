//! The listener that SLS asks at every connection, when an operator switched that on.
//!
//! SLS posts `<path>?on_event=on_connect&role_name=publisher&srt_url=<key>&remote_ip=<ip>&remote_port=<port>`
//! without a body, holds the media until it has the answer, and ends the connection at anything but 200, also when
//! nobody answers within 5 s. `on_close` wants no answer. Values are not escaped.
//!
//! Source: OpenIRL srt-live-server 1.5.1, `on_event_url`, as observed (November 2026).
//!
//! Invariant: it listens on the address of our own bridge network alone; without the secret of its path nobody
//! learns anything. Bounded in time, bytes and callers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::kernel::secret::{ExposeSecret, SecretString, hex};
use crate::relay::inside::{Caller, Inside};

/// How long a question may take to arrive.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most that is read of one.
const QUESTION_BYTES: usize = 4_096;
/// Questions at once.
const QUESTIONS_MAX: usize = 256;
/// Between two tries to take a connection when that failed.
const PAUSE: Duration = Duration::from_millis(100);

/// The path that SLS is told; it follows from the key of SLS's API, so nothing is kept for it.
pub(super) fn path(key: &SecretString) -> SecretString {
    let digest = Sha256::new()
        .chain_update("admission hook of ")
        .chain_update(key.expose_secret())
        .finalize();
    SecretString::from(format!("/{}", hex(&digest[..20])))
}

/// A listener that answers.
#[derive(Debug)]
pub(super) struct Hook {
    pub(super) address: SocketAddr,
    _work: JoinSet<()>,
}

impl Hook {
    /// Opens it.
    ///
    /// # Errors
    /// The operating system's.
    pub(super) async fn open(
        address: SocketAddr,
        key: &SecretString,
        inner: Arc<dyn Inside>,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let (address, path) = (listener.local_addr()?, path(key));
        let mut work = JoinSet::new();
        work.spawn(async move { listen(listener, path, inner).await });
        Ok(Self {
            address,
            _work: work,
        })
    }
}

async fn listen(listener: TcpListener, path: SecretString, inner: Arc<dyn Inside>) {
    let room = Arc::new(Semaphore::new(QUESTIONS_MAX));
    let path = Arc::new(path);
    let mut conversations = JoinSet::new();
    loop {
        while conversations.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let (path, inner) = (Arc::clone(&path), Arc::clone(&inner));
        conversations.spawn(async move {
            let _permit = permit;
            // SLS takes silence for a refusal.
            drop(timeout(PATIENCE, converse(stream, &path, &*inner)).await);
        });
    }
}

async fn converse(
    mut stream: TcpStream,
    path: &SecretString,
    inner: &dyn Inside,
) -> std::io::Result<()> {
    let mut question = Vec::new();
    let mut piece = [0; 1_024];
    while !question.windows(4).any(|end| end == b"\r\n\r\n") {
        let length = stream.read(&mut piece).await?;
        if length == 0 || question.len() + length > QUESTION_BYTES {
            return Ok(());
        }
        question.extend_from_slice(&piece[..length]);
    }
    let is_welcome = match parse(&question, path) {
        Some((Event::Connect, caller)) => {
            let is_welcome = inner.admits(&caller);
            if !is_welcome {
                tracing::info!(?caller, "a caller of SLS is refused: the key is not good");
            }
            is_welcome
        }
        Some((Event::Close, caller)) => {
            inner.note_gone(&caller);
            true
        }
        None => false,
    };
    let status = if is_welcome {
        "200 OK"
    } else {
        "403 Forbidden"
    };
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Connect,
    Close,
}

/// What is asked; `None` for whoever is not SLS.
fn parse(question: &[u8], path: &SecretString) -> Option<(Event, Caller)> {
    let head = std::str::from_utf8(question).ok()?;
    let mut words = head.lines().next()?.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let (given, query) = target.split_once('?')?;
    let is_sls: bool = given
        .as_bytes()
        .ct_eq(path.expose_secret().as_bytes())
        .into();
    if method != "POST" || !is_sls {
        return None;
    }
    let value = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value)
    };
    let event = match value("on_event")? {
        "on_connect" => Event::Connect,
        "on_close" => Event::Close,
        _ => return None,
    };
    let is_player = match value("role_name")? {
        "player" => true,
        "publisher" => false,
        _ => return None,
    };
    let ip = value("remote_ip")?.trim_start_matches("::ffff:");
    let address = SocketAddr::new(ip.parse().ok()?, value("remote_port")?.parse().ok()?);
    let key = value("srt_url")?.to_owned();
    Some((
        event,
        Caller {
            is_player,
            key,
            address,
        },
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernel::ids::SlotId;
    use crate::relay::engine::{Engine, StreamSpec};
    use crate::relay::testing::FakeEngine;

    fn question(path: &str, event: &str, key: &str) -> String {
        format!(
            "POST {path}?on_event={event}&role_name=publisher&srt_url={key}&\
             remote_ip=::ffff:172.18.0.3&remote_port=35545 HTTP/1.1\r\nAccept: text/html, */*\r\n\
             User-Agent: srt-live-server\r\nHost: 127.0.0.1\r\nConnection: Keep-Alive\r\n\r\n"
        )
    }

    #[test]
    fn the_recorded_question_is_understood_and_another_secret_is_not() {
        let path = path(&"key".into());
        let asked = question(path.expose_secret(), "on_connect", "live_feed1");
        let (event, caller) = parse(asked.as_bytes(), &path).unwrap();
        assert_eq!(event, Event::Connect);
        assert_eq!(caller.address.to_string(), "172.18.0.3:35545");
        assert_eq!(
            (caller.is_player, caller.key.as_str()),
            (false, "live_feed1")
        );
        assert!(!format!("{caller:?}").contains("live_feed1"));
        assert_eq!(parse(asked.as_bytes(), &super::path(&"other".into())), None);
        assert_eq!(path.expose_secret().len(), 41);
    }

    #[tokio::test]
    async fn whoever_knows_the_secret_is_answered_by_the_engine_and_nobody_else() {
        let inner = FakeEngine::new();
        let stream = StreamSpec {
            slot_id: SlotId::generate(),
            publish_key: "live_good".into(),
            play_key: "play_good".into(),
            passphrase: None,
        };
        inner.register(stream).await.unwrap();
        let key = SecretString::from("key");
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let hook = Hook::open(free, &key, Arc::clone(&inner) as _)
            .await
            .unwrap();
        let ask = async |text: String| {
            let mut stream = TcpStream::connect(hook.address).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer.split(' ').nth(1).unwrap_or_default().to_owned()
        };
        let path = path(&key);
        let path = path.expose_secret();
        assert_eq!(ask(question(path, "on_connect", "live_good")).await, "200");
        assert_eq!(ask(question(path, "on_connect", "live_bad")).await, "403");
        assert_eq!(
            ask(question("/guess", "on_connect", "live_good")).await,
            "403"
        );
        assert_eq!(ask(question(path, "on_close", "live_good")).await, "200");
        assert_eq!(ask("GET / HTTP/1.0\r\n\r\n".to_owned()).await, "403");
        assert_eq!(inner.gone(), 1);
    }

    proptest! {
        #[test]
        fn no_question_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let path = path(&"key".into());
            prop_assert_eq!(parse(&bytes, &path), None);
            let text = String::from_utf8_lossy(&bytes);
            let asked = question(path.expose_secret(), &text, &text);
            let _ = parse(asked.as_bytes(), &path);
        }
    }
}
