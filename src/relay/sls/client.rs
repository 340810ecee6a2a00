//! The calls of SLS's management API, one function each, within its rate limits.
//!
//! Source: OpenIRL srt-live-server 1.5.1, `API.md` and observed answers (November 2026).
//!
//! Invariant: no answer is read beyond its limit or waited for beyond its time, no call exceeds the budget,
//! and no error has a key, an id or an address with one in it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::StatusCode;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use url::Url;

use super::SlsConfig;
use super::budget::Budget;
use super::contact::Contact;
use super::figures::{self, Garbage, Reading};
use super::links::{self, Group};
use super::pairs::{self, Entry};
use crate::http::outbound::{Outbound, Refused};
use crate::kernel::secret::{ExposeSecret, SecretString};
use crate::kernel::{Clock, UnixMillis, error_chain};

/// A list has some 150 bytes for each stream.
const LIST_BYTES_MAX: usize = 4 << 20;
/// Figures of one stream or of all links.
const FIGURES_BYTES_MAX: usize = 256 << 10;
/// What [`SLS`'s](self) health answer says it is.
const SERVICE: &str = "srt-live-server";

/// Why a call failed. The text completes "the relay node ..."; what to do stands after its last colon.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CallError {
    /// Nobody listens there.
    #[error("refuses connections: start it, or correct its address")]
    Gone,
    /// It does not answer.
    #[error("does not answer ({0}): see whether it runs and whether a firewall stands between")]
    Silent(String),
    /// It is at an address that we do not call for anybody.
    #[error("is not called, because {0}")]
    NotAllowed(Refused),
    /// Its certificate is not believed.
    #[error(
        "shows a certificate that we do not trust ({0}): renew it, or add its authority to this system; a \
         clock that is off does the same"
    )]
    Untrusted(String),
    /// 401.
    #[error("refuses our key: give the node's admin key")]
    KeyRefused,
    /// 403.
    #[error("does not let our key do this: give a key with admin permissions")]
    KeyTooWeak,
    /// 429, or our own share is used up.
    #[error("takes no more calls for now: they are repeated by themselves")]
    Limited,
    /// Another status than expected.
    #[error(
        "answers with the unexpected status {0}: look at its log, or give the address of SLS's API"
    )]
    Status(u16),
    /// Another program, or a damaged one.
    #[error("answers what SLS does not ({0}): give the address of SLS's API")]
    Garbage(&'static str),
}

impl From<Garbage> for CallError {
    fn from(Garbage(what): Garbage) -> Self {
        Self::Garbage(what)
    }
}

/// Whether a call waits for its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Until the budget has one, and again when SLS refuses it.
    Waits,
    /// Only when its turn is now.
    Hurries,
}

/// What became of an entry that was to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Added {
    /// It is there.
    Done,
    /// There is one with this play key.
    Conflict,
}

/// Calls since the start.
#[derive(Debug, Default)]
pub(super) struct Calls {
    pub(super) sent: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) limited: AtomicU64,
}

/// One SLS.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    answer_within: Duration,
    /// Why it is not called at all, when it is not.
    refused: Option<Refused>,
    clock: Clock,
    api_url: Url,
    link_stats_url: Option<Url>,
    key: SecretString,
    api: Mutex<Budget>,
    stats: Mutex<Budget>,
    pub(super) contact: Contact,
    pub(super) calls: Calls,
}

impl Client {
    pub(super) fn new(config: &SlsConfig, now: Instant) -> Result<Self, reqwest::Error> {
        let urls = || [Some(&config.api_url), config.link_stats_url.as_ref()];
        let all = || urls().into_iter().flatten();
        let secured = all().find(|url| url.scheme() == "https");
        let (http, refused) = if let Some(outbound) = &config.outbound {
            let refused = all().find_map(|url| outbound.check(url).err());
            (outbound.to_user_set()?, refused)
        } else {
            let url = secured.unwrap_or(&config.api_url);
            (Outbound::default().to_configured(url)?, None)
        };
        Ok(Self {
            http,
            answer_within: config.answer_within,
            refused,
            clock: Clock::system(),
            api_url: config.api_url.clone(),
            link_stats_url: config.link_stats_url.clone(),
            key: config.key.clone(),
            api: Mutex::new(Budget::new(config.api_per_minute, now)),
            stats: Mutex::new(Budget::new(config.stats_per_minute, now)),
            contact: Contact::new(now),
            calls: Calls::default(),
        })
    }

