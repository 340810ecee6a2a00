//! SLS: its configuration and database, its API, its hook.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::http::{self, Request};
use crate::media::Media;
use crate::{DATA, fail, faults, sha256};

/// What a run works with.
pub struct World {
    /// Publish key, play key, description.
    pub pairs: Vec<[String; 3]>,
    pub media: Media,
    /// The bytes of the database, which has our key's hash; empty when it could not be opened.
    database: Vec<u8>,
    /// Where `on_event_url` leads.
    pub hook: Option<(SocketAddr, String)>,
}

/// The one world of the process.
pub fn world() -> MutexGuard<'static, World> {
    static WORLD: OnceLock<Mutex<World>> = OnceLock::new();
    let world = WORLD.get_or_init(|| Mutex::new(World::open()));
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn run() -> ! {
    if faults::now() == "crash" {
        for line in 0..60 {
            println!("line {line}: key_stream_name=live_planted{line}");
        }
        fail(139, "Segmentation fault");
    }
    if let Err(error) = std::fs::write("/tmp/written", "") {
        fail(255, &format!("/tmp: {error}"));
    }
    drop(world());
    crate::media::listen();
    println!("SLS stand-in listens");
    http::serve(8080, answer)
}

impl World {
    fn open() -> Self {
        let settings = std::fs::read_to_string("/etc/sls/sls.conf").unwrap_or_default();
        if !settings.contains("listen_player 4000;") {
            fail(255, "no configuration");
        }
        let database = std::fs::read(format!("{DATA}/streams.db")).unwrap_or_default();
        // The real one goes on silently with a database in /tmp that knows neither key nor streams.
        let is_good = database.starts_with(b"SQLite format 3")
            && std::fs::write(format!("{DATA}/written"), "").is_ok()
            // A new file each time: what is written to is the folder.
            && std::fs::remove_file(format!("{DATA}/written")).is_ok();
        let kept = std::fs::read_to_string(format!("{DATA}/pairs")).unwrap_or_default();
        let pairs = kept.lines().filter(|_| is_good).filter_map(|line| {
            let mut words = line.splitn(3, '\t').map(str::to_owned);
            Some([words.next()?, words.next()?, words.next()?])
        });
        Self {
            pairs: pairs.collect(),
            media: Media::default(),
            database: if is_good { database } else { Vec::new() },
            hook: hook_of(&settings),
        }
    }

    pub fn publisher_of(&self, player: &str) -> Option<String> {
        let pair = self.pairs.iter().find(|pair| pair[1] == player);
        pair.map(|pair| pair[0].clone())
    }

    pub fn has_publisher(&self, key: &str) -> bool {
        self.pairs.iter().any(|pair| pair[0] == key)
    }

    fn keep(&self) {
        let lines: Vec<_> = self.pairs.iter().map(|pair| pair.join("\t")).collect();
        if !self.database.is_empty() {
            drop(std::fs::write(format!("{DATA}/pairs"), lines.join("\n")));
        }
    }

    fn knows(&self, authorization: &str) -> bool {
        let Some(key) = authorization.strip_prefix("Bearer ") else {
            return false;
        };
        let hash = sha256::hex(key);
        self.database
            .windows(hash.len())
            .any(|it| it == hash.as_bytes())
    }
}

fn hook_of(settings: &str) -> Option<(SocketAddr, String)> {
    let line = settings
        .lines()
        .find(|line| line.contains("on_event_url"))?;
    let url = line.split_whitespace().nth(1)?.trim_end_matches(';');
    let (host, path) = url.strip_prefix("http://")?.split_once('/')?;
    Some((host.parse().ok()?, format!("/{path}")))
}

fn answer(request: &Request) -> Option<(u16, Vec<u8>)> {
    let path = request.path.split('?').next().unwrap_or_default();
    let is_health = path == "/health";
    match faults::now().as_str() {
        "hang" => return None,
        "garbage" => return Some((200, b"<html>It works!</html>".to_vec())),
        "huge" => return Some((200, vec![b'['; 10 << 20])),
        "limited" if !is_health => return failed(429, "Rate limit exceeded"),
        "failing" if !is_health => return Some((500, Vec::new())),
        _ => {}
    }
    if is_health {
        return said(r#"{"service":"srt-live-server","status":"ok","version":"1.5.0"}"#);
    }
    if let Some(id) = path.strip_prefix("/stats/") {
        return stats(id);
    }
    let mut world = world();
    if path.starts_with("/api/") && !world.knows(&request.authorization) {
        return failed(401, "Invalid API key");
    }
    match (request.method.as_str(), path) {
        ("GET", "/api/stream-ids") => list(&world),
        ("POST", "/api/stream-ids") => add(&mut world, &request.body),
        ("DELETE", _) => remove(&mut world, path.strip_prefix("/api/stream-ids/")?),
        _ => Some((404, Vec::new())),
    }
}

fn said(body: &str) -> Option<(u16, Vec<u8>)> {
    Some((200, body.as_bytes().to_vec()))
}

fn failed(status: u16, message: &str) -> Option<(u16, Vec<u8>)> {
    let body = format!("{{\"message\":\"{message}\",\"status\":\"error\"}}");
    Some((status, body.into_bytes()))
}

fn stats(id: &str) -> Option<(u16, Vec<u8>)> {
    let mut world = world();
    let known = world.publisher_of(id);
    let publisher = known.clone().unwrap_or_else(|| id.to_owned());
    match (world.media.figures(&publisher), known) {
        (Some(figures), _) => said(&format!("{{\"publisher\":{figures},\"status\":\"ok\"}}")),
        (None, Some(_)) => {
            said(r#"{"message":"Publisher is currently not streaming","status":"ok"}"#)
        }
        (None, None) => failed(404, "Invalid player key"),
    }
}

fn list(world: &World) -> Option<(u16, Vec<u8>)> {
    let entries: Vec<_> = world
        .pairs
        .iter()
        .map(|[publisher, player, description]| {
            format!(
                "{{\"publisher\":\"{publisher}\",\"player\":\"{player}\",\
                 \"description\":\"{description}\"}}"
            )
        })
        .collect();
    let entries = entries.join(",");
    said(&format!("{{\"data\":[{entries}],\"status\":\"success\"}}"))
}

fn add(world: &mut World, body: &str) -> Option<(u16, Vec<u8>)> {
    let (Some(publisher), Some(player)) = (field(body, "publisher"), field(body, "player")) else {
        return failed(400, "Missing required fields: publisher, player");
    };
    if world.publisher_of(&player).is_some() {
        return failed(409, "Stream ID already exists");
    }
    let description = field(body, "description").unwrap_or_default();
    world.pairs.push([publisher, player, description]);
    world.keep();
    said(r#"{"message":"Stream ID added successfully","status":"success"}"#)
}

fn remove(world: &mut World, player: &str) -> Option<(u16, Vec<u8>)> {
    if world.publisher_of(player).is_none() {
        return failed(404, "Stream ID not found");
    }
    world.pairs.retain(|pair| pair[1] != player);
    world.keep();
    said(r#"{"message":"Stream ID deleted successfully","status":"success"}"#)
}

/// The text of a field in a flat JSON object without escapes.
fn field(body: &str, name: &str) -> Option<String> {
    let (_, rest) = body.split_once(&format!("\"{name}\""))?;
    let rest = rest.trim_start().strip_prefix(':')?;
    let rest = rest.trim_start().strip_prefix('"')?;
    Some(rest.split('"').next()?.to_owned())
}
