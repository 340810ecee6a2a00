//! A caller that costs next to nothing: HTTP/1.1 over one kept connection, no parser.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A kept connection.
#[derive(Debug)]
pub(crate) struct Kept {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Kept {
    /// Connects.
    pub(crate) async fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address)
            .await
            .expect("the server listens");
        stream
            .set_nodelay(true)
            .expect("a TCP socket has the option");
        Self {
            stream,
            buffer: vec![0; 16_384],
        }
    }

    /// Sends a whole request and reads the whole answer; the status and the body.
    pub(crate) async fn call(&mut self, request: &[u8]) -> (u16, &[u8]) {
        self.stream
            .write_all(request)
            .await
            .expect("the server reads");
        let mut filled = 0;
        let head_end = loop {
            filled += self.read(filled).await;
            if let Some(end) = find(&self.buffer[..filled], b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = std::str::from_utf8(&self.buffer[..head_end]).expect("headers are ASCII");
        let status = head[9..12].parse().expect("a status line has a status");
        let length = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(0, |(_, value)| value.parse().expect("a length is a number"));
        while filled < head_end + length {
            filled += self.read(filled).await;
        }
        (status, &self.buffer[head_end..head_end + length])
    }

    async fn read(&mut self, filled: usize) -> usize {
        let read = self.stream.read(&mut self.buffer[filled..]).await;
        let length = read.expect("the server answers");
        assert_ne!(length, 0, "the server keeps the connection");
        length
    }
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes
        .windows(pattern.len())
        .position(|part| part == pattern)
}

/// A request with a bearer token; `body` empty for a GET.
pub(crate) fn request(method: &str, path: &str, token: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: Telemy/0.0.5\r\n\
         authorization: Bearer {token}\r\ncontent-type: application/json\r\n{headers}\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