    /// Questions for figures per second that can be kept up.
    pub(super) fn stats_per_second(&self) -> f64 {
        lock(&self.stats).per_second()
    }

    /// Whether it is SLS that answers.
    pub(super) async fn health(&self) -> Result<(), CallError> {
        let request = self.http.get(self.url(&["health"]));
        let (status, body) = self.send(request, FIGURES_BYTES_MAX).await?;
        if status != StatusCode::OK {
            return Err(CallError::Status(status.as_u16()));
        }
        let answer: Option<Value> = serde_json::from_slice(&body).ok();
        let service = answer.as_ref().and_then(|it| it.get("service")?.as_str());
        if service != Some(SERVICE) {
            return Err(CallError::Garbage("another program listens there"));
        }
        Ok(())
    }

    /// Every entry.
    pub(super) async fn list(&self, patience: Patience) -> Result<Vec<Entry>, CallError> {
        let url = self.url(&["api", "stream-ids"]);
        let (status, body) = self.call(patience, Method::GET, url, None).await?;
        let listed = match status {
            StatusCode::OK => pairs::parse_list(&body).map_err(CallError::from),
            other => Err(CallError::Status(other.as_u16())),
        };
        self.contact.called(&listed);
        listed
    }

    /// Adds an entry.
    pub(super) async fn add(&self, entry: &Entry, patience: Patience) -> Result<Added, CallError> {
        let url = self.url(&["api", "stream-ids"]);
        let body = json!({
            "publisher": entry.publisher,
            "player": entry.player,
            "description": entry.description,
        });
        let (status, _) = self.call(patience, Method::POST, url, Some(body)).await?;
        match status {
            StatusCode::OK | StatusCode::CREATED => Ok(Added::Done),
            StatusCode::CONFLICT => Ok(Added::Conflict),
            other => Err(CallError::Status(other.as_u16())),
        }
    }

    /// Removes the entry with this play key; one that is gone already is fine.
    pub(super) async fn remove(&self, player: &str, patience: Patience) -> Result<(), CallError> {
        let url = self.url(&["api", "stream-ids", player]);
        let (status, _) = self.call(patience, Method::DELETE, url, None).await?;
        match status {
            StatusCode::OK | StatusCode::NO_CONTENT | StatusCode::NOT_FOUND => Ok(()),
            other => Err(CallError::Status(other.as_u16())),
        }
    }

