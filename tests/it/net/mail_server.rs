//! A mail server that keeps what it is given: as much of SMTP as a client needs to hand over a mail.
//!
//! Invariant: it listens on loopback, and its thread ends with it. What it does not know it refuses, as a real
//! one does.
//!
//! Source: RFC 5321, sections 3 and 4.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::harness::eventually::{eventually_blocking, rest_until};

const LOOK_EVERY: Duration = Duration::from_millis(5);
const CLIENT_PATIENCE: Duration = Duration::from_secs(5);
/// For a job that comes every five seconds, on a loaded machine.
const DELIVERY: Duration = Duration::from_secs(40);

/// A mail as it was handed over.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    pub(crate) to: String,
    /// Header and text, its transfer encoding undone.
    pub(crate) text: String,
}

impl Mail {
    /// The path and query of the first link to `path`, as the mail has it.
    ///
    /// # Panics
    /// When it has none.
    #[track_caller]
    pub(crate) fn link_to(&self, path: &str) -> String {
        let (_, rest) = self
            .text
            .split_once(&format!("{path}?"))
            .unwrap_or_else(|| panic!("no {path} in {}", self.text));
        let query: String = rest.chars().take_while(|c| !c.is_whitespace()).collect();
        format!("{path}?{query}")
    }
}

/// The server.
#[derive(Debug)]
pub(crate) struct MailServer {
    address: SocketAddr,
    mails: Arc<Mutex<Vec<Mail>>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl MailServer {
    /// Starts one on a free port.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        listener
            .set_nonblocking(true)
            .expect("a socket can be told so");
        let (mails, is_over) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let (kept, over) = (Arc::clone(&mails), Arc::clone(&is_over));
        let thread = std::thread::spawn(move || run(&listener, &kept, &over));
        Self {
            address,
            mails,
            is_over,
            thread: Some(thread),
        }
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Every mail to `to` so far, oldest first.
    pub(crate) fn mails_to(&self, to: &str) -> Vec<Mail> {
        let mails = self.mails.lock().expect("nobody panics with it");
        mails.iter().filter(|mail| mail.to == to).cloned().collect()
    }

    /// Waits for a mail to `to` whose text has these words, and answers the last one.
    #[track_caller]
    pub(crate) fn await_mail(&self, to: &str, words: &str) -> Mail {
        let find = || {
            let mails = self.mails_to(to);
            mails
                .into_iter()
                .rev()
                .find(|mail| mail.text.contains(words))
        };
        eventually_blocking(DELIVERY, &format!("a mail to {to}: {words}"), || {
            find().is_some()
        });
        find().expect("it was there a moment ago")
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("its thread does not panic");
        }
    }
}

fn run(listener: &TcpListener, mails: &Arc<Mutex<Vec<Mail>>>, is_over: &AtomicBool) {
    let mut clients = Vec::new();
    while !is_over.load(Ordering::SeqCst) {
        let Ok((stream, _)) = listener.accept() else {
            rest_until(Instant::now() + LOOK_EVERY);
            continue;
        };
        let mails = Arc::clone(mails);
        clients.push(std::thread::spawn(move || serve(&stream, &mails)));
    }
    for client in clients {
        client.join().expect("a client's thread does not panic");
    }
}

/// Talks to one client until it goes, or says nothing for too long.
fn serve(stream: &TcpStream, mails: &Mutex<Vec<Mail>>) {
    stream
        .set_nonblocking(false)
        .expect("a socket can be told so");
    stream
        .set_read_timeout(Some(CLIENT_PATIENCE))
        .expect("it is no zero");
    let mut lines = BufReader::new(stream);
    let mut to = String::new();
    say(stream, "220 mail.test ESMTP");
    while let Some(line) = read_line(&mut lines) {
        let verb = line
            .split([' ', ':'])
            .next()
            .unwrap_or_default()
            .to_uppercase();
        match verb.as_str() {
            "EHLO" | "HELO" => say(stream, "250 mail.test"),
            "RCPT" => {
                let inside = line
                    .split_once('<')
                    .and_then(|(_, rest)| rest.split_once('>'));
                to = inside.map_or_else(String::new, |(address, _)| address.to_owned());
                say(stream, "250 OK");
            }
            "MAIL" | "NOOP" | "RSET" => say(stream, "250 OK"),
            "DATA" => {
                say(stream, "354 Go on");
                let Some(text) = read_text(&mut lines) else {
                    return;
                };
                let mail = Mail {
                    to: to.clone(),
                    text: undo_quoted_printable(&text),
                };
                mails.lock().expect("nobody panics with it").push(mail);
                say(stream, "250 It is here");
            }
            "QUIT" => {
                say(stream, "221 Bye");
                return;
            }
            _ => say(stream, "500 Unknown"),
        }
    }
}

fn say(mut stream: &TcpStream, line: &str) {
    // The client may have gone.
    drop(stream.write_all(format!("{line}\r\n").as_bytes()));
}

fn read_line(lines: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    match lines.read_line(&mut line) {
        Ok(1..) => Some(line.trim_end().to_owned()),
        Ok(_) | Err(_) => None,
    }
}

/// The text up to the line with a dot alone, the dots that were doubled undone.
fn read_text(lines: &mut impl BufRead) -> Option<String> {
    let mut text = String::new();
    loop {
        let line = read_line(lines)?;
        if line == "." {
            return Some(text);
        }
        text.push_str(line.strip_prefix('.').unwrap_or(&line));
        text.push('\n');
    }
}

/// RFC 2045, section 6.7, for texts of ASCII.
fn undo_quoted_printable(text: &str) -> String {
    if !text.contains("quoted-printable") {
        return text.to_owned();
    }
    text.replace("=\n", "")
        .replace("=3D", "=")
        .replace("=20", " ")
}
