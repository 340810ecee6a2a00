//! The addresses of a slot, written the way each program wants them.
//!
//! Apps on phones count the SRT latency in milliseconds, `libavformat` (OBS, ffmpeg) in
//! microseconds; one for the other is the commonest silent mistake.
//! Source: <https://ffmpeg.org/ffmpeg-protocols.html#srt>
//!
//! Invariant: without the keys, no byte of a key is in what this module returns.

use std::fmt;
use std::time::Duration;

use crate::kernel::ids::SlotId;
use crate::kernel::secret::{ExposeSecret, SecretString};
use crate::settings::PublicAddress;
use crate::slots::{ClientUrls, SlotKeys};

/// What stands in place of a key that is not shown.
pub const MASK: &str = "••••••••";

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
            .finish_non_exhaustive()
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
pub fn clients(
    slot: SlotId,
    address: &PublicAddress,
    keys: Option<&SlotKeys>,
    latency: Duration,
) -> Vec<Client> {
    let masked = masked_keys();
    let shown = keys.unwrap_or(&masked);
    let writer = Writer {
        slot,
        address,
        keys: shown,
        urls: ClientUrls::new(address, shown, latency),
        latency_ms: latency.as_millis(),
        is_revealed: keys.is_some(),
    };
    vec![
        writer.bonded(),
        writer.belabox(),
        writer.app(),
        writer.encoder(),
        writer.player(),
        writer.figures(),
    ]
}

fn masked_keys() -> SlotKeys {
    let masked = |prefix: &str| SecretString::from(format!("{prefix}{MASK}"));
    SlotKeys {
        publish: masked("live_"),
        play: masked("play_"),
        stats: masked("stats_"),
    }
}

struct Writer<'a> {
    slot: SlotId,
    address: &'a PublicAddress,
    keys: &'a SlotKeys,
    urls: ClientUrls,
    latency_ms: u128,
    is_revealed: bool,
}

