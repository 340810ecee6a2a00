//! Whose a bonded publisher's links are, read from what the programs in the containers write.
//!
//! The receiver writes which group a link joins and from which port it carries a group to SLS; SLS writes which
//! publish key came from which port. Neither tells it anywhere else.
//!
//! Source: `srtla_rec` (`[<address>] [Group: <id>] Connection registration`, `[Group: <id>] Created SRT socket. Local
//! Port: <port>`) and srt-live-server 1.5.1 (`new publisher[<address>], key_stream_name=<key>.`).
//!
//! Invariant: lines are taken in the order of their moments, whichever program wrote them; a link is only told
//! when all three are known and newer ones contradict none. Bounded, whatever is written.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use jiff::Timestamp;

use crate::relay::inside::Origin;

/// Entries of each kind; SLS and the receiver have room for fewer.
const ENTRIES_MAX: usize = 8_192;
/// What a line of interest has at most.
const LINE_BYTES_MAX: usize = 512;

/// A line with the moment at which it was written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line {
    pub(super) at: Timestamp,
    text: String,
}

impl Line {
    /// Of a line that begins with its moment, as the container engine writes it when asked to.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (at, text) = line.split_once(' ')?;
        Some(Self {
            at: at.parse().ok()?,
            text: text.get(..LINE_BYTES_MAX).unwrap_or(text).to_owned(),
        })
    }
}

/// What the lines so far came to.
#[derive(Default)]
pub(super) struct Book {
    groups: HashMap<SocketAddr, String>,
    ports: HashMap<String, u16>,
    keys: HashMap<u16, String>,
    /// Lines up to here were taken.
    pub(super) read_to: Option<Timestamp>,
}

impl std::fmt::Debug for Book {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Book")
            .field("links", &self.groups.len())
            .finish_non_exhaustive()
    }
}

impl Book {
    /// Takes the lines of all programs; `receiver` is where SLS sees the bonding receiver.
    pub(super) fn take(&mut self, mut lines: Vec<Line>, receiver: IpAddr) {
        lines.sort();
        for line in lines {
            if self.read_to.is_some_and(|read_to| line.at <= read_to) {
                continue;
            }
            self.read_to = Some(line.at);
            self.take_line(&line.text, receiver);
        }
        let sizes = [self.groups.len(), self.ports.len(), self.keys.len()];
        if sizes.into_iter().any(|size| size > ENTRIES_MAX) {
            // Those who are live then are not told any more until they come anew.
            let read_to = self.read_to;
            *self = Self {
                read_to,
                ..Self::default()
            };
        }
    }

    fn take_line(&mut self, line: &str, receiver: IpAddr) {
        if line.contains("srtla_rec is now running") {
            self.groups.clear();
            self.ports.clear();
            self.keys.clear();
        } else if let Some((link, group)) = registration(line) {
            self.groups.insert(link, group.to_owned());
        } else if let Some((group, port)) = way_to_sls(line) {
            // Another stream may have come from that port before.
            self.keys.remove(&port);
            self.ports.retain(|_, other| *other != port);
            self.ports.insert(group.to_owned(), port);
        } else if let Some((address, key)) = publisher(line)
            && address.ip() == receiver
        {
            self.keys.insert(address.port(), key.to_owned());
        }
    }

    /// Every link that is known.
    pub(super) fn origins(&self) -> Vec<Origin> {
        let origin = |(link, group): (&SocketAddr, &String)| {
            let key = self.keys.get(self.ports.get(group)?)?;
            Some(Origin {
                link: *link,
                publish_key: key.clone(),
            })
        };
        self.groups.iter().filter_map(origin).collect()
    }
}

fn registration(line: &str) -> Option<(SocketAddr, &str)> {
    let (before, rest) = line.split_once("[Group: ")?;
    let (group, rest) = rest.split_once(']')?;
    if !rest.trim_start().starts_with("Connection registration") {
        return None;
    }
    let address = before.trim_end().strip_suffix(']')?.rsplit('[').next()?;
    Some((address.parse().ok()?, group))
}

fn way_to_sls(line: &str) -> Option<(&str, u16)> {
    let (_, rest) = line.split_once("[Group: ")?;
    let (group, rest) = rest.split_once(']')?;
    let (_, port) = rest.split_once("Created SRT socket. Local Port: ")?;
    Some((group, port.trim().parse().ok()?))
}

