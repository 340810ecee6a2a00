//! `GET /live/events`: the figures of the page, pushed.
//!
//! One stream per open page. It begins with the figures of all slots; then a slot is told at most once a
//! second, and at once when its state changes. A reader that fell behind gets everything anew.
//!
//! Invariant: a stream ends with the server, and tells nothing any more once its browser is signed out; what
//! its user may see is looked up anew when their role changed, and every few seconds.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State as Service;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName};
use serde::Deserialize;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::card::{Board, Cards, Focus};
use super::model::State;
use crate::accounts::AccountsService;
use crate::accounts::extract::{OptionalBrowserActor, session_cookie};
use crate::http::{ApiError, Peer, Query, StopSignal};
use crate::kernel::ids::SlotId;
use crate::kernel::secret::{ExposeSecret, SecretString};
use crate::kernel::{Actor, Error, Kind, Result, error_chain};

/// How often something is sent so that proxies keep the line open, and what the user may see is looked up.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Between two figures of a slot whose state did not change. The poller's second jitters a little.
const PACE: Duration = Duration::from_millis(900);
/// A comment, which no page notices. Source: <https://html.spec.whatwg.org/multipage/server-sent-events.html>
const ALIVE: Bytes = Bytes::from_static(b": alive\n\n");
/// nginx would hold the events back. Source: <https://nginx.org/en/docs/http/ngx_http_proxy_module.html>
const UNBUFFERED: (HeaderName, &str) = (HeaderName::from_static("x-accel-buffering"), "no");

/// Which slots the page shows.
#[derive(Debug, Deserialize)]
pub struct EventsQuery {
    /// The user whose slots alone are shown.
    #[serde(default)]
    user: String,
}

/// `GET /live/events`
///
/// # Errors
/// 401 for a browser that is signed out: an event stream cannot be led to the sign-in page.
pub async fn stream_events(
    cards: Cards,
    Service(accounts): Service<AccountsService>,
    Extension(stop): Extension<StopSignal>,
    OptionalBrowserActor(user): OptionalBrowserActor,
    peer: Peer,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> std::result::Result<Response, ApiError> {
    let token = session_cookie(&headers, peer.is_https).filter(|_| user.is_some());
    let token = token.ok_or_else(|| Error::unauthenticated("sign in first"))?;
    let reader = Reader {
        accounts,
        token: SecretString::from(token),
    };
    let focus = Focus {
        user: query.user.parse().ok(),
        slot: None,
    };
    let feed = Feed::begin(cards, focus, reader, stop).await?;
    let events = stream::unfold(feed, async |mut feed| {
        let event = feed.next().await?;
        Some((Ok::<_, Infallible>(event), feed))
    });
    let head = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-cache"),
        UNBUFFERED,
    ];
    Ok((head, Body::from_stream(events)).into_response())
}

/// The browser at the other end.
struct Reader {
    accounts: AccountsService,
    token: SecretString,
}

impl Reader {
    /// Who the browser is now, from memory as a rule. Asking also notes that its page is alive.
    async fn actor(&self) -> Result<Actor> {
        let token = self.token.expose_secret();
        let actor = self.accounts.authenticate_browser(token).await?.actor;
        if self.accounts.second_factors().must_enrol(&actor).await? {
            return Err(Error::unauthenticated("switch your second factor on first"));
        }
        Ok(actor)
    }
}

struct Feed {
    cards: Cards,
    focus: Focus,
    reader: Reader,
    /// As whom the browser sees the board.
    actor: Actor,
    board: Board,
    changes: broadcast::Receiver<SlotId>,
    stop: StopSignal,
    heartbeat: Interval,
    pace: Pace,
    queue: VecDeque<SlotId>,
}

impl Feed {
    async fn begin(cards: Cards, focus: Focus, reader: Reader, stop: StopSignal) -> Result<Self> {
        let changes = cards.changes();
        let actor = reader.actor().await?;
        let board = cards.board(&actor, focus).await?;
        let mut heartbeat = tokio::time::interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut feed = Self {
            queue: VecDeque::new(),
            pace: Pace::default(),
            cards,
            focus,
            reader,
            actor,
            board,
            changes,
            stop,
            heartbeat,
        };
        feed.queue_all();
        Ok(feed)
    }

    fn queue_all(&mut self) {
        self.queue = self.board.slot_ids().collect();
    }

    /// The next thing to send; `None` when the stream is over.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(slot_id) = self.queue.pop_front() {
                self.admit(Freshness::Role).await?;
                if let Some(event) = self.card(slot_id) {
                    return Some(event);
                }
                continue;
            }
            tokio::select! {
                biased;
                () = self.stop.stopped() => return None,
                _ = self.heartbeat.tick() => {
                    self.admit(Freshness::Board).await?;
                    return Some(ALIVE);
                }
                changed = self.changes.recv() => match changed {
                    Ok(slot_id) => self.note(slot_id),
                    Err(RecvError::Lagged(_)) => self.queue_all(),
                    Err(RecvError::Closed) => return None,
                },
            }
        }
    }

    fn note(&mut self, slot_id: SlotId) {
        let is_seen = self.board.has(slot_id);
        let state = self.cards.state(slot_id);
        if is_seen && self.pace.is_due(slot_id, state, Instant::now()) {
            self.queue.push_back(slot_id);
        }
    }

    fn card(&mut self, slot_id: SlotId) -> Option<Bytes> {
        let state = self.cards.state(slot_id);
        self.pace.sent(slot_id, state, Instant::now());
        match self.cards.event(&self.board, slot_id) {
            Ok(event) => Some(event),
            // It has left the board after it was queued.
            Err(error) if error.kind() == Kind::NotFound => None,
            Err(error) => {
                let cause = error_chain(&error);
                tracing::error!(cause, "figures could not be rendered");
                None
            }
        }
    }

    /// Makes sure that the browser is signed in and that the board is its user's; `None` ends the stream.
    async fn admit(&mut self, freshness: Freshness) -> Option<()> {
        match self.renew(freshness).await {
            Ok(()) => Some(()),
            Err(error) => {
                tracing::debug!(%error, "a live page's stream ends");
                None
            }
        }
    }

    async fn renew(&mut self, freshness: Freshness) -> Result<()> {
        let actor = self.reader.actor().await?;
        if freshness == Freshness::Board || actor != self.actor {
            self.board = self.cards.board(&actor, self.focus).await?;
            self.actor = actor;
        }
        Ok(())
    }
}

/// How much of what a reader may see is looked up anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Freshness {
    /// Whether the browser is signed in, and the role.
    Role,
    /// The slots too.
    Board,
}

/// When each slot was last told, and what.
#[derive(Debug, Default)]
struct Pace(HashMap<SlotId, (State, Instant)>);

impl Pace {
    fn is_due(&self, slot_id: SlotId, state: State, now: Instant) -> bool {
        let Some((told, at)) = self.0.get(&slot_id) else {
            return true;
        };
        *told != state || now.saturating_duration_since(*at) >= PACE
    }

    fn sent(&mut self, slot_id: SlotId, state: State, now: Instant) {
        self.0.insert(slot_id, (state, now));
    }
}

#[cfg(test)]
#[path = "sse_tests.rs"]
mod tests;