impl Writer<'_> {
    fn bonded(&self) -> Client {
        Client {
            title: "Moblin, IRL Pro",
            purpose: "Phone, several networks bonded (SRTLA)",
            fields: vec![self.keyed("srtla", "URL", &self.urls.srtla)],
            notes: vec![format!("SRT latency in the app: {} ms.", self.latency_ms)],
            is_open: true,
        }
    }

    fn belabox(&self) -> Client {
        let port = self.address.ports.srtla.to_string();
        let key = self.keys.publish.expose_secret();
        Client {
            title: "BELABOX",
            purpose: "Encoder box, several modems bonded (SRTLA)",
            fields: vec![
                self.open("belabox-address", "Receiver address", &self.address.host),
                self.open("belabox-port", "Receiver port", &port),
                self.keyed("belabox-stream", "SRT stream ID", key),
                self.open(
                    "belabox-latency",
                    "SRT latency (ms)",
                    &self.latency_ms.to_string(),
                ),
            ],
            notes: Vec::new(),
            is_open: false,
        }
    }

    fn app(&self) -> Client {
        Client {
            title: "Larix and other SRT apps",
            purpose: "One network, plain SRT, latency in milliseconds",
            fields: vec![self.keyed("srt", "URL", &self.urls.srt)],
            notes: Vec::new(),
            is_open: false,
        }
    }

    fn encoder(&self) -> Client {
        Client {
            title: "OBS or ffmpeg as the sender",
            purpose: "Plain SRT, latency in microseconds",
            fields: vec![self.keyed("encoder", "Server", &self.urls.obs_publish)],
            notes: vec![
                "In OBS: Settings, Stream, service Custom; leave the key empty.".to_owned(),
            ],
            is_open: false,
        }
    }

    fn player(&self) -> Client {
        let switches = "Turn off Local File, Restart playback when source becomes active and \
                        Close file when inactive.";
        Client {
            title: "OBS Media Source",
            purpose: "Shows the stream in OBS, latency in microseconds",
            fields: vec![
                self.keyed("player", "Input", &self.urls.obs),
                self.open("player-format", "Input Format", "mpegts"),
            ],
            notes: vec![
                switches.to_owned(),
                "Network Buffering 2 MB, Reconnect Delay 2 s.".to_owned(),
            ],
            is_open: false,
        }
    }

    fn figures(&self) -> Client {
        let url = format!(
            "{}/stats/{}",
            self.address.url,
            self.keys.stats.expose_secret()
        );
        Client {
            title: "NOALBS and other tools",
            purpose: "Bit rate and round-trip time as JSON",
            fields: vec![self.keyed("stats", "Statistics URL", &url)],
            notes: Vec::new(),
            is_open: false,
        }
    }

    fn keyed(&self, part: &str, label: &'static str, text: &str) -> CopyField {
        CopyField {
            can_copy: self.is_revealed,
            ..self.open(part, label, text)
        }
    }

    fn open(&self, part: &str, label: &'static str, text: &str) -> CopyField {
        CopyField {
            id: format!("{part}-{}", self.slot),
            label,
            text: text.to_owned(),
            can_copy: true,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::settings::AdvertisedPorts;

    pub(crate) const LATENCY: Duration = Duration::from_secs(2);

    pub(crate) fn address() -> PublicAddress {
        PublicAddress {
            host: "relay.example.com".to_owned(),
            url: "https://relay.example.com".to_owned(),
            ipv4: Ipv4Addr::LOCALHOST,
            ports: AdvertisedPorts {
                srtla: 5000,
                srt_publish: 4001,
                srt_play: 4000,
                stats: 8090,
            },
        }
    }

    pub(crate) fn keys() -> SlotKeys {
        let key = |prefix: &str| SecretString::from(format!("{prefix}{}", "5eC2e7".repeat(5)));
        SlotKeys {
            publish: key("live_"),
            play: key("play_"),
            stats: key("stats_"),
        }
    }

    fn fields(keys: Option<&SlotKeys>) -> Vec<CopyField> {
        let clients = clients(SlotId::generate(), &address(), keys, LATENCY);
        clients
            .into_iter()
            .flat_map(|client| client.fields)
            .collect()
    }

    fn texts(keys: Option<&SlotKeys>) -> Vec<String> {
        fields(keys).into_iter().map(|field| field.text).collect()
    }

    #[test]
    fn each_program_gets_its_own_form() {
        let urls = ClientUrls::new(&address(), &keys(), LATENCY);
        let key = "5eC2e7".repeat(5);
        let expected = [
            urls.srtla,
            "relay.example.com".to_owned(),
            "5000".to_owned(),
            format!("live_{key}"),
            "2000".to_owned(),
            urls.srt,
            urls.obs_publish,
            urls.obs,
            "mpegts".to_owned(),
            format!("https://relay.example.com/stats/stats_{key}"),
        ];
        assert_eq!(texts(Some(&keys())), expected);
    }

    #[test]
    fn apps_count_milliseconds_and_obs_counts_microseconds() {
        let texts = texts(Some(&keys()));
        assert!(texts[5].contains("latency=2000&"));
        assert!(texts[6].contains("latency=2000000&") && texts[6].contains(":4001"));
        assert!(texts[7].contains("latency=2000000&") && texts[7].contains(":4000"));
    }

    #[test]
    fn only_the_player_gets_the_play_key() {
        let with_play = texts(Some(&keys()))
            .iter()
            .filter(|text| text.contains("play_"))
            .count();
        assert_eq!(with_play, 1);
    }

    #[test]
    fn without_the_keys_only_the_place_is_told() {
        let texts = texts(None);
        assert_eq!(
            texts[0],
            format!("srtla://relay.example.com:5000?streamid=live_{MASK}")
        );
        assert!(texts.iter().all(|text| !text.contains("5eC2e7")));
    }

    #[test]
    fn only_a_complete_value_may_be_copied() {
        for field in fields(None) {
            assert_eq!(field.can_copy, !field.text.contains(MASK), "{}", field.text);
        }
        assert!(fields(Some(&keys())).iter().all(|field| field.can_copy));
    }

    #[test]
    fn a_key_is_not_in_the_debug_output() {
        assert!(!format!("{:?}{:?}", fields(Some(&keys())), keys()).contains("5eC2e7"));
    }
}
