//! One call of a provider's API: over TLS, within time and size.
//!
//! Invariant: no redirect is followed, so a key goes nowhere but to the configured address.

use std::time::Duration;

use http::StatusCode;
use reqwest::{RequestBuilder, redirect};
use serde_json::Value;
use url::Url;

use crate::kernel::UnixMillis;
use crate::kernel::error_chain;
use crate::plans::billing::provider::ProviderError;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// A hundred subscriptions are some 400 KB.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// The client cannot be built.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client of billing cannot be built")]
pub struct BuildError(#[source] reqwest::Error);

/// Calls one API.
#[derive(Debug, Clone)]
pub struct ApiCaller {
    http: reqwest::Client,
    base: Url,
}

/// An answer with status 2xx.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) body: Value,
    /// What the header `Date` says, which is the provider's clock.
    pub(super) date: Option<UnixMillis>,
}

impl ApiCaller {
    /// Calls below `base`, to which each call adds `v1/...`.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn new(base: Url) -> Result<Self, BuildError> {
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS
            .iter()
            .filter_map(|der| reqwest::Certificate::from_der(der).ok());
        let http = reqwest::Client::builder()
            .tls_certs_merge(roots)
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            .user_agent(concat!("glb/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(BuildError)?;
        Ok(Self { http, base })
    }

    pub(super) fn get(&self, path: &[&str]) -> RequestBuilder {
        self.http.get(self.url(path))
    }

    pub(super) fn post(&self, path: &[&str]) -> RequestBuilder {
        self.http.post(self.url(path))
    }

    /// Each part is one segment, whatever stands in it.
    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty();
            // Both bases serve: that of the documents' examples, with the version, and that without.
            segments.extend(["v1"].into_iter().filter(|_| !self.base_has_version()));
            segments.extend(path);
        }
        url
    }

    fn base_has_version(&self) -> bool {
        self.base.path().trim_end_matches('/').ends_with("/v1")
    }

    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Answer, ProviderError> {
        let silent = |error: reqwest::Error| {
            // Its address has an id in it.
            ProviderError::Silent(error_chain(&error.without_url()))
        };
        let mut response = request.send().await.map_err(silent)?;
        refuse(response.status())?;
        let date = response.headers().get(http::header::DATE);
        let date = date.and_then(|value| read_date(value.to_str().ok()?));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(silent)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(ProviderError::Garbage("more than 4 MiB"));
            }
            body.extend_from_slice(&chunk);
        }
        let body = serde_json::from_slice(&body).map_err(|_| ProviderError::Garbage("no JSON"))?;
        Ok(Answer { body, date })
    }
}

fn refuse(status: StatusCode) -> Result<(), ProviderError> {
    match status {
        status if status.is_success() => Ok(()),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(ProviderError::KeyRefused),
        StatusCode::NOT_FOUND => Err(ProviderError::NotFound),
        StatusCode::TOO_MANY_REQUESTS => Err(ProviderError::Limited),
        other => Err(ProviderError::Status(other.as_u16())),
    }
}

/// RFC 9110, 5.6.7: the form that all of today's servers send.
fn read_date(text: &str) -> Option<UnixMillis> {
    let at = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(UnixMillis(at.timestamp().as_millisecond()))
}

/// The page to which a buyer is sent: nothing but the web.
pub(super) fn page_url(value: Option<&Value>) -> Result<Url, ProviderError> {
    let garbage = ProviderError::Garbage("no address of a payment page");
    let url = value
        .and_then(Value::as_str)
        .and_then(|text| Url::parse(text).ok());
    url.filter(|url| matches!(url.scheme(), "https" | "http"))
        .ok_or(garbage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_stands_in_the_address_once_and_a_part_is_one_segment() {
        for base in [
            "http://127.0.0.1:1",
            "http://127.0.0.1:1/",
            "http://127.0.0.1:1/v1",
            "http://127.0.0.1:1/v1/",
        ] {
            let caller = ApiCaller::new(Url::parse(base).unwrap()).unwrap();
            let url = caller.url(&["subscriptions", "../x?y"]);
            assert_eq!(
                url.as_str(),
                "http://127.0.0.1:1/v1/subscriptions/..%2Fx%3Fy",
                "{base}"
            );
        }
    }

    #[test]
    fn the_providers_clock_is_read_from_its_answer() {
        let at = read_date("Mon, 23 Mar 2026 21:06:40 GMT").unwrap();
        assert_eq!(at, UnixMillis(1_774_300_000_000));
        assert_eq!(read_date("yesterday"), None);
    }

    #[test]
    fn a_buyer_is_sent_to_the_web_only() {
        let url = |text: &str| page_url(Some(&text.into()));
        assert!(url("https://pay.example.org/c/1").is_ok());
        for bad in ["javascript:alert(1)", "/c/1", "", "data:text/html,x"] {
            assert!(url(bad).is_err(), "{bad}");
        }
        assert!(page_url(None).is_err());
    }
}
