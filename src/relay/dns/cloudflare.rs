//! Cloudflare's zones.
//!
//! Source: <https://developers.cloudflare.com/api/resources/dns/subresources/records/> (read November 2026).
//!
//! Invariant: a record of ours is never proxied, because what it leads to speaks UDP; the token is in no error.

use std::net::Ipv4Addr;
use std::time::Duration;

use async_trait::async_trait;
use http::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::{DnsError, DnsZone, RecordId};
use crate::http::outbound::Outbound;
use crate::kernel::error_chain;

/// How long others may remember an answer, in seconds: the least that Cloudflare takes.
const TTL_SECONDS: u32 = 60;
/// How long one call may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// The longest answer that is read: one record has some 500 bytes.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// How long to wait after a refusal for the rate when it does not say. Its budget is 1200 calls in five minutes.
const LIMITED_FOR: Duration = Duration::from_secs(60);
/// The longest wait that it is believed to want.
const LIMITED_MAX: Duration = Duration::from_mins(10);

/// Where the zone is.
#[derive(Debug, Clone)]
pub struct CloudflareConfig {
    /// The base of the API.
    pub api_base: Url,
    /// The zone.
    pub zone_id: String,
    /// A token that may edit its records.
    pub token: SecretString,
    /// What our names end with.
    pub domain: String,
}

/// A zone at Cloudflare.
#[derive(Debug)]
pub struct Cloudflare {
    http: reqwest::Client,
    config: CloudflareConfig,
}

/// A zone that cannot be spoken to.
#[derive(Debug, thiserror::Error)]
#[error("cannot make an HTTP client for the DNS provider")]
pub struct CloudflareError(#[from] reqwest::Error);

/// What every answer has around its result.
#[derive(Debug, Deserialize)]
struct Envelope {
    success: bool,
    #[serde(default)]
    errors: Vec<Trouble>,
    #[serde(default)]
    result: Value,
}

#[derive(Debug, Deserialize)]
struct Trouble {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    message: String,
}

/// What a call came to.
enum Outcome {
    Done(Value),
    /// There is no such record.
    Gone,
}

impl Cloudflare {
    /// A zone. Nothing is called yet.
    ///
    /// # Errors
    /// When the system gives no HTTP client.
    pub fn new(config: CloudflareConfig) -> Result<Self, CloudflareError> {
        let http = Outbound::default().to_configured(&config.api_base)?;
        Ok(Self { http, config })
    }

    fn url(&self, record: Option<&RecordId>) -> Url {
        let mut url = self.config.api_base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty()
                .extend(["zones", &self.config.zone_id, "dns_records"])
                .extend(record.map(|id| &id.0));
        }
        url
    }

    async fn call(
        &self,
        method: Method,
        url: Url,
        body: Option<Value>,
    ) -> Result<Outcome, DnsError> {
        let mut request = self
            .http
            .request(method, url)
            .timeout(ANSWER_WITHIN)
            .bearer_auth(self.config.token.expose_secret());
        if let Some(body) = body {
            request = request.json(&body);
        }
        let mut answer = request.send().await.map_err(silent)?;
        let (status, wait) = (answer.status(), wait_of(&answer));
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(silent)? {
            if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(DnsError::Unavailable("its answer is too long".to_owned()));
            }
            bytes.extend_from_slice(&chunk);
        }
        judge(status, wait, &bytes)
    }

    /// The record of a name, when it has one.
    async fn find(&self, name: &str) -> Result<Option<RecordId>, DnsError> {
        let mut url = self.url(None);
        url.query_pairs_mut()
            .append_pair("type", "A")
            .append_pair("name", name);
        let Outcome::Done(found) = self.call(Method::GET, url, None).await? else {
            return Ok(None);
        };
        let records = found.as_array().into_iter().flatten();
        // Its filter is believed for nothing: another name's record must never be changed.
        let mut own = records.filter(|record| {
            let named = record.get("name").and_then(Value::as_str);
            named.is_some_and(|named| named.eq_ignore_ascii_case(name))
                && record.get("type").and_then(Value::as_str) == Some("A")
        });
        Ok(own.next().and_then(record_id))
    }

    async fn update(&self, id: &RecordId, record: &Value) -> Result<Option<RecordId>, DnsError> {
        let url = self.url(Some(id));
        match self.call(Method::PUT, url, Some(record.clone())).await? {
            Outcome::Done(record) => Ok(Some(record_id(&record).unwrap_or_else(|| id.clone()))),
            Outcome::Gone => Ok(None),
        }
    }

    async fn create(&self, record: &Value) -> Result<RecordId, DnsError> {
        let created = self
            .call(Method::POST, self.url(None), Some(record.clone()))
            .await?;
        let id = match &created {
            Outcome::Done(record) => record_id(record),
            Outcome::Gone => return Err(DnsError::Refused("there is no such zone".to_owned())),
        };
        id.ok_or_else(|| DnsError::Unavailable("it made a record without identity".to_owned()))
    }
}