    /// Figures of the stream with this play key, or with this publish key while it is live.
    pub(super) async fn stats(&self, id: &str) -> Result<Reading, CallError> {
        self.turn(&self.stats, Patience::Waits).await?;
        let request = self.http.get(self.url(&["stats", id]));
        let (status, body) = self.send(request, FIGURES_BYTES_MAX).await?;
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Err(self.limited(&self.stats));
        }
        lock(&self.stats).granted();
        Ok(figures::parse(status.as_u16(), &body, id)?)
    }

    /// Every group of links, where the receiver tells them.
    pub(super) async fn groups(&self) -> Result<Vec<Group>, CallError> {
        let Some(url) = &self.link_stats_url else {
            return Ok(Vec::new());
        };
        let request = self.http.get(url.clone());
        let (status, body) = self.send(request, FIGURES_BYTES_MAX).await?;
        Ok(links::parse(status.as_u16(), &body)?)
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.api_url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// A call with our key.
    async fn call(
        &self,
        patience: Patience,
        method: Method,
        url: Url,
        body: Option<Value>,
    ) -> Result<(StatusCode, Vec<u8>), CallError> {
        loop {
            self.turn(&self.api, patience).await?;
            let mut request = self
                .http
                .request(method.clone(), url.clone())
                .bearer_auth(self.key.expose_secret());
            if let Some(body) = &body {
                request = request.json(body);
            }
            let (status, body) = self.send(request, LIST_BYTES_MAX).await?;
            let refused = match status {
                StatusCode::TOO_MANY_REQUESTS => {
                    let limited = self.limited(&self.api);
                    if patience == Patience::Waits {
                        continue;
                    }
                    limited
                }
                StatusCode::UNAUTHORIZED => CallError::KeyRefused,
                StatusCode::FORBIDDEN => CallError::KeyTooWeak,
                _ => {
                    lock(&self.api).granted();
                    return Ok((status, body));
                }
            };
            let refused = Err(refused);
            self.contact.called(&refused);
            return refused;
        }
    }

    fn limited(&self, budget: &Mutex<Budget>) -> CallError {
        self.calls.limited.fetch_add(1, Ordering::Relaxed);
        lock(budget).refused(Instant::now());
        CallError::Limited
    }

    /// Waits for our turn.
    async fn turn(&self, budget: &Mutex<Budget>, patience: Patience) -> Result<(), CallError> {
        loop {
            let taken = lock(budget).take(Instant::now());
            match (taken, patience) {
                (Ok(()), _) => return Ok(()),
                (Err(_), Patience::Hurries) => return Err(CallError::Limited),
                (Err(wait), Patience::Waits) => tokio::time::sleep(wait).await,
            }
        }
    }

    async fn send(
        &self,
        request: RequestBuilder,
        bytes_max: usize,
    ) -> Result<(StatusCode, Vec<u8>), CallError> {
        self.calls.sent.fetch_add(1, Ordering::Relaxed);
        let answer = self.exchange(request, bytes_max).await;
        if answer.is_err() {
            self.calls.failed.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }

    async fn exchange(
        &self,
        request: RequestBuilder,
        bytes_max: usize,
    ) -> Result<(StatusCode, Vec<u8>), CallError> {
        if let Some(refused) = &self.refused {
            return Err(CallError::NotAllowed(refused.clone()));
        }
        let sent = request.timeout(self.answer_within).send().await;
        let mut answer = sent.map_err(silent)?;
        self.contact.told_time(told_time(&answer), self.clock.now());
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(silent)? {
            if body.len() + chunk.len() > bytes_max {
                return Err(CallError::Garbage("its answer is too long"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((answer.status(), body))
    }
}

/// What the node's clock says, when it tells.
///
/// Source: RFC 9110, section 6.6.1.
fn told_time(answer: &Response) -> Option<UnixMillis> {
    let text = answer.headers().get(http::header::DATE)?.to_str().ok()?;
    let moment = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(UnixMillis(moment.timestamp().as_millisecond()))
}

/// The address in such an error may have a key in it.
fn silent(error: reqwest::Error) -> CallError {
    if let Some(refused) = Outbound::refusal_in(&error) {
        return CallError::NotAllowed(refused.clone());
    }
    if error.is_timeout() {
        return CallError::Silent("no answer in time".to_owned());
    }
    let is_refused =
        std::iter::successors(std::error::Error::source(&error), |cause| cause.source())
            .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
            .any(|cause| cause.kind() == std::io::ErrorKind::ConnectionRefused);
    if is_refused {
        return CallError::Gone;
    }
    let causes = error_chain(&error.without_url());
    // The library below tells of it in words alone.
    match causes.find("invalid peer certificate") {
        Some(at) => CallError::Untrusted(causes[at..].to_owned()),
        None => CallError::Silent(causes),
    }
}

fn lock(budget: &Mutex<Budget>) -> std::sync::MutexGuard<'_, Budget> {
    budget.lock().unwrap_or_else(PoisonError::into_inner)
}
