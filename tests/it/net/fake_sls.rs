//! A stand-in for OpenIRL's SLS and the bonding receiver before it: their HTTP side, and media as figures.
//!
//! It answers as the real ones were seen to: one entry per play key, 409 for a second one, 401 for another
//! key, figures without a key, rate limits by class, a bitrate that is zero at first and freezes in the end,
//! a publisher that is listed for a while after his line broke.
//!
//! Invariant: it uses none of the product's code, listens on loopback only, and ends when it is dropped.

mod media;
mod server;
mod state;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub(crate) use self::media::Encoder;
use self::state::State;

/// The admin key of every fake.
pub(crate) const KEY: &str = "fake0admin0key0fake0admin0key032";

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// It takes connections and says nothing.
    Hang,
    /// Every call is refused with 429.
    Limited,
    /// Every call but `/health` fails with 500 and no body.
    Failing,
    /// It answers no JSON.
    Garbage,
    /// It answers ten megabytes.
    Huge,
    /// It knows another key.
    OtherKey,
}

/// A call that it got: method and path without ids, such as `POST /api/stream-ids`.
pub(crate) type Call = (Instant, String);

/// A running fake.
#[derive(Debug)]
pub(crate) struct FakeSls {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    thread: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl FakeSls {
    /// One without streams, whose rate limits are the real one's highest.
    pub(crate) fn start() -> Self {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let mut fake = Self {
            address,
            state: Arc::default(),
            thread: None,
        };
        fake.listen(listener);
        fake
    }

    fn listen(&mut self, listener: TcpListener) {
        let is_over = Arc::new(AtomicBool::new(false));
        let (state, over) = (Arc::clone(&self.state), Arc::clone(&is_over));
        let thread = std::thread::spawn(move || server::run(&listener, &state, &over));
        self.thread = Some((is_over, thread));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the server does not panic")
    }

    /// The base of its API.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The receiver's statistics page, which the real one has on a port of its own.
    pub(crate) fn link_stats_url(&self) -> String {
        format!("http://{}/receiver/stats", self.address)
    }

    /// Makes something wrong with it, or nothing.
    pub(crate) fn set_fault(&self, fault: Fault) {
        self.state().fault = fault;
    }

    /// It says what time it is: an HTTP date.
    pub(crate) fn set_date(&self, date: &'static str) {
        self.state().date = Some(date);
    }

    /// Calls of the API and questions for figures that it takes per minute.
    pub(crate) fn set_limits(&self, api: usize, stats: usize) {
        self.state().limits = [api, stats];
    }

    /// The process ends: connections are refused and media end.
    pub(crate) fn stop(&mut self) {
        if let Some((is_over, thread)) = self.thread.take() {
            is_over.store(true, Ordering::SeqCst);
            let outcome = thread.join();
            if !std::thread::panicking() {
                outcome.expect("the fake does not panic");
            }
        }
        self.state().encoders.clear();
    }

    /// It is started again on the same port, with its list or with an empty one.
    pub(crate) fn start_again(&mut self, keeps_list: bool) {
        let listener = TcpListener::bind(self.address).expect("nobody took the port meanwhile");
        if !keeps_list {
            self.state().entries.clear();
        }
        self.listen(listener);
    }

    /// Its entries: publish key, play key, description.
    pub(crate) fn entries(&self) -> Vec<(String, String, String)> {
        self.state().entries.clone()
    }

    /// Somebody else adds an entry, or replaces the one with this play key.
    pub(crate) fn put_entry(&self, publisher: &str, player: &str, description: &str) {
        let mut state = self.state();
        state.entries.retain(|entry| entry.1 != player);
        let entry = [publisher, player, description].map(str::to_owned);
        state.entries.push(entry.into());
    }

    /// Every entry is lost.
    pub(crate) fn lose_entries(&self) {
        self.state().entries.clear();
    }

    /// Calls that it got.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// How often it got a call that begins like this.
    pub(crate) fn count(&self, call: &str) -> usize {
        let state = self.state();
        let same = |(_, got): &&Call| got.starts_with(call);
        state.calls.iter().filter(same).count()
    }

    /// An encoder connects with a publish key and sends `kbps`; false when it is refused: the key is unknown,
    /// or somebody publishes with it.
    pub(crate) fn publish(&self, key: &str, kbps: u64, latency: Duration) -> bool {
        let mut state = self.state();
        let now = Instant::now();
        state.leave_ended(now);
        let is_known = state.entries.iter().any(|entry| entry.0 == key);
        if !is_known || state.encoders.contains_key(key) {
            return false;
        }
        let encoder = Encoder::new(now, kbps, latency);
        state.encoders.insert(key.to_owned(), encoder);
        true
    }

    /// Whether an encoder is connected with this key.
    pub(crate) fn is_publishing(&self, key: &str) -> bool {
        let mut state = self.state();
        state.leave_ended(Instant::now());
        state.encoders.contains_key(key)
    }

    /// The encoder says goodbye.
    pub(crate) fn unpublish(&self, key: &str) {
        self.state().encoders.remove(key);
    }

    /// The encoder's line breaks.
    pub(crate) fn break_line(&self, key: &str) {
        let mut state = self.state();
        let encoder = state.encoders.get_mut(key).expect("somebody publishes");
        encoder.break_line(Instant::now());
    }

    /// What the receiver says of links, as JSON.
    pub(crate) fn set_links(&self, links: &str) {
        links.clone_into(&mut self.state().links);
    }
}

impl Drop for FakeSls {
    fn drop(&mut self) {
        self.stop();
    }
}