#[async_trait]
impl DnsZone for Cloudflare {
    fn domain(&self) -> &str {
        &self.config.domain
    }

    async fn put(
        &self,
        name: &str,
        address: Ipv4Addr,
        known: Option<&RecordId>,
    ) -> Result<RecordId, DnsError> {
        let record = json!({
            "type": "A",
            "name": name,
            "content": address.to_string(),
            "ttl": TTL_SECONDS,
            "proxied": false,
        });
        if let Some(id) = known
            && let Some(id) = self.update(id, &record).await?
        {
            return Ok(id);
        }
        match self.find(name).await? {
            Some(found) => match self.update(&found, &record).await? {
                Some(id) => Ok(id),
                None => self.create(&record).await,
            },
            None => self.create(&record).await,
        }
    }

    async fn remove(&self, name: &str, known: Option<&RecordId>) -> Result<(), DnsError> {
        let found = match known {
            Some(id) => Some(id.clone()),
            None => self.find(name).await?,
        };
        if let Some(id) = found {
            self.call(Method::DELETE, self.url(Some(&id)), None).await?;
        }
        Ok(())
    }
}

/// What an answer comes to. Pure, so that anything can be put to it.
fn judge(status: StatusCode, wait: Duration, body: &[u8]) -> Result<Outcome, DnsError> {
    let envelope: Option<Envelope> = serde_json::from_slice(body).ok();
    let told = || {
        let first = envelope.as_ref().and_then(|it| it.errors.first());
        first.map_or_else(
            || format!("status {}", status.as_u16()),
            |trouble| {
                let message: String = trouble
                    .message
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(120)
                    .collect();
                format!("{} {message}", trouble.code)
            },
        )
    };
    match status {
        StatusCode::TOO_MANY_REQUESTS => Err(DnsError::Limited(wait)),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(DnsError::TokenRefused),
        StatusCode::NOT_FOUND => Ok(Outcome::Gone),
        _ if status.is_client_error() => Err(DnsError::Refused(told())),
        _ => match envelope {
            Some(envelope) if status.is_success() && envelope.success => {
                Ok(Outcome::Done(envelope.result))
            }
            Some(_) | None => Err(DnsError::Unavailable(told())),
        },
    }
}

fn record_id(record: &Value) -> Option<RecordId> {
    let id = record.get("id")?.as_str()?;
    let is_sound =
        !id.is_empty() && id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric());
    is_sound.then(|| RecordId(id.to_owned()))
}

fn wait_of(answer: &reqwest::Response) -> Duration {
    let told = answer.headers().get(http::header::RETRY_AFTER);
    let seconds = told.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    seconds
        .map_or(LIMITED_FOR, Duration::from_secs)
        .min(LIMITED_MAX)
}

fn silent(error: reqwest::Error) -> DnsError {
    if error.is_timeout() {
        return DnsError::Unavailable("no answer in time".to_owned());
    }
    DnsError::Unavailable(error_chain(&error.without_url()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judged(status: u16, body: &str) -> Result<Option<Value>, DnsError> {
        let status = StatusCode::from_u16(status).unwrap();
        judge(status, LIMITED_FOR, body.as_bytes()).map(|outcome| match outcome {
            Outcome::Done(value) => Some(value),
            Outcome::Gone => None,
        })
    }

    #[test]
    fn each_answer_is_what_cloudflare_means_by_it() {
        let record = r#"{"success":true,"errors":[],"result":{"id":"abc"}}"#;
        assert_eq!(judged(200, record), Ok(Some(json!({"id": "abc"}))));
        assert_eq!(judged(404, "{}"), Ok(None));
        assert_eq!(judged(403, "{}"), Err(DnsError::TokenRefused));
        assert_eq!(judged(429, ""), Err(DnsError::Limited(LIMITED_FOR)));
        let refused =
            r#"{"success":false,"errors":[{"code":9005,"message":"Content is invalid"}]}"#;
        let told = DnsError::Refused("9005 Content is invalid".to_owned());
        assert_eq!(judged(400, refused), Err(told));
        for (status, body) in [(500, ""), (200, "<html>"), (200, refused), (302, record)] {
            assert!(
                matches!(judged(status, body), Err(DnsError::Unavailable(_))),
                "{status} {body}"
            );
        }
    }

    #[test]
    fn only_a_sound_identity_gets_into_a_path() {
        for bad in ["", "../x", "a/b", "a b"] {
            assert_eq!(record_id(&json!({"id": bad})), None, "{bad}");
        }
        assert_eq!(record_id(&json!({"id": 7})), None);
        assert!(record_id(&json!({"id": "372e67954025e0ba6aaa6d586b9e0b59"})).is_some());
    }

    proptest! {
        #[test]
        fn no_answer_panics(status in 100u16..600, body in prop::collection::vec(any::<u8>(), 0..300)) {
            let status = StatusCode::from_u16(status).unwrap();
            let _ = judge(status, LIMITED_FOR, &body);
        }
    }
}
