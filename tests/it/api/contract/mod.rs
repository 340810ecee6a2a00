//! The exact answers that the plugin and its kin rely on.
//!
//! Invariant: a shape is compared as a whole, so a key that comes or goes is noticed.

mod health;
mod pool;
mod relay_start;
mod relay_stop;
mod sessions;
mod sign_in;
mod slots;
mod snapshot;
mod wire;

use reqwest::Method;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use crate::harness::client::{Answer, Browser, Http, Plugin};
use crate::harness::server::{Account, Server, ServerConfig};

/// A server with one streamer, whose plugin has signed in.
#[derive(Debug)]
struct Desk {
    account: Account,
    http: Http,
    plugin: Plugin,
    server: Server,
}

impl Desk {
    fn open() -> Self {
        Self::open_with(|config| config)
    }

    fn open_with(change: impl FnOnce(ServerConfig) -> ServerConfig) -> Self {
        let server = Server::start_with(change);
        let account = server.admin_create("streamer@example.org", "owner");
        let mut browser = Browser::signed_in(&server, &account);
        let plugin = Plugin::signed_in(&server, &mut browser);
        let http = Http::to(server.addresses().http);
        Self {
            account,
            http,
            plugin,
            server,
        }
    }

    /// Lets time pass where the server keeps it: runs a statement that changes so many rows.
    #[track_caller]
    fn move_time(&self, statement: &str, rows: usize) {
        let file = self.server.data_dir().join("glb.db");
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
        let database = Connection::open_with_flags(file, flags).unwrap();
        assert_eq!(database.execute(statement, []).unwrap(), rows);
    }

    /// A call of the plugin with a JSON body.
    #[track_caller]
    fn call(&self, method: Method, path: &str, body: &Value) -> Answer {
        let request = self.plugin.authorised(method, path);
        self.plugin.send(request.json(body))
    }

    /// A POST of the plugin with a JSON body.
    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, body)
    }

    /// A POST without credentials and with one header.
    #[track_caller]
    fn post_with(&self, path: &str, header: (&str, &str), body: &Value) -> Answer {
        let request = self.http.request(Method::POST, path);
        self.http
            .send(request.header(header.0, header.1).json(body))
    }
}
