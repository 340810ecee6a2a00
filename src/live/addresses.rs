//! The addresses of a slot, written the way each program wants them.
//!
//! Apps on phones count the SRT latency in milliseconds, `libavformat` (OBS, ffmpeg) in
//! microseconds; one for the other is the commonest silent mistake.
//! Source: <https://ffmpeg.org/ffmpeg-protocols.html#srt>
//!
//! Invariant: without the keys, no byte of a key is in what this module returns.

use std::fmt;
use std::net::Ipv6Addr;

use crate::kernel::ids::SlotId;
use crate::kernel::secret::{ExposeSecret, SecretString};

/// What stands in place of a key that is not shown.
pub const MASK: &str = "••••••••";

/// Where the relay is reached from outside.
#[derive(Debug, Clone)]
pub struct Endpoints {
    /// Name or address, without brackets.
    pub host: String,
    /// UDP port for bonded SRTLA.
    pub srtla_port: u16,
    /// UDP port for SRT publishers.
    pub publish_port: u16,
    /// UDP port for SRT players.
    pub play_port: u16,
    /// The SRT latency to recommend, in milliseconds.
    pub latency_ms: u32,
    /// The beginning of the figures' address, such as `http://203.0.113.7:8090/stats/`.
    pub stats_base: Option<String>,
}

/// The three credentials of a slot, prefix included.
#[derive(Debug)]
pub struct Keys {
    /// `live_...`
    pub publish: SecretString,
    /// `play_...`
    pub play: SecretString,
    /// `stats_...`
    pub stats: SecretString,
}

/// One value to copy into a program.
#[derive(Clone)]
pub struct CopyField {
    /// Unique on the page.
    pub id: String,
    /// The program's own word for it.
    pub label: &'static str,
    /// The value, with [`MASK`] in place of a key that is not shown.
    pub text: String,
    /// Whether the value is complete and may be copied.
    pub can_copy: bool,
}

impl fmt::Debug for CopyField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyField")
            .field("id", &self.id)
            .field("text", &"***")
            .finish()
    }
}

/// The values for one kind of program.
#[derive(Debug, Clone)]
pub struct Client {
    /// The names of the programs.
    pub title: &'static str,
    /// What it is for, in a few words.
    pub purpose: &'static str,
    /// The values, in the order in which the program asks for them.
    pub fields: Vec<CopyField>,
    /// What to set beside the address.
    pub notes: Vec<String>,
    /// Whether it is unfolded at first.
    pub is_open: bool,
}

/// The addresses of `slot`, the recommended program first; without `keys` they are masked.
#[must_use]
pub fn clients(slot: SlotId, at: &Endpoints, keys: Option<&Keys>) -> Vec<Client> {
    let writer = Writer { slot, at, keys };
    let mut clients = vec![
        writer.bonded(),
        writer.belabox(),
        writer.app(),
        writer.encoder(),
        writer.player(),
    ];
    clients.extend(writer.figures());
    clients
}

struct Writer<'a> {
    slot: SlotId,
    at: &'a Endpoints,
    keys: Option<&'a Keys>,
}

