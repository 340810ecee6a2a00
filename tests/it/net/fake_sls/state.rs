//! What the fake knows, and how it answers.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Call, Encoder, Fault, KEY};

/// A request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    /// Without the query.
    pub(super) path: String,
    pub(super) authorization: String,
    pub(super) body: Vec<u8>,
}

/// An answer: status and body; `None` hangs.
pub(super) type Answer = Option<(u16, Vec<u8>)>;

#[derive(Debug)]
pub(super) struct State {
    pub(super) fault: Fault,
    /// Of the API and of figures, per minute.
    pub(super) limits: [usize; 2],
    /// Publish key, play key, description.
    pub(super) entries: Vec<(String, String, String)>,
    pub(super) encoders: HashMap<String, Encoder>,
    pub(super) calls: Vec<Call>,
    pub(super) links: String,
    /// What its answers say of the time.
    pub(super) date: Option<&'static str>,
    windows: [Option<(Instant, usize)>; 2],
}

impl Default for State {
    fn default() -> Self {
        Self {
            fault: Fault::None,
            limits: [1000, 1000],
            entries: Vec::new(),
            encoders: HashMap::new(),
            calls: Vec::new(),
            links: r#"{"groups":[]}"#.to_owned(),
            date: None,
            windows: [None, None],
        }
    }
}

impl State {
    pub(super) fn leave_ended(&mut self, now: Instant) {
        self.encoders.retain(|_, encoder| !encoder.is_over(now));
    }

    pub(super) fn answer(&mut self, request: &Request) -> Answer {
        let now = Instant::now();
        self.leave_ended(now);
        let mut parts = request.path.trim_matches('/').splitn(3, '/');
        let [first, second, third] = [(); 3].map(|()| parts.next().unwrap_or_default());
        let name = if first == "api" {
            "api/stream-ids"
        } else {
            first
        };
        self.calls
            .push((now, format!("{} /{name}", request.method)));
        let is_health = first == "health";
        match self.fault {
            Fault::Hang => return None,
            Fault::Failing if !is_health => return Some((500, Vec::new())),
            Fault::Limited if !is_health => return Some(limited()),
            Fault::Garbage => return Some((200, b"<html>It works!</html>".to_vec())),
            Fault::Huge => return Some((200, vec![b'['; 10 << 20])),
            Fault::None | Fault::OtherKey | Fault::Failing | Fault::Limited => {}
        }
        Some(match (request.method.as_str(), first, second) {
            ("GET", "health", "") => ok(&json!({
                "service": "srt-live-server", "status": "ok", "version": "1.5.0",
            })),
            (_, "receiver", _) => (200, self.links.clone().into_bytes()),
            ("GET", "stats", id) if !id.is_empty() => {
                if self.is_over_limit(1, now) {
                    limited()
                } else {
                    self.stats(id, now)
                }
            }
            (_, "api", "stream-ids") => {
                if self.is_over_limit(0, now) {
                    limited()
                } else {
                    self.manage(request, third)
                }
            }
            _ => (404, Vec::new()),
        })
    }

    /// A window begins with its first call and lasts a minute.
    fn is_over_limit(&mut self, class: usize, now: Instant) -> bool {
        let window = &mut self.windows[class];
        let (begun_at, count) = match *window {
            Some((at, count)) if now - at < Duration::from_mins(1) => (at, count + 1),
            _ => (now, 1),
        };
        *window = Some((begun_at, count));
        count > self.limits[class]
    }

    fn manage(&mut self, request: &Request, player: &str) -> (u16, Vec<u8>) {
        let expected = format!("Bearer {KEY}");
        if self.fault == Fault::OtherKey || request.authorization != expected {
            return failed(401, "Invalid API key");
        }
        match request.method.as_str() {
            "GET" if player.is_empty() => self.list(),
            "POST" if player.is_empty() => self.add(&request.body),
            "DELETE" if !player.is_empty() => self.delete(player),
            _ => (404, Vec::new()),
        }
    }

    fn list(&self) -> (u16, Vec<u8>) {
        let entry = |(publisher, player, description): &(String, String, String)| {
            let mut entry = json!({"publisher": publisher, "player": player});
            if !description.is_empty() {
                entry["description"] = json!(description);
            }
            entry
        };
        let data: Vec<_> = self.entries.iter().map(entry).collect();
        ok(&json!({"data": data, "status": "success"}))
    }

    fn add(&mut self, body: &[u8]) -> (u16, Vec<u8>) {
        let Ok(body) = serde_json::from_slice::<Value>(body) else {
            return failed(400, "Invalid JSON");
        };
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        let (Some(publisher), Some(player)) = (text("publisher"), text("player")) else {
            return failed(400, "Missing required fields: publisher, player");
        };
        if body
            .get("description")
            .is_some_and(|text| !text.is_string())
        {
            return (500, Vec::new());
        }
        if self.entries.iter().any(|entry| entry.1 == player) {
            let message = format!("Stream ID with player '{player}' already exists");
            return failed(409, &message);
        }
        let description = text("description").unwrap_or_default();
        self.entries.push((publisher, player, description));
        ok(&json!({"message": "Stream ID added successfully", "status": "success"}))
    }

    fn delete(&mut self, player: &str) -> (u16, Vec<u8>) {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.1 != player);
        if self.entries.len() == before {
            return failed(404, "Stream ID not found");
        }
        ok(&json!({"message": "Stream ID deleted successfully", "status": "success"}))
    }

    /// The play key is asked for; a publish key is taken too while somebody publishes with it.
    fn stats(&self, id: &str, now: Instant) -> (u16, Vec<u8>) {
        let entry = self.entries.iter().find(|entry| entry.1 == id);
        let publisher = entry.map_or(id, |entry| entry.0.as_str());
        match (self.encoders.get(publisher), entry) {
            (Some(encoder), _) => ok(&json!({"publisher": encoder.figures(now), "status": "ok"})),
            (None, Some(_)) => ok(&json!({
                "message": "Publisher is currently not streaming", "status": "ok",
            })),
            (None, None) => failed(404, "Invalid player key"),
        }
    }
}

fn ok(body: &Value) -> (u16, Vec<u8>) {
    (200, body.to_string().into_bytes())
}

fn failed(status: u16, message: &str) -> (u16, Vec<u8>) {
    let body = json!({"message": message, "status": "error"});
    (status, body.to_string().into_bytes())
}

fn limited() -> (u16, Vec<u8>) {
    failed(429, "Rate limit exceeded")
}
