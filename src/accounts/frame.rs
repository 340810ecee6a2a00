//! What a page's frame shows, taken from the request.

use axum::extract::{FromRequestParts, OriginalUri};
use http::request::Parts;

use super::model::SignedIn;
use crate::http::page::{self, Shell, Theme};
use crate::http::{ApiError, Peer};

/// The frame of the page that a request asks for.
#[derive(Debug, Clone)]
pub struct Frame {
    theme: Theme,
    path: String,
    tls_warning: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for Frame {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let peer = Peer::from_request_parts(parts, state).await?;
        let uri = parts
            .extensions
            .get::<OriginalUri>()
            .map_or(&parts.uri, |uri| &uri.0);
        Ok(Self {
            theme: Theme::of_request(&parts.headers),
            path: uri.path().to_owned(),
            tls_warning: crosses_the_internet(&peer),
        })
    }
}

/// Whether a request came unprotected from beyond the local network.
fn crosses_the_internet(peer: &Peer) -> bool {
    let is_near = match peer.ip {
        std::net::IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        std::net::IpAddr::V6(ip) => {
            ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()
        }
    };
    !peer.is_https && !is_near
}

impl Frame {
    /// The frame of another page than the one that was asked for: of the page that a refused form stands on.
    #[must_use]
    pub fn at(&self, path: &str) -> Self {
        Self {
            path: path.to_owned(),
            ..*self
        }
    }

    /// For a visitor who is not signed in.
    #[must_use]
    pub fn visitor(&self, title: &str) -> Shell {
        Shell::visitor(title, &self.path, self.theme).with_tls_warning(self.tls_warning)
    }

    /// For a signed-in user.
    #[must_use]
    pub fn signed_in(&self, title: &str, user: &SignedIn) -> Shell {
        let user = page::SignedIn {
            display_name: user.display_name.clone(),
            role: user.actor.role,
        };
        Shell::signed_in(title, &self.path, self.theme, user).with_tls_warning(self.tls_warning)
    }
}

/// What a person calls a browser, from its user agent: `Firefox on Linux`.
#[must_use]
pub fn browser_name(user_agent: &str) -> String {
    // The first match counts: Edge and Opera call themselves Chrome too, and Chrome calls itself Safari.
    let browsers = [
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("OBS/", "OBS"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("CriOS/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ];
    let systems = [
        ("Windows", "Windows"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Mac OS", "macOS"),
        ("Linux", "Linux"),
    ];
    let find = |names: &[(&str, &'static str)]| {
        names
            .iter()
            .find(|(mark, _)| user_agent.contains(mark))
            .map(|(_, name)| *name)
    };
    match (find(&browsers), find(&systems)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        (None, Some(system)) => format!("Browser on {system}"),
        (None, None) => "Unknown browser".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_named_as_people_know_them() {
        let names = [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                "Firefox on Linux",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64) AppleWebKit/537.36 Chrome/139.0 Safari/537.36 Edg/139.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1",
                "Safari on iPhone",
            ),
            ("curl/8.0", "curl"),
            ("", "Unknown browser"),
        ];
        for (agent, name) in names {
            assert_eq!(browser_name(agent), name);
        }
    }

    #[test]
    fn only_an_unprotected_line_from_afar_is_warned_of() {
        let peer = |ip: &str, is_https| Peer {
            ip: ip.parse().unwrap(),
            is_https,
            is_forwarded: false,
        };
        assert!(crosses_the_internet(&peer("203.0.113.9", false)));
        assert!(crosses_the_internet(&peer("2001:db8::1", false)));
        for (ip, is_https) in [
            ("203.0.113.9", true),
            ("192.168.1.5", false),
            ("::1", false),
            ("fd00::1", false),
        ] {
            assert!(!crosses_the_internet(&peer(ip, is_https)), "{ip}");
        }
    }
}
