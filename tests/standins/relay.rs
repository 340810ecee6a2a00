//! A stand-in for the programs in the relay's containers: `sls` or `srtla`, as the first argument says.
//!
//! It answers the management API and the ports as the real programs were seen to, and is built alone, with
//! nothing but `std`, into an image FROM scratch. It carries no media.
//!
//! Faults: the variable `FAULT`, or the file `/var/lib/sls/fault`: `crash` ends it at its start, `mute` lets
//! it run without a word on UDP.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const DATA: &str = "/var/lib/sls";

fn main() {
    let fault = std::env::var("FAULT")
        .or_else(|_| std::fs::read_to_string(format!("{DATA}/fault")))
        .unwrap_or_default();
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("sls") => sls(fault.trim()),
        Some("srtla") => srtla(fault.trim(), &arguments.collect::<Vec<_>>()),
        other => fail(2, &format!("neither sls nor srtla: {other:?}")),
    }
}

fn fail(code: i32, why: &str) -> ! {
    eprintln!("{why}");
    std::process::exit(code)
}

fn sls(fault: &str) {
    if fault == "crash" {
        for line in 0..60 {
            println!("line {line}: key_stream_name=live_planted{line}");
        }
        fail(139, "Segmentation fault");
    }
    // What the real one ends at, and what it would silently go on without.
    let settings = std::fs::read_to_string("/etc/sls/sls.conf").unwrap_or_default();
    if !settings.contains("listen_player 4000;") {
        fail(255, "no configuration");
    }
    let database = std::fs::read(format!("{DATA}/streams.db")).unwrap_or_default();
    if !database.starts_with(b"SQLite format 3") {
        fail(255, "no seeded database");
    }
    for folder in [DATA, "/tmp"] {
        if let Err(error) = std::fs::write(format!("{folder}/written"), "") {
            fail(255, &format!("{folder}: {error}"));
        }
    }
    if fault != "mute" {
        for port in [4000, 4001, 4002] {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).expect("the port is free");
            std::thread::spawn(move || answer_datagrams(&socket, induction_answer));
        }
    }
    let pairs: Arc<Mutex<BTreeMap<String, String>>> = Arc::default();
    println!("SLS stand-in listens");
    serve(8080, move |request| manage(request, &pairs));
}

fn srtla(fault: &str, arguments: &[String]) {
    let value = |name: &str| {
        let prefix = format!("--{name}=");
        let found = arguments.iter().find_map(|it| it.strip_prefix(&prefix));
        found.map(str::to_owned)
    };
    let known = ["srtla_port", "srt_hostname", "srt_port", "stats_port"];
    for argument in arguments {
        let name = argument.trim_start_matches('-').split('=').next();
        if !known.contains(&name.unwrap_or_default()) {
            fail(1, &format!("usage: unknown {argument}"));
        }
    }
    // The real one resolves once, and ends when it cannot.
    let host = value("srt_hostname").unwrap_or_else(|| fail(1, "no host"));
    if !resolves(&host) {
        fail(1, &format!("{host} does not resolve"));
    }
    println!("srtla_rec is now running");
    if fault != "mute" {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 5000)).expect("the port is free");
        std::thread::spawn(move || answer_datagrams(&socket, registration_answer));
    }
    let body = "{\"groups\":[]}".to_owned();
    serve(5080, move |_| (200, body.clone()));
}

fn answer_datagrams(socket: &UdpSocket, answer: fn(&[u8]) -> Option<Vec<u8>>) {
    let mut buffer = [0; 2_048];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        if let Some(answer) = answer(&buffer[..length]) {
            drop(socket.send_to(&answer, from));
        }
    }
}

/// Version 5 and the listener's mark; everything else as it came.
fn induction_answer(question: &[u8]) -> Option<Vec<u8>> {
    if question.len() < 64 || !question.starts_with(&[0x80, 0, 0, 0]) {
        return None;
    }
    let mut answer = question.to_vec();
    answer[16..20].copy_from_slice(&5_u32.to_be_bytes());
    answer[22..24].copy_from_slice(&[0x4A, 0x17]);
    Some(answer)
}

fn registration_answer(question: &[u8]) -> Option<Vec<u8>> {
    match question.first_chunk::<2>()? {
        [0x92, 0x01] => Some(vec![0x92, 0x11]),
        [0x90, 0x00] => Some(question.to_vec()),
        _ => None,
    }
}