impl Writer<'_> {
    fn bonded(&self) -> Client {
        let url = format!(
            "srtla://{}?streamid={}",
            self.at(self.at.srtla_port),
            self.publish()
        );
        Client {
            title: "Moblin, IRL Pro",
            purpose: "Phone, several networks bonded (SRTLA)",
            fields: vec![self.keyed("srtla", "URL", url)],
            notes: vec![format!(
                "SRT latency in the app: {} ms.",
                self.at.latency_ms
            )],
            is_open: true,
        }
    }

    fn belabox(&self) -> Client {
        Client {
            title: "BELABOX",
            purpose: "Encoder box, several modems bonded (SRTLA)",
            fields: vec![
                self.open("belabox-address", "Receiver address", self.at.host.clone()),
                self.open(
                    "belabox-port",
                    "Receiver port",
                    self.at.srtla_port.to_string(),
                ),
                self.keyed("belabox-stream", "SRT stream ID", self.publish()),
                self.open(
                    "belabox-latency",
                    "SRT latency (ms)",
                    self.at.latency_ms.to_string(),
                ),
            ],
            notes: Vec::new(),
            is_open: false,
        }
    }

    fn app(&self) -> Client {
        let url = format!(
            "srt://{}?streamid={}&latency={}",
            self.at(self.at.publish_port),
            self.publish(),
            self.at.latency_ms
        );
        Client {
            title: "Larix and other SRT apps",
            purpose: "One network, plain SRT, latency in milliseconds",
            fields: vec![self.keyed("srt", "URL", url)],
            notes: Vec::new(),
            is_open: false,
        }
    }

    fn encoder(&self) -> Client {
        let url = self.libavformat(self.at.publish_port, &self.publish());
        Client {
            title: "OBS or ffmpeg as the sender",
            purpose: "Plain SRT, latency in microseconds",
            fields: vec![self.keyed("encoder", "Server", url)],
            notes: vec![
                "In OBS: Settings, Stream, service Custom; leave the key empty.".to_owned(),
            ],
            is_open: false,
        }
    }

    fn player(&self) -> Client {
        let url = self.libavformat(self.at.play_port, &self.play());
        Client {
            title: "OBS Media Source",
            purpose: "Shows the stream in OBS, latency in microseconds",
            fields: vec![
                self.keyed("player", "Input", url),
                self.open("player-format", "Input Format", "mpegts".to_owned()),
            ],
            notes: vec![
                "Turn off Local File, Restart playback when source becomes active and Close file \
                 when inactive."
                    .to_owned(),
                "Network Buffering 2 MB, Reconnect Delay 2 s.".to_owned(),
            ],
            is_open: false,
        }
    }

    fn figures(&self) -> Option<Client> {
        let base = self.at.stats_base.as_deref()?;
        let token = self.shown(|keys| &keys.stats, "stats_");
        Some(Client {
            title: "NOALBS and other tools",
            purpose: "Bit rate and round-trip time as JSON",
            fields: vec![self.keyed("stats", "Statistics URL", format!("{base}{token}"))],
            notes: Vec::new(),
            is_open: false,
        })
    }

    fn libavformat(&self, port: u16, key: &str) -> String {
        let latency_us = u64::from(self.at.latency_ms) * 1000;
        format!(
            "srt://{}?streamid={key}&latency={latency_us}&mode=caller",
            self.at(port)
        )
    }

    /// `host:port`, an IPv6 address in brackets.
    fn at(&self, port: u16) -> String {
        let host = &self.at.host;
        match host.parse::<Ipv6Addr>() {
            Ok(address) => format!("[{address}]:{port}"),
            Err(_) => format!("{host}:{port}"),
        }
    }

    fn publish(&self) -> String {
        self.shown(|keys| &keys.publish, "live_")
    }

    fn play(&self) -> String {
        self.shown(|keys| &keys.play, "play_")
    }

    fn shown(&self, key: impl Fn(&Keys) -> &SecretString, prefix: &str) -> String {
        match self.keys {
            Some(keys) => key(keys).expose_secret().to_owned(),
            None => format!("{prefix}{MASK}"),
        }
    }

    fn keyed(&self, part: &str, label: &'static str, text: String) -> CopyField {
        let can_copy = self.keys.is_some();
        CopyField {
            can_copy,
            ..self.open(part, label, text)
        }
    }

    fn open(&self, part: &str, label: &'static str, text: String) -> CopyField {
        CopyField {
            id: format!("{part}-{}", self.slot),
            label,
            text,
            can_copy: true,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn endpoints() -> Endpoints {
        Endpoints {
            host: "relay.example.com".to_owned(),
            srtla_port: 5000,
            publish_port: 4001,
            play_port: 4000,
            latency_ms: 2000,
            stats_base: Some("http://203.0.113.7:8090/stats/".to_owned()),
        }
    }

    pub(crate) fn keys() -> Keys {
        let key = |prefix: &str| SecretString::from(format!("{prefix}{}", "5eC2e7".repeat(5)));
        Keys {
            publish: key("live_"),
            play: key("play_"),
            stats: key("stats_"),
        }
    }

    fn texts(at: &Endpoints, keys: Option<&Keys>) -> Vec<String> {
        let clients = clients(SlotId::generate(), at, keys);
        clients
            .into_iter()
            .flat_map(|client| client.fields)
            .map(|field| field.text)
            .collect()
    }

    #[test]
    fn each_program_gets_its_own_form() {
        let key = "5eC2e7".repeat(5);
        let expected = [
            format!("srtla://relay.example.com:5000?streamid=live_{key}"),
            "relay.example.com".to_owned(),
            "5000".to_owned(),
            format!("live_{key}"),
            "2000".to_owned(),
            format!("srt://relay.example.com:4001?streamid=live_{key}&latency=2000"),
            format!("srt://relay.example.com:4001?streamid=live_{key}&latency=2000000&mode=caller"),
            format!("srt://relay.example.com:4000?streamid=play_{key}&latency=2000000&mode=caller"),
            "mpegts".to_owned(),
            format!("http://203.0.113.7:8090/stats/stats_{key}"),
        ];
        assert_eq!(texts(&endpoints(), Some(&keys())), expected);
    }

    #[test]
    fn without_the_keys_only_the_place_is_told() {
        let texts = texts(&endpoints(), None);
        assert_eq!(
            texts[0],
            format!("srtla://relay.example.com:5000?streamid=live_{MASK}")
        );
        assert!(texts.iter().all(|text| !text.contains("5eC2e7")));
    }

    #[test]
    fn only_a_complete_value_may_be_copied() {
        for client in clients(SlotId::generate(), &endpoints(), None) {
            for field in client.fields {
                assert_eq!(field.can_copy, !field.text.contains(MASK), "{}", field.text);
            }
        }
    }

    #[test]
    fn an_ipv6_address_stands_in_brackets() {
        let at = Endpoints {
            host: "2001:db8::7".to_owned(),
            ..endpoints()
        };
        assert!(texts(&at, None)[0].starts_with("srtla://[2001:db8::7]:5000?"));
    }

    #[test]
    fn a_key_is_not_in_the_debug_output() {
        let clients = clients(SlotId::generate(), &endpoints(), Some(&keys()));
        assert!(!format!("{clients:?}{:?}", keys()).contains("5eC2e7"));
    }
}
