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

/// Moblin reads the passphrase from the URL, and its own SRT implementation knows no encryption.
/// Source: <https://github.com/eerimoq/moblin/issues/406>, of July 2026.
const ENCRYPTED_BONDING: &str = "Moblin takes the URL with the passphrase, with its SRT implementation set \
                                 to Official. An app with a field for the passphrase takes the other two.";
const ENCRYPTED_BOX: &str =
    "An encoder without a field for the passphrase cannot send to a slot that has one.";
const ENCRYPTED_APP: &str =
    "The URL holds the passphrase; some apps want it in a field of its own.";

/// How much of a slot's keys is shown.
#[derive(Debug, Clone, Copy)]
pub enum Shown<'a> {
    /// All of them, the passphrase included.
    Revealed(&'a SlotKeys),
    /// None of them, only whether there is a passphrase.
    Masked {
        /// Whether the slot has one.
        has_passphrase: bool,
    },
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

/// The addresses of `slot`, the recommended program first, with as much of the keys as is shown.
#[must_use]
pub fn clients(
    slot: SlotId,
    address: &PublicAddress,
    shown: Shown<'_>,
    latency: Duration,
) -> Vec<Client> {
    let masked;
    let (keys, is_revealed) = match shown {
        Shown::Revealed(keys) => (keys, true),
        Shown::Masked { has_passphrase } => {
            masked = masked_keys(has_passphrase);
            (&masked, false)
        }
    };
    let writer = Writer {
        slot,
        address,
        keys,
        urls: ClientUrls::new(address, keys, latency),
        latency_ms: latency.as_millis(),
        is_revealed,
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

fn masked_keys(has_passphrase: bool) -> SlotKeys {
    let masked = |prefix: &str| SecretString::from(format!("{prefix}{MASK}"));
    SlotKeys {
        publish: masked("live_"),
        play: masked("play_"),
        stats: masked("stats_"),
        passphrase: has_passphrase.then(|| SecretString::from(MASK)),
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
        let mut fields = vec![self.keyed("srtla", "URL", &self.urls.srtla)];
        let mut notes = vec![format!("SRT latency in the app: {} ms.", self.latency_ms)];
        fields.extend(self.passphrase("srtla-passphrase"));
        if let Some(url) = &self.urls.srtla_encrypted {
            fields.push(self.keyed("srtla-encrypted", "URL with the passphrase", url));
            notes.push(ENCRYPTED_BONDING.to_owned());
        }
        Client {
            title: "Moblin, IRL Pro",
            purpose: "Phone, several networks bonded (SRTLA)",
            fields,
            notes,
            is_open: true,
        }
    }

    fn belabox(&self) -> Client {
        let port = self.address.ports.srtla.to_string();
        let key = self.keys.publish.expose_secret();
        let mut fields = vec![
            self.open("belabox-address", "Receiver address", &self.address.host),
            self.open("belabox-port", "Receiver port", &port),
            self.keyed("belabox-stream", "SRT stream ID", key),
            self.open(
                "belabox-latency",
                "SRT latency (ms)",
                &self.latency_ms.to_string(),
            ),
        ];
        let passphrase = self.passphrase("belabox-passphrase");
        let note = passphrase.as_ref().map(|_| ENCRYPTED_BOX.to_owned());
        fields.extend(passphrase);
        Client {
            title: "BELABOX",
            purpose: "Encoder box, several modems bonded (SRTLA)",
            fields,
            notes: note.into_iter().collect(),
            is_open: false,
        }
    }

    fn app(&self) -> Client {
        let mut fields = vec![self.keyed("srt", "URL", &self.urls.srt)];
        let passphrase = self.passphrase("srt-passphrase");
        let note = passphrase.as_ref().map(|_| ENCRYPTED_APP.to_owned());
        fields.extend(passphrase);
        Client {
            title: "Larix and other SRT apps",
            purpose: "One network, plain SRT, latency in milliseconds",
            fields,
            notes: note.into_iter().collect(),
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

    /// The passphrase for a field of its own; `None` for a slot without one.
    fn passphrase(&self, part: &str) -> Option<CopyField> {
        let passphrase = self.keys.passphrase.as_ref()?;
        Some(self.keyed(part, "Passphrase", passphrase.expose_secret()))
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
            passphrase: None,
        }
    }

    pub(crate) fn keys_with_passphrase() -> SlotKeys {
        SlotKeys {
            passphrase: Some(SecretString::from(format!("a-{}", "5eC2e7".repeat(2)))),
            ..keys()
        }
    }

    const MASKED: Shown<'_> = Shown::Masked {
        has_passphrase: false,
    };
    const MASKED_WITH_PASSPHRASE: Shown<'_> = Shown::Masked {
        has_passphrase: true,
    };

    fn fields(shown: Shown<'_>) -> Vec<CopyField> {
        let clients = clients(SlotId::generate(), &address(), shown, LATENCY);
        clients
            .into_iter()
            .flat_map(|client| client.fields)
            .collect()
    }

    fn texts(shown: Shown<'_>) -> Vec<String> {
        fields(shown).into_iter().map(|field| field.text).collect()
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
        assert_eq!(texts(Shown::Revealed(&keys())), expected);
    }

    #[test]
    fn apps_count_milliseconds_and_obs_counts_microseconds() {
        let texts = texts(Shown::Revealed(&keys()));
        assert!(texts[5].contains("latency=2000&"));
        assert!(texts[6].contains("latency=2000000&") && texts[6].contains(":4001"));
        assert!(texts[7].contains("latency=2000000&") && texts[7].contains(":4000"));
    }

    #[test]
    fn only_the_player_gets_the_play_key() {
        let with_play = texts(Shown::Revealed(&keys()))
            .iter()
            .filter(|text| text.contains("play_"))
            .count();
        assert_eq!(with_play, 1);
    }

    #[test]
    fn without_the_keys_only_the_place_is_told() {
        let plain = texts(MASKED);
        assert_eq!(
            plain[0],
            format!("srtla://relay.example.com:5000?streamid=live_{MASK}")
        );
        for text in [plain, texts(MASKED_WITH_PASSPHRASE)].concat() {
            assert!(!text.contains("5eC2e7"), "{text}");
        }
    }

    #[test]
    fn only_a_complete_value_may_be_copied() {
        for field in [fields(MASKED), fields(MASKED_WITH_PASSPHRASE)].concat() {
            assert_eq!(field.can_copy, !field.text.contains(MASK), "{}", field.text);
        }
        let keys = keys_with_passphrase();
        let mut revealed = fields(Shown::Revealed(&keys)).into_iter();
        assert!(revealed.all(|field| field.can_copy));
    }

    #[test]
    fn a_passphrase_is_a_field_of_its_own_or_in_the_url() {
        let keys = keys_with_passphrase();
        let passphrase = keys.passphrase.as_ref().unwrap().expose_secret();
        let clients = clients(
            SlotId::generate(),
            &address(),
            Shown::Revealed(&keys),
            LATENCY,
        );
        let counts = clients.iter().map(|client| {
            let texts = client.fields.iter().map(|field| field.text.as_str());
            let (alone, rest): (Vec<_>, Vec<_>) = texts.partition(|text| *text == passphrase);
            let parameter = format!("&passphrase={passphrase}");
            let in_urls = rest.iter().filter(|text| text.ends_with(&parameter));
            (client.title, alone.len(), in_urls.count())
        });
        let expected = [
            ("Moblin, IRL Pro", 1, 1),
            ("BELABOX", 1, 0),
            ("Larix and other SRT apps", 1, 1),
            ("OBS or ffmpeg as the sender", 0, 1),
            ("OBS Media Source", 0, 1),
            ("NOALBS and other tools", 0, 0),
        ];
        assert_eq!(counts.collect::<Vec<_>>(), expected);
        let url = &clients[0].fields[0].text;
        assert!(
            !url.contains(passphrase),
            "the first is the plugin's: {url}"
        );
    }

    #[test]
    fn a_key_is_not_in_the_debug_output() {
        let keys = keys_with_passphrase();
        let debug = format!("{:?}{keys:?}", fields(Shown::Revealed(&keys)));
        assert!(!debug.contains("5eC2e7"), "{debug}");
    }
}
