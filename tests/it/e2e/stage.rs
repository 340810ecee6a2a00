//! The scene of most tests: a claimed server, its owner at a browser, a plugin with a session.
//!
//! Invariant: all of it was reached the way a person reaches it; nothing is written past the
//! server.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::client::{Browser, Http, Plugin, Session};
use crate::harness::eventually::eventually_blocking;
use crate::harness::server::{Account, Addresses, Server, ServerConfig};
use crate::net::srt_probe::{self, Call, Connection};

/// A connection id as the plugin makes them.
pub(super) const CONNECTION: &str = "conn_1774300000123_1";

/// For what takes as long as it takes on a loaded machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// The scene.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) server: Server,
    pub(super) owner: Account,
    pub(super) browser: Browser,
    pub(super) plugin: Plugin,
    pub(super) session: Session,
}

impl Stage {
    /// A session on the first slot.
    pub(super) fn set() -> Self {
        Self::set_with(|config| config)
    }

    /// The same with changes to the server's configuration.
    pub(super) fn set_with(change: impl FnOnce(ServerConfig) -> ServerConfig) -> Self {
        Self::on(Server::start_with(|config| {
            change(config.with("GLB_LOG_LEVEL", "info,glb::relay=debug"))
        }))
    }

    /// The same on a server that nobody owns yet.
    pub(super) fn on(server: Server) -> Self {
        let owner = server.admin_create("owner@example.org", "owner");
        let mut browser = Browser::signed_in(&server, &owner);
        let plugin = Plugin::signed_in(&server, &mut browser);
        let session = plugin.session(CONNECTION);
        Self {
            server,
            owner,
            browser,
            plugin,
            session,
        }
    }

    /// The same people after the server was killed and came back where it was.
    pub(super) fn after_a_crash(mut self) -> Self {
        self.server.kill_hard();
        Self {
            server: self.server.restart(),
            ..self
        }
    }

    /// Where the server listens.
    pub(super) fn addresses(&self) -> Addresses {
        self.server.addresses()
    }

    /// A publisher's connection that has sent nothing yet.
    pub(super) fn publisher(&self) -> Connection {
        connect(self.addresses().srt_publish, &self.session.publish_key)
    }

    /// A player's connection.
    pub(super) fn player(&self) -> Connection {
        connect(self.addresses().srt_play, &self.session.play_key)
    }

    /// `relay/active` of the connection.
    #[track_caller]
    pub(super) fn active(&self) -> Value {
        self.plugin.active(CONNECTION).expect(200).json()
    }

    /// The publisher's links, as the plugin sees them.
    #[track_caller]
    pub(super) fn links(&self) -> Vec<Value> {
        let active = self.active();
        assert_eq!(active["per_link"]["stream_id"], self.session.publish_key);
        let links = active["per_link"]["connections"].as_array();
        links.expect("connections is always there").clone()
    }

    /// Waits until the server has admitted a publisher.
    #[track_caller]
    pub(super) fn await_publisher(&self) {
        eventually_blocking(PATIENCE, "the publisher is admitted", || {
            let log = self.server.log();
            log.lines()
                .any(|line| line.contains("admitted") && line.contains("direction=Publish"))
        });
    }

    /// Waits until the server has admitted so many players since its start.
    #[track_caller]
    pub(super) fn await_players(&self, count: usize) {
        eventually_blocking(PATIENCE, "the players are admitted", || {
            let log = self.server.log();
            let admitted = log
                .lines()
                .filter(|line| line.contains("admitted") && line.contains("direction=Play"));
            admitted.count() >= count
        });
    }

    /// Replaces a key of the first slot and answers the new one.
    #[track_caller]
    pub(super) fn rotate(&self, key: &str) -> String {
        let path = "/api/v1/user/stream-slots/1/rotate";
        let request = self.plugin.authorised(Method::POST, path);
        let answer = self
            .plugin
            .send(request.json(&json!({ "key": key })))
            .expect(200);
        answer.json()["value"]
            .as_str()
            .expect("it is text")
            .to_owned()
    }

    /// The id of the first slot, as the page has it.
    #[track_caller]
    pub(super) fn slot_id(&mut self) -> String {
        let page = self.browser.get("/live").expect(200).text();
        let (_, rest) = page.split_once("data-slot=\"").expect("there is a card");
        rest.split('"').next().unwrap_or_default().to_owned()
    }

    /// The word of a slot's card, counted from 1: WAITING, LIVE, RECONNECTING, OFFLINE.
    #[track_caller]
    pub(super) fn state(&mut self, slot_number: usize) -> String {
        let page = self.browser.get("/live").expect(200).text();
        let words: Vec<_> = page
            .split("data-state-word=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap_or_default())
            .collect();
        let word = words.get(slot_number - 1);
        word.unwrap_or_else(|| panic!("no card of slot {slot_number} in {page}"))
            .to_string()
    }

    /// Waits until the first slot's card has this word and answers when it had.
    #[track_caller]
    pub(super) fn await_state(&mut self, word: &str) -> Instant {
        let what = format!("the card says {word}");
        eventually_blocking(PATIENCE, &what, || self.state(1) == word);
        Instant::now()
    }

    /// The legacy figures that the plugin reads, from one of the two listeners.
    #[track_caller]
    pub(super) fn legacy_figures(&self, listener: SocketAddr) -> Value {
        let path = format!("/stats/{}?legacy=1", self.session.play_key);
        Http::to(listener).get(&path).expect(200).json()
    }
}

/// The code with which a call is refused; `None` when it is not.
pub(super) fn rejection(listener: SocketAddr, key: &str) -> Option<u32> {
    srt_probe::call(&Call::new(listener, key)).rejection()
}

/// A connection to a listener that must not refuse it.
#[track_caller]
pub(super) fn connect(listener: SocketAddr, key: &str) -> Connection {
    let call = Call {
        latency: Duration::from_millis(500),
        timeout: PATIENCE,
        ..Call::new(listener, key)
    };
    srt_probe::call(&call).accepted()
}
