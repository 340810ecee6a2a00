//! As much of HTTP/1.1 as a caller of SLS needs: one request per connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::state::{Request, State};
use crate::harness::eventually::rest_until;

const LOOK_EVERY: Duration = Duration::from_millis(2);
/// A caller that says nothing for so long is gone.
const CALLER_PATIENCE: Duration = Duration::from_secs(5);

/// Serves until it is over.
pub(super) fn run(listener: &TcpListener, state: &Arc<Mutex<State>>, is_over: &Arc<AtomicBool>) {
    listener
        .set_nonblocking(true)
        .expect("a socket can be told so");
    let mut callers = Vec::new();
    while !is_over.load(Ordering::SeqCst) {
        let Ok((stream, _)) = listener.accept() else {
            rest_until(Instant::now() + LOOK_EVERY);
            continue;
        };
        let (state, is_over) = (Arc::clone(state), Arc::clone(is_over));
        callers.push(std::thread::spawn(move || serve(&stream, &state, &is_over)));
        callers.retain(|caller| !caller.is_finished());
    }
    for caller in callers {
        caller.join().expect("a caller's thread does not panic");
    }
}

fn serve(stream: &TcpStream, state: &Mutex<State>, is_over: &AtomicBool) {
    let Some(request) = read(stream) else { return };
    let answer = state.lock().expect("nothing panics").answer(&request);
    let Some((status, body)) = answer else {
        // It hangs: until the caller gives up, or we end.
        hold(stream, is_over);
        return;
    };
    let date = state.lock().expect("nothing panics").date;
    let date = date.map_or_else(String::new, |date| format!("Date: {date}\r\n"));
    let head = format!(
        "HTTP/1.1 {status} Any\r\nContent-Type: application/json\r\n{date}Content-Length: {}\r\n\
         Access-Control-Allow-Origin: *\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let mut stream = stream;
    // The caller may have had enough of a long answer.
    drop(stream.write_all(head.as_bytes()));
    drop(stream.write_all(&body));
}

fn hold(mut stream: &TcpStream, is_over: &AtomicBool) {
    let wait = stream.set_read_timeout(Some(Duration::from_millis(20)));
    wait.expect("it is no zero");
    while !is_over.load(Ordering::SeqCst) {
        match stream.read(&mut [0; 1]) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(CALLER_PATIENCE)).ok()?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut length, mut authorization) = (0, String::new());
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let header = header.trim_end();
        let Some((name, value)) = header.split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "authorization" => value.clone_into(&mut authorization),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let path = path.split('?').next().unwrap_or_default().to_owned();
    Some(Request {
        method,
        path,
        authorization,
        body,
    })
}