fn publisher(line: &str) -> Option<(SocketAddr, &str)> {
    let (_, rest) = line.split_once("new publisher[")?;
    let (address, rest) = rest.split_once(']')?;
    let (_, key) = rest.split_once("key_stream_name=")?;
    let (ip, port) = address.rsplit_once(':')?;
    let ip = ip.trim_start_matches("::ffff:");
    let ip: IpAddr = ip.trim_matches(['[', ']']).parse().ok()?;
    let key = key.trim_end().trim_end_matches('.');
    Some((SocketAddr::new(ip, port.parse().ok()?), key))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RECEIVER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(172, 18, 0, 3));

    fn lines(texts: &[&str]) -> Vec<Line> {
        let line = |(second, text): (usize, &&str)| {
            Line::parse(&format!("2026-11-21T10:00:{second:02}.000000001Z {text}")).unwrap()
        };
        texts.iter().enumerate().map(line).collect()
    }

    fn told(book: &Book) -> Vec<(String, String)> {
        let mut told: Vec<_> = book
            .origins()
            .into_iter()
            .map(|it| (it.link.to_string(), it.publish_key))
            .collect();
        told.sort();
        told
    }

    fn pair(link: &str, key: &str) -> (String, String) {
        (link.to_owned(), key.to_owned())
    }

    #[test]
    fn links_of_two_groups_are_told_apart_and_a_port_that_is_used_again_has_its_new_stream() {
        let mut book = Book::default();
        let mut all = lines(&[
            "[2026-11-21 10:00:00] [info] srtla_rec is now running",
            "[info] [10.0.0.2:41102] [Group: 0xaa] Connection registration",
            "[info] [10.0.0.3:40712] [Group: 0xaa] Connection registration",
            "[info] [10.9.0.2:55555] [Group: 0xbb] Connection registration",
            "[info] [Group: 0xaa] Created SRT socket. Local Port: 39001",
            "2026 CSLSListener::handler, new publisher[::ffff:172.18.0.3:39001], key_stream_name=live_a.",
            "2026 CSLSListener::handler, new publisher[::ffff:172.18.0.1:39002], key_stream_name=live_x.",
            "[info] [Group: 0xbb] Created SRT socket. Local Port: 39002",
            "[info] [10.0.0.2:41102] [Group: 0xaa] Connection registration failed: No group found",
        ]);
        all.reverse();
        book.take(all.clone(), RECEIVER);
        let first = [
            pair("10.0.0.2:41102", "live_a"),
            pair("10.0.0.3:40712", "live_a"),
        ];
        assert_eq!(told(&book), first, "a direct publisher has no links");
        assert!(!format!("{book:?}").contains("live_a"));

        let again = [
            &[""; 20][..],
            &[
                "[info] [10.7.0.2:1000] [Group: 0xcc] Connection registration",
                "[info] [Group: 0xcc] Created SRT socket. Local Port: 39001",
            ],
        ];
        book.take(lines(&again.concat()), RECEIVER);
        assert_eq!(told(&book), [], "nobody knows yet whose it is");
        let later = [
            &[""; 30][..],
            &["new publisher[::ffff:172.18.0.3:39001], key_stream_name=live_c."],
        ];
        book.take(lines(&later.concat()), RECEIVER);
        assert_eq!(told(&book), [pair("10.7.0.2:1000", "live_c")]);
        book.take(all, RECEIVER);
        assert_eq!(told(&book).len(), 1, "what was read is not read again");
    }

    proptest! {
        #[test]
        fn no_line_panics_or_fills_the_memory(text in "\\PC{0,80}", group in "[a-z\\]]{0,4}") {
            let mut book = Book::default();
            for line in [
                text.clone(),
                format!("[{text}] [Group: {group}] Connection registration"),
                format!("[Group: {group}] Created SRT socket. Local Port: {text}"),
                format!("new publisher[{text}], key_stream_name={text}."),
            ] {
                book.take_line(&line, RECEIVER);
                drop(Line::parse(&line));
            }
            prop_assert!(book.origins().len() <= 1);
        }
    }
}
