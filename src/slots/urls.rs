//! The URLs that people type or scan into their programs.
//!
//! Two units of latency meet here: SRT URLs of most programs take milliseconds, OBS and ffmpeg take
//! microseconds (Source: <https://ffmpeg.org/ffmpeg-protocols.html#srt>, read 2026-11). SRTLA senders have
//! a setting of their own.
//!
//! The passphrase stands in a URL as it is, because [`Passphrase`](super::Passphrase) has only characters that
//! need no escape. No URL names a key length (`pbkeylen`): every caller here is the initiator, who draws the
//! key, and libsrt then draws one of 128 bits unless its user wants more.
//! Source: libsrt, `SRTO_PBKEYLEN` in `API-socket-options.md` (read 2026-11).
//!
//! Invariant: a URL here holds exactly one key, and a player never gets the publish key.

use std::fmt;
use std::time::Duration;

use super::model::SlotKeys;
use crate::kernel::secret::{ExposeSecret, SecretString};
use crate::settings::PublicAddress;

/// `srtla://host:port?streamid=live_...`, the wire's `sender_url`. It never holds the passphrase: the plugin
/// shows all that follows `streamid=` as the stream id.
#[must_use]
pub fn sender_url(address: &PublicAddress, keys: &SlotKeys) -> String {
    let key = keys.publish.expose_secret();
    format!(
        "srtla://{}:{}?streamid={key}",
        address.url_host(),
        address.ports.srtla
    )
}

/// `srt://host:port?streamid=play_...`, the wire's `media_source_url`, with `&passphrase=...` for a slot that
/// has one.
#[must_use]
pub fn media_source_url(address: &PublicAddress, keys: &SlotKeys) -> String {
    let key = keys.play.expose_secret();
    format!(
        "srt://{}:{}?streamid={key}{}",
        address.url_host(),
        address.ports.srt_play,
        passphrase_parameter(keys)
    )
}

/// `&passphrase=...`, or nothing for a slot without one.
fn passphrase_parameter(keys: &SlotKeys) -> String {
    let parameter = |it: &SecretString| format!("&passphrase={}", it.expose_secret());
    keys.passphrase.as_ref().map(parameter).unwrap_or_default()
}

/// One URL per kind of client. All of them hold a key.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientUrls {
    /// For bonding apps (Moblin, IRL Pro, BELABOX): SRTLA.
    pub srtla: String,
    /// The same with the passphrase, for apps that take it from the URL; `None` for a slot without one.
    pub srtla_encrypted: Option<String>,
    /// For SRT encoders that count latency in milliseconds.
    pub srt: String,
    /// For OBS or ffmpeg as the encoder: latency in microseconds.
    pub obs_publish: String,
    /// For OBS or ffmpeg as the player: latency in microseconds.
    pub obs: String,
    /// The shortest form for an OBS media source.
    pub media_source: String,
}

impl ClientUrls {
    /// The URLs of a slot with these keys.
    #[must_use]
    pub fn new(address: &PublicAddress, keys: &SlotKeys, latency: Duration) -> Self {
        let (publish, play) = (keys.publish.expose_secret(), keys.play.expose_secret());
        let (ports, passphrase) = (address.ports, passphrase_parameter(keys));
        let srt = |port: u16, latency: u128, key: &str| {
            let host = address.url_host();
            format!("srt://{host}:{port}?mode=caller&latency={latency}&streamid={key}{passphrase}")
        };
        let srtla = sender_url(address, keys);
        let is_encrypted = keys.passphrase.is_some();
        Self {
            srtla_encrypted: is_encrypted.then(|| format!("{srtla}{passphrase}")),
            srtla,
            srt: srt(ports.srt_publish, latency.as_millis(), publish),
            obs_publish: srt(ports.srt_publish, latency.as_micros(), publish),
            obs: srt(ports.srt_play, latency.as_micros(), play),
            media_source: media_source_url(address, keys),
        }
    }
}

impl fmt::Debug for ClientUrls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientUrls(***)")
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::settings::AdvertisedPorts;

    fn urls(passphrase: Option<&str>) -> ClientUrls {
        let (host, url) = ("relay.example.net", "http://relay.example.net:8080");
        urls_at(host, url, passphrase)
    }

    fn urls_at(host: &str, url: &str, passphrase: Option<&str>) -> ClientUrls {
        let keys = SlotKeys {
            publish: SecretString::from("live_aa"),
            play: SecretString::from("play_bb"),
            stats: SecretString::from("stats_cc"),
            passphrase: passphrase.map(SecretString::from),
        };
        let address = PublicAddress {
            host: host.to_owned(),
            url: url.to_owned(),
            ipv4: Ipv4Addr::LOCALHOST,
            ports: AdvertisedPorts {
                srtla: 5000,
                srt_publish: 4001,
                srt_play: 4000,
                stats: 8090,
            },
        };
        ClientUrls::new(&address, &keys, Duration::from_secs(2))
    }

    #[test]
    fn the_urls_have_the_form_that_the_dock_takes_apart() {
        let urls = urls(None);
        assert_eq!(
            urls.srtla,
            "srtla://relay.example.net:5000?streamid=live_aa"
        );
        assert_eq!(
            urls.media_source,
            "srt://relay.example.net:4000?streamid=play_bb"
        );
        assert!(urls.srt.contains(":4001?") && urls.srt.contains("latency=2000&"));
        assert!(urls.obs.contains(":4000?") && urls.obs.contains("latency=2000000&"));
        assert!(!urls.obs.contains("live_"));
        assert!(!format!("{urls:?}").contains("live_aa"));
    }

    #[test]
    fn the_passphrase_stands_at_the_end_of_every_url_but_the_senders() {
        let (plain, encrypted) = (urls(None), urls(Some("Az09-._~Az")));
        assert_eq!(encrypted.srtla, plain.srtla);
        assert_eq!(plain.srtla_encrypted, None);
        let with = |url: &str| format!("{url}&passphrase=Az09-._~Az");
        assert_eq!(encrypted.srtla_encrypted, Some(with(&plain.srtla)));
        assert_eq!(encrypted.srt, with(&plain.srt));
        assert_eq!(encrypted.obs_publish, with(&plain.obs_publish));
        assert_eq!(encrypted.obs, with(&plain.obs));
        assert_eq!(encrypted.media_source, with(&plain.media_source));
    }

    #[test]
    fn every_passphrase_is_read_back_from_a_url_as_it_was() {
        let passphrase = super::super::Passphrase::generate();
        let urls = urls(Some(passphrase.expose()));
        for text in [urls.srt, urls.obs_publish, urls.obs, urls.media_source] {
            let url = url::Url::parse(&text).unwrap();
            let read = url.query_pairs().find(|(name, _)| name == "passphrase");
            assert_eq!(read.unwrap().1, passphrase.expose());
            assert!(text.ends_with(passphrase.expose()), "as it stands, too");
        }
    }

    #[test]
    fn an_ipv6_host_stands_in_brackets_in_every_url() {
        let urls = urls_at("2001:db8::1", "http://[2001:db8::1]:8080", None);
        for url in [
            urls.srtla,
            urls.srt,
            urls.obs_publish,
            urls.obs,
            urls.media_source,
        ] {
            let parsed = url::Url::parse(&url).unwrap();
            assert_eq!(parsed.host_str(), Some("[2001:db8::1]"), "{url}");
        }
    }
}
