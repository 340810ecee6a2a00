//! Proof that the containers carry media: each port is asked in its own protocol.
//!
//! A container that runs proves nothing: SLS goes on without its API when the port is taken, and a receiver
//! that ends at a wrong flag is begun again for ever inside a container that stays green.
//!
//! Invariant: bounded in time and in bytes; whatever comes back, nothing panics.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::kernel::secret::{ExposeSecret, SecretString};
use crate::relay::{induction, registration};

/// How long one question may take.
const PATIENCE: Duration = Duration::from_millis(600);
/// Questions before a port counts as silent: a datagram may be lost.
const ATTEMPTS: u32 = 2;
/// The most that is read of an answer.
const ANSWER_BYTES: usize = 4_096;

/// A port that is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Port {
    /// SLS's `/health`.
    Api,
    /// An SRT listener.
    Srt(&'static str),
    /// The SRTLA receiver.
    Srtla,
}

/// Asks a port on this machine. `Err` says what is wrong, for an operator.
pub(super) async fn ask(port: Port, number: u16) -> Result<(), String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, number));
    match port {
        Port::Api => health(address).await,
        Port::Srt(what) => datagram(address, &induction::question(), induction::is_answer)
            .await
            .map_err(|why| format!("SLS's port for {what} ({number}/udp) {why}")),
        Port::Srtla => datagram(address, &registration::question(), registration::is_answer)
            .await
            .map_err(|why| format!("the SRTLA receiver ({number}/udp) {why}")),
    }
}

/// Whether SLS knows a key, as far as it says: it may be asked too often.
pub(super) async fn knows_key(number: u16, key: &SecretString) -> Option<bool> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, number));
    let question = format!(
        "GET /api/stream-ids HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n",
        key.expose_secret()
    );
    let answer = timeout(PATIENCE * ATTEMPTS, converse(address, &question)).await;
    let answer = answer.ok()?.ok()?;
    let text = String::from_utf8_lossy(&answer);
    match text.split_whitespace().nth(1)? {
        "200" => Some(true),
        "401" => Some(false),
        _ => None,
    }
}

/// What is answered to a question, up to the bound.
async fn converse(address: SocketAddr, question: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(question.as_bytes()).await?;
    let mut answer = Vec::new();
    let mut bounded = stream.take(ANSWER_BYTES as u64);
    bounded.read_to_end(&mut answer).await?;
    Ok(answer)
}

async fn health(address: SocketAddr) -> Result<(), String> {
    // The end of the answer is the end of the connection, so nothing has to be taken apart.
    let question = "GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n";
    let read = converse(address, question);
    let port = address.port();
    match timeout(PATIENCE * ATTEMPTS, read).await {
        Ok(Ok(answer)) => is_healthy(&answer)
            .then_some(())
            .ok_or_else(|| format!("what answers on {port}/tcp is not SLS")),
        Ok(Err(error)) => Err(format!("SLS's API ({port}/tcp) fails: {error}")),
        Err(_) => Err(format!("SLS's API ({port}/tcp) does not answer")),
    }
}

fn is_healthy(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let is_ok = head.split_whitespace().nth(1) == Some("200");
    let service = serde_json::from_str::<serde_json::Value>(body)
        .ok()
        .and_then(|body| body.get("service")?.as_str().map(str::to_owned));
    is_ok && service.as_deref() == Some("srt-live-server")
}

async fn datagram(
    address: SocketAddr,
    question: &[u8],
    is_answer: fn(&[u8]) -> bool,
) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot be asked: {error}");
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .map_err(failed)?;
    socket.connect(address).await.map_err(failed)?;
    let mut buffer = [0; 2_048];
    for _ in 0..ATTEMPTS {
        // A closed port tells so by an error here or below; the next attempt may find it open.
        if socket.send(question).await.is_err() {
            tokio::time::sleep(PATIENCE / 4).await;
            continue;
        }
        match timeout(PATIENCE, socket.recv(&mut buffer)).await {
            Ok(Ok(length)) if is_answer(&buffer[..length]) => return Ok(()),
            Ok(Ok(_)) => return Err("answers in another protocol".to_owned()),
            Ok(Err(_)) => tokio::time::sleep(PATIENCE / 4).await,
            Err(_) => {}
        }
    }
    Err("does not answer".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_sls_counts_as_sls() {
        let answer = |status: &str, body: &str| {
            is_healthy(format!("HTTP/1.1 {status}\r\nContent-Type: x\r\n\r\n{body}").as_bytes())
        };
        let body = r#"{"service":"srt-live-server","status":"ok","version":"1.5.0"}"#;
        assert!(answer("200 OK", body));
        assert!(!answer("503 No", body));
        assert!(!answer("200 OK", r#"{"status":"ok"}"#));
        assert!(!answer("200 OK", "<html>"));
        assert!(!is_healthy(b"200"));
    }

    #[tokio::test]
    async fn a_port_without_a_listener_is_silent_and_another_protocol_is_told() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let echo = async {
            let mut buffer = [0; 512];
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            socket.send_to(&buffer[..length], from).await.unwrap();
        };
        let (asked, ()) = tokio::join!(ask(Port::Srtla, port), echo);
        assert!(asked.unwrap_err().contains("another protocol"));
        drop(socket);
        let silent = ask(Port::Srt("players"), port).await.unwrap_err();
        assert!(
            silent.contains("players") && silent.contains("does not answer"),
            "{silent}"
        );
        assert!(ask(Port::Api, port).await.unwrap_err().contains("/tcp"));
    }

    proptest! {
        #[test]
        fn no_answer_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = is_healthy(&bytes);
        }
    }
}