/// Asks the container engine's own name server, as a static program has no resolver.
fn resolves(name: &str) -> bool {
    let mut question = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    question.push(u8::try_from(name.len()).expect("a short name"));
    question.extend_from_slice(name.as_bytes());
    question.extend_from_slice(&[0, 0, 1, 0, 1]);
    let ask = || -> std::io::Result<bool> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        socket.send_to(&question, (Ipv4Addr::new(127, 0, 0, 11), 53))?;
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer)?;
        Ok(length > 8 && answer[6..8] != [0, 0])
    };
    ask().unwrap_or(false)
}

struct Request {
    method: String,
    path: String,
    has_key: bool,
    body: String,
}

fn serve(port: u16, answer: impl Fn(&Request) -> (u16, String)) {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).expect("the port is free");
    for stream in listener.incoming().flatten() {
        drop(converse(stream, &answer));
    }
}

fn converse(
    mut stream: TcpStream,
    answer: &impl Fn(&Request) -> (u16, String),
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut bytes = Vec::new();
    let mut piece = [0; 4_096];
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|it| it == b"\r\n\r\n") {
            break end + 4;
        }
        match stream.read(&mut piece)? {
            0 => return Ok(()),
            length => bytes.extend_from_slice(&piece[..length]),
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    while bytes.len() < head_end + length.unwrap_or(0) {
        match stream.read(&mut piece)? {
            0 => break,
            length => bytes.extend_from_slice(&piece[..length]),
        }
    }
    let mut words = head.split_whitespace();
    let request = Request {
        method: words.next().unwrap_or_default().to_owned(),
        path: words.next().unwrap_or_default().to_owned(),
        has_key: head.lines().any(|line| {
            let (name, value) = line.split_once(':').unwrap_or_default();
            name.eq_ignore_ascii_case("authorization") && value.trim().starts_with("Bearer ")
        }),
        body: String::from_utf8_lossy(&bytes[head_end..]).into_owned(),
    };
    let (status, body) = answer(&request);
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
}

fn manage(request: &Request, pairs: &Mutex<BTreeMap<String, String>>) -> (u16, String) {
    let mut pairs = pairs.lock().expect("one thread");
    let path = request.path.split('?').next().unwrap_or_default();
    match (request.method.as_str(), path) {
        (_, "/health") => {
            let body = "{\"service\":\"srt-live-server\",\"status\":\"ok\",\"version\":\"1.5.0\"}";
            (200, body.to_owned())
        }
        (_, path) if path.starts_with("/stats/") => {
            let body = if pairs.contains_key(&path[7..]) {
                (
                    200,
                    "{\"message\":\"Publisher is currently not streaming\",\"status\":\"ok\"}",
                )
            } else {
                (
                    404,
                    "{\"message\":\"Invalid player key\",\"status\":\"error\"}",
                )
            };
            (body.0, body.1.to_owned())
        }
        (_, path) if path.starts_with("/api/") && !request.has_key => {
            let message = "Missing or invalid Authorization header";
            (
                401,
                format!("{{\"message\":\"{message}\",\"status\":\"error\"}}"),
            )
        }
        ("GET", "/api/stream-ids") => {
            let entries: Vec<_> = pairs.values().cloned().collect();
            (
                200,
                format!(
                    "{{\"data\":[{}],\"status\":\"success\"}}",
                    entries.join(",")
                ),
            )
        }
        ("POST", "/api/stream-ids") => {
            let Some(player) = field(&request.body, "player") else {
                return (
                    400,
                    "{\"message\":\"Missing required fields\",\"status\":\"error\"}".into(),
                );
            };
            if pairs.contains_key(&player) {
                return (
                    409,
                    "{\"message\":\"Player key exists\",\"status\":\"error\"}".into(),
                );
            }
            pairs.insert(player, request.body.clone());
            (
                200,
                "{\"message\":\"Stream ID added successfully\",\"status\":\"success\"}".into(),
            )
        }
        ("DELETE", path) if path.starts_with("/api/stream-ids/") => {
            match pairs.remove(&path["/api/stream-ids/".len()..]) {
                Some(_) => (
                    200,
                    "{\"message\":\"Stream ID deleted successfully\",\"status\":\"success\"}"
                        .into(),
                ),
                None => (
                    404,
                    "{\"message\":\"Stream ID not found\",\"status\":\"error\"}".into(),
                ),
            }
        }
        _ => (404, String::new()),
    }
}

/// The text of a field in a flat JSON object without escapes.
fn field(body: &str, name: &str) -> Option<String> {
    let (_, rest) = body.split_once(&format!("\"{name}\""))?;
    let rest = rest
        .trim_start()
        .strip_prefix(':')?
        .trim_start()
        .strip_prefix('"')?;
    Some(rest.split('"').next()?.to_owned())
}
