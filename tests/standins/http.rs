//! As much of HTTP as the programs serve and send.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// A request.
pub struct Request {
    pub method: String,
    pub path: String,
    pub authorization: String,
    pub body: String,
}

/// Serves a port, a thread for each caller; `None` as the answer says nothing for a long time.
pub fn serve(port: u16, answer: fn(&Request) -> Option<(u16, Vec<u8>)>) -> ! {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
        .unwrap_or_else(|error| crate::fail(1, &format!("{port}/tcp: {error}")));
    loop {
        if let Ok((stream, _)) = listener.accept() {
            std::thread::spawn(move || drop(converse(stream, answer)));
        }
    }
}

fn converse(
    mut stream: TcpStream,
    answer: fn(&Request) -> Option<(u16, Vec<u8>)>,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let Some(request) = read(&mut stream)? else {
        return Ok(());
    };
    let Some((status, body)) = answer(&request) else {
        std::thread::sleep(Duration::from_secs(20));
        return Ok(());
    };
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(&body)
}

fn read(stream: &mut TcpStream) -> std::io::Result<Option<Request>> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4_096];
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|it| it == b"\r\n\r\n") {
            break end + 4;
        }
        match stream.read(&mut piece)? {
            0 => return Ok(None),
            length => bytes.extend_from_slice(&piece[..length]),
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let header = |wanted: &str| {
        head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(wanted)
                .then(|| value.trim().to_owned())
        })
    };
    let length: usize = header("content-length")
        .and_then(|value| value.parse().ok())
        .unwrap_or(0);
    while bytes.len() < head_end + length {
        match stream.read(&mut piece)? {
            0 => break,
            length => bytes.extend_from_slice(&piece[..length]),
        }
    }
    let mut words = head.split_whitespace().map(str::to_owned);
    Ok(Some(Request {
        method: words.next().unwrap_or_default(),
        path: words.next().unwrap_or_default(),
        authorization: header("authorization").unwrap_or_default(),
        body: String::from_utf8_lossy(&bytes[head_end..]).into_owned(),
    }))
}

/// Posts as SLS does, without a body and its length; the status, when there is an answer within 5 s.
pub fn post(host: SocketAddr, target: &str) -> Option<u16> {
    let mut stream = TcpStream::connect_timeout(&host, Duration::from_secs(5)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let request = format!(
        "POST {target} HTTP/1.1\r\nAccept: text/html, */*\r\nUser-Agent: srt-live-server\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nHost: {}\r\nConnection: Keep-Alive\r\n\
         Cache-Control: no-cache\r\n\r\n",
        host.ip()
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    let mut piece = [0; 1_024];
    while !answer.windows(2).any(|it| it == b"\r\n") {
        match stream.read(&mut piece).ok()? {
            0 => return None,
            length => answer.extend_from_slice(&piece[..length]),
        }
    }
    let text = String::from_utf8_lossy(&answer);
    text.split_whitespace().nth(1)?.parse().ok()
}
