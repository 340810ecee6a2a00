//! Signing in through a provider and with a second factor, against the real binary.
//!
//! Invariant: the provider is ours and obeys what the real ones document; nothing leaves the machine.

mod joining;
mod merging;
mod provider;
mod provider_faults;
mod second_factor;
mod signing_in;

use provider::{FakeProvider, Person};
use rusqlite::{Connection, OpenFlags};

use crate::harness::client::{Answer, Browser};
use crate::harness::server::{Account, Server, ServerConfig};

/// A server that offers one provider, with its owner.
#[derive(Debug)]
struct House {
    provider: FakeProvider,
    owner: Account,
    server: Server,
}

impl House {
    fn with(name: &'static str) -> Self {
        let provider = FakeProvider::named(name);
        let server = Server::start_with(|config| configured(config, &provider));
        let owner = server.admin_create("owner@example.org", "owner");
        Self {
            provider,
            owner,
            server,
        }
    }

    fn visitor(&self) -> Browser {
        Browser::at(self.server.addresses().http)
    }

    fn authorize(&self) -> String {
        format!("/api/v1/auth/{}/authorize", self.provider.name)
    }

    /// Links `person` to the user of a signed-in browser, as the plugin's dock begins it.
    #[track_caller]
    fn link(&self, browser: &mut Browser, user_id: &str, person: &Person) -> Answer {
        let confirmed = self.confirmed_link(browser, user_id);
        let way_out = browser.get(&confirmed).expect(303);
        let way_back = self.provider.approve(way_out.header("location"), person);
        browser.open(&way_back)
    }

    /// The address behind the button of the page of confirmation.
    #[track_caller]
    fn confirmed_link(&self, browser: &mut Browser, user_id: &str) -> String {
        let path = format!("{}?link_user={user_id}", self.authorize());
        let page = browser.get(&path).expect(200).text();
        let start = format!("href=\"{}?link_user={user_id}", self.authorize());
        let (_, rest) = page.split_once(&start).expect("a button that goes on");
        let (query, _) = rest.split_once('"').expect("a quote ends");
        // The page escapes the ampersand.
        let query = query.replace("&#38;", "&").replace("&amp;", "&");
        format!("{path}{query}")
    }

    /// Signs in through the provider; answers what comes of the way back.
    #[track_caller]
    fn sign_in(&self, browser: &mut Browser, person: &Person) -> Answer {
        let way_out = browser.get(&self.authorize()).expect(303);
        let way_back = self.provider.approve(way_out.header("location"), person);
        browser.open(&way_back)
    }

    /// Changes what the server keeps; answers how many rows.
    #[track_caller]
    fn change(&self, statement: &str) -> usize {
        let file = self.server.data_dir().join("glb.db");
        let database =
            Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
        database.execute(statement, []).unwrap()
    }

    /// Counts what the server keeps.
    #[track_caller]
    fn count(&self, table: &str) -> i64 {
        let file = self.server.data_dir().join("glb.db");
        let database =
            Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
        let sql = format!("SELECT count(*) FROM {table}");
        database.query_row(&sql, [], |row| row.get(0)).unwrap()
    }
}

/// The configuration of a server that knows `provider`.
fn configured(config: ServerConfig, provider: &FakeProvider) -> ServerConfig {
    let key = |name: &str| format!("GLB_OAUTH_{}_{name}", provider.name.to_uppercase());
    config
        .with("GLB_OAUTH_ANSWER_SECONDS", 1)
        .with(&key("CLIENT_ID"), provider::CLIENT_ID)
        .with(&key("CLIENT_SECRET"), provider::CLIENT_SECRET)
        .with(&key("AUTHORIZE_URL"), provider.url("authorize"))
        .with(&key("TOKEN_URL"), provider.url("token"))
        .with(&key("USER_INFO_URL"), provider.url("user"))
}
